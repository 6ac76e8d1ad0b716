"""The command that carries out a study."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.places import PlainPath
from pbtnas.cli.shared import (
    accept_option,
    accepting,
    check_logging,
    data_of,
    devices_option,
    disk_errors,
    given,
    leave,
    log_option,
    machine_option,
    name_in,
    reuse_option,
    scratch_option,
    task_file_option,
    until_asked_to_stop,
    worker_lines,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.protocol.study_coordinator import StudyOutcomes


@click.command()
@click.argument("study_file", metavar="STUDY", type=PlainPath(dir_okay=False))
@click.argument("directory", type=PlainPath(file_okay=False))
@click.option(
    "--workers",
    type=click.IntRange(0),
    help="On this machine, by default one for each GPU, or without GPUs for each processor core; "
    "0 where `pbtnas worker DIRECTORY` does the work elsewhere.",
)
@devices_option
@click.option(
    "--open-seeds",
    default=2,
    show_default=True,
    type=click.IntRange(1),
    help="Seeds in work at once, with all their runs; more of them feed more workers.",
)
@reuse_option
@task_file_option
@accept_option
@scratch_option
@machine_option
@log_option
@click.option("--dry-run", is_flag=True, help="Check everything, list the runs, stop.")
def study(
    study_file: Path,
    directory: Path,
    workers: int | None,
    devices: tuple[str, ...],
    open_seeds: int,
    reuse: bool,
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
    loggers: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Carry out a study: many runs, one after the other or together, from one file.

    The same command goes on with a study after whatever happened.
    """
    stop = until_asked_to_stop()  # before the seconds in which torch is imported
    from pbtnas.config import load_study, to_json
    from pbtnas.processor import pin

    planned = load_study(study_file, task=name_in(task_file))
    told = dict.fromkeys([*loggers, *(name for run in planned for name in run.config.logging.to)])
    check_logging(told)
    pin(planned[0].config.run.cpu_capability)  # all of them have the same
    from pbtnas.engine.devices import default_scratch
    from pbtnas.engine.driver import once_reachable
    from pbtnas.engine.loggers_beside import loggers_beside
    from pbtnas.engine.run_setup import check_start, check_task
    from pbtnas.engine.worker import training_environment
    from pbtnas.protocol.operations import AskedToStop
    from pbtnas.store.run_directory import make_directory
    from pbtnas.study.codes import check_codes
    from pbtnas.study.conduct import conduct, make_study
    from pbtnas.training.prepared_tasks import PreparedTasks

    scratch_dir = scratch or default_scratch()
    tasks = PreparedTasks(scratch_dir, task_file)
    common = [*given("--task", task_file), *given("--scratch", scratch)]
    common += ["--parent", str(os.getpid()), "--reuse" if reuse else "--no-reuse"]
    common += accepting(accept)
    with disk_errors(ExitCode.USAGE, PermissionError):
        loaded = [tasks.load(run.config.task) for run in planned]
        for run, task in zip(planned, loaded, strict=True):
            check_start(run.config, task.space)
            check_task(run.config, task)
        if dry_run:
            runs = {f"{run.name}-s{run.seed}": to_json(run.config) for run in planned}
            click.echo("\n".join(plan_lines(runs)))
            sections = [run.config.task for run in planned]
            for i, section in enumerate(sections):
                if section not in sections[:i]:
                    click.echo(data_of(loaded[i]), err=True)
            return
        make_directory(scratch_dir)
        lines = worker_lines(
            directory,
            workers,
            devices,
            common,
            threads=max(run.config.run.threads for run in planned),
            most=sum(run.config.search.population for run in planned),
        )
        try:
            made = once_reachable(
                lambda: make_study(directory, planned, tasks.complete), directory, stop
            )
            once_reachable(lambda: check_codes(made, tasks, accept=accept), directory, stop)
            with loggers_beside(directory, list(told)):
                outcomes, codes = conduct(
                    made,
                    tasks,
                    lines,
                    training_environment([run.config for run in planned]),
                    open_seeds=open_seeds,
                    stop=stop,
                )
        except AskedToStop:
            sys.exit(ExitCode.STOPPED)  # before anything was begun
    print_account(directory)
    _leave_with(outcomes, codes)


def plan_lines(runs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The settings of planned runs as they stand in a YAML file: the common ones, then for each
    run those that are its own.

    Args:
        runs: Resolved configuration of each run, by label.
    """
    flat = {
        label: {
            f"{section}.{key}": json.dumps(value)
            for section, values in config.items()
            for key, value in values.items()
        }
        for label, config in runs.items()
    }
    settings = list(flat.values())
    keys = dict.fromkeys(key for setting in settings for key in setting)
    common = [
        key for key in keys if all(setting.get(key) == settings[0].get(key) for setting in settings)
    ]
    lines = [f"{len(flat)} runs; all have", *(f"  {key}: {settings[0][key]}" for key in common)]
    lines.append("and of their own")
    for label, setting in flat.items():
        own = [f"{key}: {setting[key]}" for key in setting if key not in common]
        lines.append(f"  {label}  {', '.join(own)}".rstrip())
    return lines


def print_account(directory: Path) -> None:
    """What was computed, and what was saved."""
    from pbtnas.monitoring.accounting import account
    from pbtnas.store.study_directory import open_study

    click.echo(account(run.root for run in open_study(directory).runs))


def _leave_with(outcomes: StudyOutcomes, codes: Sequence[int]) -> None:
    """Name what went wrong; end with the exit code that says the worst of it."""
    failed = {label: outcomes.ended[label] for label in outcomes.failed} | outcomes.broken
    for label, sentence in failed.items():
        click.echo(f"{label}: {sentence}", err=True)
    if failed:
        leave(ExitCode.FAILED, f"{len(failed)} runs could not be finished")
    if outcomes.held:
        leave(ExitCode.HELD, f"another coordinator holds {', '.join(outcomes.held)}")
    # A worker that was stopped before it could say how it ends (a negative code) failed nothing.
    unfit = [code for code in codes if code > ExitCode.OK and code != ExitCode.STOPPED]
    if unfit:
        sys.exit(max(unfit))
    sys.exit(ExitCode.OK if outcomes.over else ExitCode.STOPPED)
