"""Commands with which an operator steers a run; each publishes one control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.shared import disk_errors, run_dir_argument
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.records.controls import Steering
    from pbtnas.store.reader import RunReader
    from pbtnas.store.run_directory import Run

LONGEST_NOTE = 10_000  # characters


@dataclass(frozen=True)
class Asked:
    """A run as the command found it.

    Args:
        root: Its directory.
        files: Its files.
        run: The run.
        steering: What was asked of it before.
    """

    root: Path
    files: RunReader
    run: Run
    steering: Steering

    def refuse_if_finished(self, because: str) -> None:
        """End the command if the run is over."""
        from pbtnas.records import paths
        from pbtnas.store.controls import UnfitControl

        if self.files.published(paths.FINAL):
            raise UnfitControl(f"{self.root}: the run is finished; {because}")

    def give(self, core: Mapping[str, Any]) -> None:
        """Publish a control, and print what was recorded."""
        from pbtnas.monitoring.text import printable
        from pbtnas.records.controls import told
        from pbtnas.store.controls import give_control

        control = give_control(self.root, self.run, core)
        click.echo(printable(f"{self.root}: control {control.number}: {told(control)}"))


@contextmanager
def asked(run_dir: Path) -> Iterator[Asked]:
    """The run in a directory; what the disk refuses ends the command with a sentence."""
    from pbtnas.store.controls import steering_of
    from pbtnas.store.reader import RunReader
    from pbtnas.store.run_directory import open_run

    with disk_errors(ExitCode.USAGE, PermissionError, place=run_dir):
        run = open_run(run_dir)
        with RunReader(run_dir) as files:
            yield Asked(run_dir, files, run, steering_of(files, run.id)[0])


@click.command()
@run_dir_argument
def pause(run_dir: Path) -> None:
    """Let all workers hand back what they train, and wait for `pbtnas resume`.

    Each takes a snapshot, from which its job goes on later, as when it is stopped.  The outcome
    of the search stays as it is.
    """
    from pbtnas.store.controls import UnfitControl

    with asked(run_dir) as found:
        found.refuse_if_finished("there is nothing to pause")
        if found.steering.paused:
            raise UnfitControl(f"{run_dir}: is paused already")
        found.give({"action": "pause"})


@click.command()
@run_dir_argument
def resume(run_dir: Path) -> None:
    """Let the workers of a paused run go on."""
    from pbtnas.store.controls import UnfitControl

    with asked(run_dir) as found:
        found.refuse_if_finished("there is nothing to resume")
        if not found.steering.paused:
            raise UnfitControl(f"{run_dir}: is not paused")
        found.give({"action": "resume"})


@click.command()
@run_dir_argument
@click.argument("worker")
def drain(run_dir: Path, worker: str) -> None:
    """Let a worker finish what it trains, and leave with exit code 0.

    WORKER is its name in `pbtnas status`, or how that begins.
    """
    from pbtnas.store.controls import UnfitControl, study_of, worker_named

    with asked(run_dir) as found:
        study = study_of(run_dir)
        if study is not None:
            raise UnfitControl(
                f"{run_dir}: is a run of {study}, whose workers serve all its runs; stop one with "
                "SIGTERM, which hands its job back"
            )
        found.refuse_if_finished("its workers leave by themselves")
        name = worker_named(found.files, worker)
        if name in found.steering.drained:
            raise UnfitControl(f"{run_dir}: {name} was told already")
        found.give({"action": "drain", "worker": name})


@click.command()
@run_dir_argument
@click.argument("text")
def note(run_dir: Path, text: str) -> None:
    """Record a note, e.g. `pbtnas note runs/c10 "disk replaced"`.

    It changes nothing; `status` shows the latest, `controls` all.
    """
    if not text.strip():
        raise click.UsageError("the note is empty")
    if len(text) > LONGEST_NOTE:
        raise click.UsageError(f"a note of {len(text)} characters; at most {LONGEST_NOTE} fit")
    with asked(run_dir) as found:
        found.give({"action": "note", "text": text})


@click.command()
@run_dir_argument
@click.argument("member")
def pin(run_dir: Path, member: str) -> None:
    """Keep the checkpoint of a member, e.g. `pbtnas pin runs/c10 g0012-m03`.

    MEMBER is a name in the first column of `pbtnas show`, such as m03 or g0012-m03; m03 is that
    member as it is now.  The search and its outcome stay as they are.
    """
    from pbtnas.store.controls import UnfitControl
    from pbtnas.store.finished import is_member, named_member
    from pbtnas.store.finished import member as member_of

    with asked(run_dir) as found:
        if not is_member(member):
            raise UnfitControl(f"{run_dir}: expected a member such as m03, not {member!r}")
        pinned = member_of(found.files, found.run, member)
        if pinned.checkpoint in found.steering.pinned:
            click.echo(f"{run_dir}: {member} is pinned already")
            return
        core = {"action": "pin", "generation": pinned.generation, "member": pinned.member}
        found.give({**core, "checkpoint": pinned.checkpoint})
        # The coordinator may have discarded it in the moment before it knew.
        member_of(found.files, found.run, named_member(pinned.generation, pinned.member))


@click.command()
@run_dir_argument
def controls(run_dir: Path) -> None:
    """What operators have asked of a run, in their order."""
    from pbtnas.monitoring.text import printable
    from pbtnas.records.controls import told
    from pbtnas.store.controls import steering_of

    with asked(run_dir) as found:
        _, problems = steering_of(found.files, found.run.id)
        for control in found.steering.controls:
            by = f"{control.number:4}  {control.at or '?'}  {control.by or '?'}"
            click.echo(printable(f"{by}  {told(control)}"))
        for problem in problems:
            click.echo(printable(problem), err=True)
    if not (found.steering.controls or problems):
        click.echo(f"{run_dir}: nothing was asked of it")
