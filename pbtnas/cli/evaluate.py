"""Commands that make the numbers to report of a finished run: final evaluations and soups."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import click

from pbtnas.cli.shared import (
    accept_option,
    accepting,
    given,
    load_task_of,
    machine_option,
    parent_option,
    pin_as,
    run_dir_argument,
    scratch_option,
    task_file_option,
    until_asked_to_stop,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.engine.evaluation import FinalEvaluation
    from pbtnas.engine.signals import StopRequest
    from pbtnas.records.schema import Soup, Tried
    from pbtnas.tasks.base import Task


class WorkOptions(TypedDict):
    """Which run, and who works on it: the options of both commands."""

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


@click.command()
@work_options
@click.option("--which", metavar="NAME", help="Only this member, e.g. m03 of `pbtnas show`.")
def evaluate(
    as_json: bool, which: str | None, parent: int | None, **options: Unpack[WorkOptions]
) -> None:
    """Evaluate the best members of a finished run, and its soups, for the number to report.

    Start it on as many machines as you like: they share the work, and each prints the complete
    result.
    """
    stop = until_asked_to_stop(parent)  # before the seconds in which torch is imported
    pin_as(options["run_dir"], stop)
    from functools import partial

    from pbtnas.engine.evaluation import evaluate as evaluated
    from pbtnas.store.finished import is_member

    if which is not None and not is_member(which):
        raise click.BadParameter(
            f"{which!r} is no member's name, such as m03 or g0012-m03", param_hint="--which"
        )
    command = ["evaluate", *given("--which", which)]
    finals = _finals(command, partial(evaluated, which=which), stop, **options)
    if as_json:
        click.echo(json.dumps([_to_json(final) for final in finals]))
        return
    for final in finals:
        _print_final(final)


@click.command()
@work_options
@click.option("--part", help="Average only this part of the networks, e.g. of drqv2 the encoder.")
def soup(
    as_json: bool, part: str | None, parent: int | None, **options: Unpack[WorkOptions]
) -> None:
    """Build greedy model soups of a finished run.

    Each of best-ever and best-last is averaged with others of its architecture, keeping every
    addition that does not lower the score.  Start it on as many machines as you like: they share
    the work, and each prints the complete result.
    """
    stop = until_asked_to_stop(parent)
    pin_as(options["run_dir"], stop)
    from functools import partial

    from pbtnas.engine.evaluation import make_soups

    command = ["soup", *given("--part", part)]
    finals = _finals(command, partial(make_soups, part=part), stop, **options)
    if as_json:
        click.echo(json.dumps([_to_json(final) for final in finals]))
        return
    _print_traces([final.soup for final in finals if final.soup is not None])
    for final in finals:
        _print_final(final)


def _finals(
    command: Sequence[str],
    work: Callable[..., list[FinalEvaluation]],
    stop: StopRequest,
    run_dir: Path,
    workers: int,
    devices: Sequence[str],
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
) -> list[FinalEvaluation]:
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


def _print_final(final: FinalEvaluation) -> None:
    best, soup = final.champion, final.soup
    if soup is None:
        who, before = f"member {best.member}", best.score
    else:
        who, before = _ingredients(soup), soup.score
    score = "diverged" if math.isnan(final.score) else f"score {final.score:.6g}"
    click.echo(
        f"{final.which}: {who} of generation {best.generation}: {score} "
        f"(by the search's evaluation {before:.6g})"
    )
    for name, value in final.metrics.items():
        click.echo(f"    {name} {value:.6g}")
    for path in final.artifacts:
        click.echo(f"    {path}")


def _print_traces(soups: Sequence[Soup]) -> None:
    for i, soup in enumerate(soups):
        same = next((s for s in soups[:i] if s.checkpoint == soup.checkpoint), None)
        if same is not None:
            click.echo(f"{soup.which}: the same as {same.which}")
        else:
            _print_trace(soup)


def _print_trace(soup: Soup) -> None:
    click.echo(
        f"{soup.which}: begins with member {soup.member} of generation {soup.generation}, "
        f"score {soup.search_score:.6g}"
    )
    if not soup.trace:
        click.echo("    no other member of that generation has the same architecture there")
        return
    click.echo("    member   its score  soup's with it")
    for tried in soup.trace:
        click.echo(f"    {tried.member:>6}  {tried.search_score:>10.6g}  {_verdict(tried)}")
    click.echo(f"    the soup: {_ingredients(soup)}: {soup.score:.6g}")


def _ingredients(soup: Soup) -> str:
    if len(soup.ingredients) == 1:
        return f"member {soup.member} alone"
    return f"members {', '.join(map(str, soup.ingredients))}"


def _verdict(tried: Tried) -> str:
    if tried.outcome == "missing":
        return "its checkpoint is not there any more"
    if tried.score is None:
        return "diverged"
    return f"{tried.score:>14.6g}  {'kept' if tried.accepted else 'left out'}"


def _to_json(final: FinalEvaluation) -> dict[str, Any]:
    soup = final.soup
    return {
        "which": final.which,
        "member": final.champion.to_json(),
        "soup": None if soup is None else soup.to_json(),
        "score": None if math.isnan(final.score) else final.score,
        "metrics": dict(final.metrics),
        "artifacts": [str(path) for path in final.artifacts],
    }
