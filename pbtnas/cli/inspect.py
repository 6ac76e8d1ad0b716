"""Commands that look at a run, a directory or a search space."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.places import RunPath, as_typed
from pbtnas.cli.shared import (
    columns,
    complete_file,
    disk_errors,
    leave,
    load_task_of,
    named_task,
    options_of,
    overrides_option,
    reference_point_option,
    run_dir_argument,
    task_file_option,
)
from pbtnas.errors import ExitCode
from pbtnas.tabular import aligned

if TYPE_CHECKING:
    from pbtnas.search.space import SearchSpace
    from pbtnas.store.doctor import Answer


@click.command()
@run_dir_argument
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="S", help="Again every S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@reference_point_option
def status(run_dir: Path, watch: float | None, as_json: bool, reference_point: str | None) -> None:
    """One screen: progress, best members, workers, failures, when it may be done.

    Of a study: how many of its runs are over, how far the open ones are, what was saved.
    """
    with suppress(KeyboardInterrupt):  # how one stops looking is no error
        while True:
            if watch is not None and not as_json:
                click.clear()
            with disk_errors(ExitCode.FAILED, place=run_dir):
                over = print_status(run_dir, as_json=as_json, reference_point=reference_point)
            if watch is None or over:
                return
            time.sleep(watch)


def print_status(run_dir: Path, *, as_json: bool, reference_point: str | None = None) -> bool:
    """Print the screen of a run or a study; whether it is over."""
    from pbtnas.store.study_directory import is_study, open_study

    if is_study(run_dir):
        from pbtnas.monitoring import study_screen

        if reference_point is not None:
            raise click.UsageError("--reference-point is for a run; compare takes one for a study")
        study = study_screen.study_status(open_study(run_dir), now=time.time())
        as_text = study_screen.render(study, columns())
        click.echo(json.dumps(study_screen.to_json(study)) if as_json else as_text)
        return study.over
    from pbtnas.monitoring import run_screen as screen

    seen = screen.status(run_dir, now=time.time(), reference_point=reference_point)
    if as_json:
        click.echo(json.dumps(screen.to_json(seen)))
    else:
        click.echo(screen.render(seen, columns()))
    return seen.over


@click.command()
@run_dir_argument
@click.option("--repair", is_flag=True, help="Put aside what is damaged, restore copies.")
def fsck(run_dir: Path, repair: bool) -> None:
    """Check every file of a run, or of a study with its runs, as far as files can be checked."""
    from pbtnas.store import fsck as checking
    from pbtnas.store.study_directory import holds_study

    faults = (checking.check_study if holds_study(run_dir) else checking.check)(run_dir)
    for fault in faults:
        note = "note: " if fault.notice else ""
        click.echo(as_typed(f"{note}{run_dir}/{fault.name}: {fault.what}"))
    sound = all(fault.notice for fault in faults)
    if sound:
        click.echo(as_typed(f"{run_dir}: every record and checkpoint is as it was written"))
    if repair and faults:
        with disk_errors(ExitCode.FAILED, place=run_dir):
            checking.repair(run_dir, faults)
        click.echo("repaired what can be; start coordinator and workers for the rest")
    if not sound:
        sys.exit(ExitCode.FAILED)


@click.command()
@click.argument("directory", type=RunPath(exists=True))
@click.option(
    "--with",
    "count",
    type=click.IntRange(2),
    metavar="N",
    help="Measure what passes between N machines, too: start this on each of them.",
)
@click.option(
    "--wait",
    default=300.0,
    show_default=True,
    metavar="S",
    help="Seconds to wait for the others, with --with.",
)
def doctor(directory: Path, count: int | None, wait: float) -> None:
    """Try out whether a directory can carry a run, and how fast it is."""
    from pbtnas.store.bucket.address import address_of
    from pbtnas.store.doctor import examine

    if count is not None and address_of(directory) is not None:
        raise click.UsageError("--with: expected a directory; a bucket shows all machines the same")
    sound = True
    try:
        for answer in chain(examine(directory), _between(directory, count, wait)):
            click.echo(f"{'ok ' if answer.good else 'BAD'}  {answer.text}")
            sound = sound and answer.good
    except OSError as error:  # of a temporary file below the directory
        leave(ExitCode.USAGE, f"{directory}: {error.strerror}")
    if not sound:
        sys.exit(ExitCode.FAILED)


def _between(directory: Path, count: int | None, wait_s: float) -> Iterator[Answer]:
    """What passes between this machine and others, where they are asked for."""
    from pbtnas.store.between import examine_between
    from pbtnas.store.meeting import meet
    from pbtnas.store.run_directory import best_primitive

    if count is None:
        return
    click.echo(f"waiting for {count - 1} more, up to {wait_s:g} s")
    with meet(directory, count, wait_s, best_primitive(directory)) as party:
        yield from examine_between(directory, party)


@click.command()
@click.argument(
    "name", required=False, metavar="[NAME | FILE.py:Class]", shell_complete=complete_file
)
@task_file_option
@overrides_option
def space(name: str | None, task_file: str | None, overrides: tuple[str, ...]) -> None:
    """The search space of a task as a table, or one of the paper's: gan, gan-hard, drqv2."""
    from pbtnas.config import TaskConfig

    # With options it is the task that is meant, for one of the spaces has its name.
    found = None if name is None or overrides else _named_space(name)
    if found is None:
        chosen, task_file = named_task(name, task_file)
        found = load_task_of(TaskConfig(chosen, options_of(overrides)), task_file).space
    rows = [("", "variable", "options", "modules"), *found.describe()]
    for line in aligned([[str(cell) for cell in row] for row in rows]):
        click.echo(line)
    click.echo(f"{len(found)} variables, {found.size} architectures ({float(found.size):.4e})")


def _named_space(name: str) -> SearchSpace | None:
    """One of the paper's spaces by its own name; None if it is no such name."""
    from pbtnas.models.drqv2.spaces import drqv2_space
    from pbtnas.models.gan.spaces import gan_hard_space, gan_space

    spaces = {"gan": gan_space, "gan-hard": gan_hard_space, "drqv2": drqv2_space}
    return spaces[name]() if name in spaces else None


@click.command()
def config() -> None:
    """All keys of a configuration, with defaults and ranges."""
    from pbtnas.config import describe

    click.echo(describe())
