"""The command that trains a member's ancestry again, and compares."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.places import PlainPath
from pbtnas.cli.shared import (
    accept_option,
    disk_errors,
    leave,
    pin_as,
    scratch_option,
    task_file_option,
    until_asked_to_stop,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.analysis.history.run import History


@click.command()
@click.argument("run_dir", type=PlainPath(file_okay=False))
@click.option(
    "--member",
    "which",
    default="best",
    show_default=True,
    metavar="NAME",
    help="best, best-last, or a member such as g0012-m03 of `pbtnas show`; m03 is as it is now.",
)
@click.option("--device", help="A torch device; the first GPU if there is one, else cpu.")
@click.option(
    "--output",
    type=PlainPath(dir_okay=False),
    help="Where to write how the member came about; artifacts/replay-NAME.json by default.",
)
@task_file_option
@accept_option
@scratch_option
def replay(
    run_dir: Path,
    which: str,
    device: str | None,
    output: Path | None,
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
) -> None:
    """Train a member's whole ancestry again, alone in this process, and compare every digest.

    Nothing of the run is used but its records and products: equal digests show that the network
    is what the recorded jobs and births come to, and no luck of a machine.  E.g. `pbtnas replay
    runs/c10 --member best`.
    """
    stop = until_asked_to_stop()
    pin_as(run_dir, stop)
    from pbtnas.analysis.history.run import History
    from pbtnas.config import from_json
    from pbtnas.engine.devices import check_device, default_device, default_scratch
    from pbtnas.engine.worker import training_environment
    from pbtnas.records import paths
    from pbtnas.replay.ancestry import ancestry_of, schedule_of
    from pbtnas.store.finished import named_member
    from pbtnas.store.opening import beside
    from pbtnas.store.run_directory import make_directory, open_run

    run = open_run(run_dir)
    config = from_json(run.config, recorded=run.options)
    for name, value in training_environment([config]).items():
        os.environ.setdefault(name, value)
    from pbtnas.replay.again import replay as train_again
    from pbtnas.tasks.base import HandedBack

    device = device or default_device()
    check_device(device)
    with disk_errors(ExitCode.USAGE, place=run_dir):
        history = History.read(run_dir)
        generation, member = _asked(history, which)
        steps = ancestry_of(history, generation, member)
        scratch = scratch or default_scratch()
        make_directory(scratch)
        try:
            train_again(
                run_dir,
                run,
                steps,
                task_file=task_file,
                device=device,
                scratch=scratch,
                stop=stop,
                accept=accept,
                told=click.echo,
            )
        except HandedBack:
            sys.exit(ExitCode.STOPPED)
        name = named_member(generation, member)
        output = output or beside(run_dir, paths.artifact(f"replay-{name}.json"))
        told = {"run": run.id, "generation": generation, "member": member, "seed": config.run.seed}
        output.parent.mkdir(exist_ok=True)
        output.write_text(json.dumps({**told, "steps": schedule_of(steps)}, indent=1) + "\n")
    jobs = sum(len(step.jobs) for step in steps)
    mixed = sum(len(step.births) for step in steps)
    click.echo(
        f"{run_dir}: {name}: {jobs} trainings and {mixed} mixings done again on {device}, all to "
        f"the digests of the run; {output} says how it came about"
    )


def _asked(history: History, which: str) -> tuple[int, int]:
    """Generation and slot of the member that is meant.  Ends the command if there is none."""
    from pbtnas.store.finished import numbers_in

    best = history.best_so_far()
    if which in ("best", "best-ever"):
        found = best[-1] if best else None
    elif which == "best-last":
        whole = [g.best for g in history.generations if g.selection is not None]
        found = whole[-1] if whole else None
    else:
        numbers = numbers_in(which)
        if numbers is None:
            leave(
                ExitCode.USAGE,
                f"{history.root}: --member {which}: expected best, best-last or a member such as "
                "g0012-m03",
            )
        asked, member = numbers
        known = [
            g.number
            for g in history.generations
            if asked in (None, g.number)
            and member in g.results
            and g.results[member].result.checkpoint is not None
        ]
        if not known:
            leave(ExitCode.USAGE, f"{history.root}: has no member {which!r} with a score")
        return known[-1], member
    if found is None:
        leave(ExitCode.USAGE, f"{history.root}: no member has a score yet")
    return found.generation, found.member
