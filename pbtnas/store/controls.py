"""Reads what operators have asked of a run, for people.  `control_giving` publishes it."""

from __future__ import annotations

from pathlib import Path

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records import paths
from pbtnas.records.controls import Steering, control_of, end_of
from pbtnas.records.envelope import CorruptRecord, ForeignRecord
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.records.schema import CANCELLED
from pbtnas.store.reader import RunReader


class UnfitControl(PbtnasError):
    """What is asked of a run cannot be done with it as it is; one sentence."""

    exit_code = ExitCode.USAGE


def steering_of(
    files: RunReader, run: str | None, *, foreign: bool = False
) -> tuple[Steering, tuple[str, ...]]:
    """What is asked of the run with that id, and a sentence on each control that nobody can obey.

    Raises `OSError` when the directory cannot be read, and `ForeignRecord` unless `foreign` ones
    are to be left out like damaged ones.
    """
    controls, problems = [], []
    numbers = map(paths.control_number, files.names(paths.SETTINGS))
    for number in sorted(n for n in numbers if n is not None):
        name = paths.control(number)
        try:
            record = files.record(name, "control", run)
            if record is not None:
                controls.append(control_of(number, record, name))
        except (CorruptRecord, ForeignRecord) as error:
            if isinstance(error, ForeignRecord) and not foreign:
                raise
            problems.append(f"{error}; not obeyed, give the command again")
    return Steering(tuple(controls)), tuple(problems)


def end_in(files: RunReader, steering: Steering) -> Name | None:
    """The record that says that a run is over; None while it goes on."""

    def says_cancelled(name: Name) -> bool:
        try:
            record = files.record(name, "final", None)
        except CorruptRecord:
            return False  # its coordinator publishes it again
        return record is not None and record.core.get("ended") == CANCELLED

    return end_of(files.names(Name(".")), steering, says_cancelled)


def worker_named(files: RunReader, beginning: str) -> str:
    """The worker of a run whose name begins so, and that has not left.

    Raises `UnfitControl` for none, or several.
    """
    beats = [leaf for leaf in files.names(paths.WORKERS) if leaf.endswith(".beat")]
    working = sorted(n for n in (b.removesuffix(".beat") for b in beats) if not _left(files, n))
    found = [name for name in working if name.startswith(beginning)]
    if beginning in found or len(found) == 1:
        return beginning if beginning in found else found[0]
    if found:
        raise UnfitControl(
            f"{files.root}: the names of {len(found)} workers begin with {beginning!r}: "
            f"{', '.join(found)}"
        )
    raise UnfitControl(
        f"{files.root}: no worker {beginning!r} is at work here, but "
        f"{', '.join(working) or 'none at all'}"
    )


def _left(files: RunReader, worker: str) -> bool:
    """Whether a worker has said that it left."""
    seen = Heartbeat.decode(files.get(paths.worker(worker)) or b"")
    return seen is not None and bool(seen.left)


def study_of(root: Path) -> Path | None:
    """The study that a run directory is one of; None if it stands alone."""
    runs = root.absolute().parent
    study = runs.parent / paths.STUDY
    return runs.parent if runs.name == paths.STUDY_RUNS and study.exists() else None
