"""What commands that work on a finished run have in common: they share the work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, TypeVar

import click

from pbtnas.cli.shared import (
    accept_option,
    accepting,
    given,
    load_task_of,
    machine_option,
    parent_option,
    run_dir_argument,
    scratch_option,
    task_file_option,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.engine.signals import StopRequest
    from pbtnas.tasks.base import Task

T = TypeVar("T")


class WorkOptions(TypedDict):
    """Which run, and who works on it: the options of all these commands."""

    run_dir: Path
    workers: int
    devices: tuple[str, ...]
    task_file: str | None
    accept: bool
    scratch: Path | None


def work_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `WorkOptions`, and `--json`."""
    in_order = (
        run_dir_argument,
        click.option(
            "--workers",
            default=1,
            show_default=True,
            type=click.IntRange(1),
            help="Local processes.",
        ),
        click.option(
            "--device",
            "devices",
            multiple=True,
            help="For the processes in turn; all GPUs, else the CPU.",
        ),
        task_file_option,
        accept_option,
        scratch_option,
        machine_option,
        parent_option,
        click.option("--json", "as_json", is_flag=True, help="For programs."),
    )
    for option in reversed(in_order):
        command = option(command)
    return command


def carried_out(
    command: Sequence[str],
    work: Callable[..., T],
    stop: StopRequest,
    run_dir: Path,
    workers: int,
    devices: Sequence[str],
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
) -> T:
    """Do what a command does, with further processes of the same command beside this one."""
    from pbtnas.engine.devices import check_device, default_scratch, visible_gpus
    from pbtnas.engine.driver import once_reachable
    from pbtnas.engine.supervisor import helper_processes
    from pbtnas.protocol.operations import AskedToStop
    from pbtnas.tasks.base import HandedBack

    devices = devices or [f"cuda:{i}" for i in range(len(visible_gpus()))] or ["cpu"]
    more = [*given("--task", task_file), *given("--scratch", scratch)]
    more += [*given("--parent", os.getpid()), *accepting(accept)]
    others = [
        [*command, str(run_dir), "--device", devices[i % len(devices)], *more]
        for i in range(1, workers)
    ]
    for device in devices:
        check_device(device)
    scratch = scratch or default_scratch()
    try:
        task = once_reachable(lambda: _task_of(run_dir, task_file, accept), run_dir, stop)
        with helper_processes(others):
            return work(run_dir, task, device=devices[0], scratch=scratch, stop=stop)
    except (HandedBack, AskedToStop):
        sys.exit(ExitCode.STOPPED)


def _task_of(run_dir: Path, task_file: str | None, accept: bool) -> Task:
    """The task of a run.

    Raises `NotARun` if its search space is another here, and `OtherCode` unless that is accepted.
    """
    from pbtnas.config import from_json
    from pbtnas.store.run_directory import check_space, open_run
    from pbtnas.store.task_code import check_code
    from pbtnas.tasks.code import code_of

    run = open_run(run_dir)
    section = from_json(run.config, recorded=run.options).task
    task: Task = load_task_of(section, task_file)
    check_space(run_dir, run, task.space, task_file or section.name)
    check_code(run_dir, run, code_of(task), accept=accept)
    return task
