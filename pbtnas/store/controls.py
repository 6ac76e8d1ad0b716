"""Gives controls to a run, and reads those that it has, for people."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.protocol.controls import give
from pbtnas.protocol.operations import Get, List, Put, Sleep, Stopping, Unreadable
from pbtnas.records import paths
from pbtnas.records.controls import OUTCOME, Control, Steering, control_of, end_of
from pbtnas.records.envelope import CorruptRecord, UnreadableRecord
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import Run, guard


class UnfitControl(PbtnasError):
    """What is asked of a run cannot be done with it as it is; one sentence."""

    exit_code = ExitCode.USAGE


def steering_of(files: RunReader, run: str | None) -> tuple[Steering, tuple[str, ...]]:
    """What is asked of the run with that id, and a sentence on each control that nobody can obey.

    Raises `ForeignRecord`, and `OSError` when the directory cannot be read.
    """
    controls, problems = [], []
    numbers = map(paths.control_number, files.names(paths.SETTINGS))
    for number in sorted(n for n in numbers if n is not None):
        name = paths.control(number)
        try:
            record = files.record(name, "control", run)
            if record is not None:
                controls.append(control_of(number, record, name))
        except CorruptRecord as error:
            problems.append(f"{error}; not obeyed, give the command again")
    return Steering(tuple(controls)), tuple(problems)


def end_in(files: RunReader, steering: Steering) -> Name | None:
    """The record that says that a run is over; None while it goes on."""
    return end_of(files.names(Name(".")), steering)


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


def give_control(root: Path, run: Run, core: Mapping[str, Any]) -> Control:
    """Publish a control of this process.  Raises `OSError` when it cannot be written.

    Before one that changes the outcome, versions of pbtnas are kept out that do not know controls.
    """
    if core["action"] in OUTCOME:
        guard(root, run)
    meta = {
        "by": this_process("o")["worker"],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with PosixStore(root, f"control-{secrets.token_hex(4)}", primitive=run.primitive) as store:
        steps, reply = give(run.id, core, meta, new_nonce()), None
        while True:
            try:
                operation = steps.send(reply)
            except StopIteration as stop:
                return Control(stop.value, core, meta["by"], meta["at"])
            reply = _carry_out(store, operation)


def _carry_out(store: PosixStore, operation: Any) -> Any:
    """Errors are told at once: an operator stands by, and may give the command again."""
    match operation:
        case Put(name, data):
            return store.put(name, data)
        case List(directory):
            return set(store.names(directory))
        case Get(name):
            try:
                return store.get(name)
            except UnreadableRecord as error:
                return Unreadable(str(error))
        case Sleep(seconds):
            time.sleep(seconds)
        case Stopping():
            return False
    return store.execute(operation)
