"""Reads records inside the protocol, and tells absent, damaged and foreign ones apart."""

from __future__ import annotations

from pbtnas.protocol.operations import Get, Quarantine, Say, Sleep, Steps
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, decode
from pbtnas.records.names import Name


def read(name: Name, kind: str, run: str) -> Steps[Record | None]:
    """The record of that name; None if absent.

    A damaged one is put aside, which opens its slot again: whoever may fill the slot computes
    the same once more.  Raises `ForeignRecord` for one of another run or a newer version.
    """
    data = yield from Get(name)
    if data is None:
        return None
    try:
        return decode(data, name, kind=kind, run=run)
    except CorruptRecord as error:
        yield from Say(f"{error}; put aside, to be computed again")
        yield from Quarantine(name)
        return None


def adopt(name: Name, kind: str, run: str) -> Steps[Record | None]:
    """Read back what won a slot that is known to be filled, should this machine see it late.

    None if it stays away or was damaged: then the step has to be done again.
    """
    pause_s = 0.01
    while pause_s < 100:
        record = yield from read(name, kind, run)
        if record is not None:
            return record
        yield from Sleep(pause_s)
        pause_s *= 4
    return None


def newest_generation(known: int) -> Steps[int]:
    """The highest generation with a manifest, at least `known`; -1 if there is none.

    Starts at the hint in HEAD and probes by name.  A name that is absent is looked for past the
    caches of a network file system (`store.absent`), so this sees a new manifest at once there;
    were it late nevertheless, the next look would find it.
    """
    generation = known
    hint = yield from Get(paths.HEAD)
    if hint is not None and hint.strip().isdigit():
        hinted = int(hint)
        # A hint never leads: believe it only if that manifest is really there.
        if hinted > generation and (yield from Get(paths.manifest(hinted))) is not None:
            generation = hinted
    while (yield from Get(paths.manifest(generation + 1))) is not None:
        generation += 1
    return generation
