"""Commands with which an operator steers a run; each publishes one control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.places import as_typed
from pbtnas.cli.shared import disk_errors, load_task_of, run_dir_argument, task_file_option
from pbtnas.errors import ExitCode
from pbtnas.store.opening import open_files

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

    def refuse_if_over(self, because: str) -> None:
        """End the command if the run is over, or about to end."""
        from pbtnas.store.controls import UnfitControl, end_in

        self.refuse_if_cancelled()
        if end_in(self.files, self.steering) is not None:
            raise UnfitControl(f"{self.root}: the run is finished; {because}")

    def refuse_if_cancelled(self) -> None:
        """End the command if somebody has cancelled the run."""
        from pbtnas.records.controls import by
        from pbtnas.store.controls import UnfitControl

        for control in self.steering.of("cancel")[:1]:
            raise UnfitControl(
                f"{self.root}: the run was cancelled {by(control)}, which nothing takes back; "
                "start a new one"
            )

    def refuse_in_study(self, what: str) -> None:
        """End the command if the run is one of a study."""
        from pbtnas.store.controls import UnfitControl, study_of

        study = study_of(self.root)
        if study is not None:
            raise UnfitControl(
                f"{self.root}: is a run of {study}, in which all runs are as its file says: "
                f"`pbtnas {what}` is for a run of its own"
            )

    @property
    def begun_extensions(self) -> int:
        """How many extensions the run has gone on by."""
        from pbtnas.records import paths

        names = [paths.extension(number) for number in range(self.unselected)]
        return sum(map(self.files.published, names))

    @property
    def unselected(self) -> int:
        """The first generation that has no selection."""
        from pbtnas.records import paths

        number = 0
        while self.files.published(paths.selection(number)):
            number += 1
        return number

    @property
    def newest(self) -> int:
        """The generation in work, or the last."""
        from pbtnas.records import paths

        number = self.unselected
        return number if self.files.published(paths.manifest(number)) else max(0, number - 1)

    @property
    def length(self) -> int:
        """How many generations the run has, or is about to have."""
        return self.steering.length(int(self.run.config["search"]["generations"]))

    def give(self, core: Mapping[str, Any]) -> None:
        """Publish a control, and print what was recorded."""
        from pbtnas.monitoring.text import printable
        from pbtnas.records.controls import told
        from pbtnas.store.control_giving import give_control

        with disk_errors(ExitCode.FAILED, place=self.root):
            control = give_control(self.root, self.run, core)
        click.echo(as_typed(printable(f"{self.root}: control {control.number}: {told(control)}")))


@contextmanager
def asked(run_dir: Path) -> Iterator[Asked]:
    """The run in a directory; what the disk refuses ends the command with a sentence."""
    from pbtnas.store.controls import steering_of
    from pbtnas.store.run_directory import open_run

    with disk_errors(ExitCode.USAGE, PermissionError, place=run_dir):
        run = open_run(run_dir)
        with open_files(run_dir) as files:
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
        found.refuse_if_over("there is nothing to pause")
        if found.steering.paused:
            raise UnfitControl(f"{run_dir}: is paused already")
        found.give({"action": "pause"})


@click.command()
@run_dir_argument
def resume(run_dir: Path) -> None:
    """Let the workers of a paused run go on."""
    from pbtnas.store.controls import UnfitControl

    with asked(run_dir) as found:
        found.refuse_if_over("there is nothing to resume")
        if not found.steering.paused:
            raise UnfitControl(f"{run_dir}: is not paused")
        found.give({"action": "resume"})


@click.command()
@run_dir_argument
@click.option(
    "--after-generation",
    "generation",
    required=True,
    type=click.IntRange(0),
    metavar="N",
    help="The last generation; the first one is 0.",
)
def stop(run_dir: Path, generation: int) -> None:
    """End the search after a generation, as if it were the last of the configuration.

    This changes the outcome: the fingerprint says where the run was stopped.
    """
    from pbtnas.records import paths
    from pbtnas.store.controls import UnfitControl

    with asked(run_dir) as found:
        found.refuse_in_study("stop")
        found.refuse_if_over("there is nothing to stop")
        if found.begun_extensions < len(found.steering.extensions):
            raise UnfitControl(
                f"{run_dir}: is to be extended, and the extension has not begun; stop it when it "
                "has"
            )
        if found.files.published(paths.selection(generation)):
            raise UnfitControl(
                f"{run_dir}: generation {generation} is selected already; the next that the run "
                f"can be stopped after is {found.unselected}"
            )
        if generation >= found.length - 1:
            raise UnfitControl(
                f"{run_dir}: ends after generation {found.length - 1} by itself; "
                "`pbtnas extend` lets it go on"
            )
        found.give({"action": "stop", "after_generation": generation})


@click.command()
@run_dir_argument
@click.option(
    "--generations",
    required=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many more.",
)
@task_file_option
def extend(run_dir: Path, generations: int, task_file: str | None) -> None:
    """Let a run, finished or not, go on for more generations than it was to have.

    Then start coordinator and workers again, if it was finished: `pbtnas coordinator RUN_DIR`,
    `pbtnas worker RUN_DIR`.  Members are those of a run that had as many generations from the
    beginning.  The fingerprint is another: it says that, and where, the run was extended.
    """
    from dataclasses import replace

    from pbtnas.config import from_json
    from pbtnas.engine.run_setup import check_task
    from pbtnas.store.controls import UnfitControl, end_in

    with asked(run_dir) as found:
        found.refuse_in_study("extend")
        found.refuse_if_cancelled()
        config = from_json(found.run.config, recorded=found.run.options)
        if config.search.schedule:
            raise UnfitControl(
                f"{run_dir}: follows search.schedule, which has an architecture for each of its "
                f"{len(config.search.schedule)} generations and none for more"
            )
        length = found.length + generations
        longer = replace(config, search=replace(config.search, generations=length))
        check_task(longer, load_task_of(config.task, task_file))
        finished = end_in(found.files, found.steering) is not None
        found.give({"action": "extend", "generations": generations})
        click.echo(f"it is to have {length} generations")
        if finished:
            click.echo(
                as_typed(
                    f"it was finished: `pbtnas coordinator {run_dir}` and `pbtnas worker "
                    f"{run_dir}` go on with it"
                )
            )


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
        found.refuse_if_over("its workers leave by themselves")
        name = worker_named(found.files, worker)
        if name in found.steering.drained:
            raise UnfitControl(f"{run_dir}: {name} was told already")
        found.give({"action": "drain", "worker": name})


@click.command()
@run_dir_argument
@click.argument("text")
def note(run_dir: Path, text: str) -> None:
    """Record a note, e.g. `pbtnas note runs/c10 'disk replaced'`.

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
            click.echo(as_typed(f"{run_dir}: {member} is pinned already"))
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
        click.echo(as_typed(f"{run_dir}: nothing was asked of it"))
