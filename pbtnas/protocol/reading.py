"""Reads records inside the protocol, and tells absent, unreadable, damaged and foreign ones apart.

Absent means: nobody has published it yet, as far as this machine knows.  Damaged, and unreadable
for good, mean: it was published and is lost, so it is put aside and computed again.  Unreadable
because the directory cannot be reached says nothing of the record, and is waited for.
"""

from __future__ import annotations

from dataclasses import replace

from pbtnas.protocol.backoff import TRIES, backoff
from pbtnas.protocol.operations import (
    AskedToStop,
    Get,
    Quarantine,
    Say,
    Sleep,
    Steps,
    Stopping,
    Unreadable,
    persist,
)
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, decode
from pbtnas.records.names import Name
from pbtnas.records.schema import Extension, Selected


def content(name: Name, *, once: bool = False) -> Steps[bytes | None]:
    """What a file holds; None if it is absent.  `once` is that of `Get`.

    One that stays unreadable is put aside, which opens its slot again, and is absent then.
    Raises `AskedToStop` when this process is to stop while it waits for the directory.
    """
    pauses, tries = backoff(), 0
    while isinstance(reply := (yield from Get(name, once)), Unreadable):
        if not reply.passing:
            tries += 1
            if tries == TRIES:
                yield from Say(f"{reply.text}; put aside, to be computed again")
                yield from persist(Quarantine(name))
                return None
        if (yield from Stopping()):
            raise AskedToStop
        yield from Sleep(next(pauses))
    return reply


def read(name: Name, kind: str, run: str, *, held: bytes | None = None) -> Steps[Record | None]:
    """The record of that name, which may be at hand already as bytes; None if absent.

    A damaged one is put aside like one that cannot be read: whoever may fill the slot computes
    the same once more.  But first it is read again, for the bit may have flipped on the way.
    Raises `ForeignRecord` for one of another run or a newer version, and `AskedToStop` as
    `content` does.
    """
    for again in (False, True):
        data = held if held is not None and not again else (yield from content(name))
        if data is None:
            return None
        try:
            return decode(data, name, kind=kind, run=run)
        except CorruptRecord as error:
            if again:
                yield from Say(f"{error}; put aside, to be computed again")
                yield from persist(Quarantine(name))
    return None


def result_of(
    generation: int, member: int, run: str, *, retries: int | None = None
) -> Steps[tuple[Record | None, int]]:
    """The result of a member's job, and which retry it is of; None and the retry that is due.

    A job that has failed is tried again as often as `retries` says; where that is None, nothing is
    due, and the result is the last that is there, as for `records.retries.last_try`.
    """
    record = yield from read(paths.result(generation, member), "result", run)
    retry = 0
    while record is not None and record.core["outcome"] == "failed":
        if retries is not None and retry >= retries:
            break
        following = yield from read(paths.result(generation, member, retry + 1), "result", run)
        if following is None and retries is None:
            break
        record, retry = following, retry + 1
    return record, retry


def selection_of(generation: int, run: str) -> Steps[Selected | None]:
    """The selection of a generation, with the births by which the run goes on after it, be it that
    it was extended; None if it is absent."""
    record = yield from read(paths.selection(generation), "selection", run)
    if record is None:
        return None
    selected = Selected.from_json(record.core)
    if selected.births:
        return selected
    extended = yield from read(paths.extension(generation), "extension", run)
    if extended is None:
        return selected
    return replace(selected, births=Extension.from_json(extended.core).births)


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
    """The highest generation with a manifest, at least `known`; -1 if there is none."""
    generation, _ = yield from newest_manifest(known)
    return generation


def newest_manifest(known: int) -> Steps[tuple[int, bytes | None]]:
    """The highest generation with a manifest, at least `known`, -1 if there is none; and what that
    manifest holds, unless it is the known one.

    Starts at the hint in HEAD and probes by name.  A name that is absent is looked for past the
    caches of a network file system (`store.absent`), so this sees a new manifest at once there;
    were it late nevertheless, the next look would find it.
    """
    generation, held = known, None
    hint = yield from Get(paths.HEAD)
    hinted = paths.hinted(hint) if isinstance(hint, bytes) else None
    # A hint never leads: believe it only if that manifest is really there.
    if hinted is not None and hinted > generation:
        data = yield from Get(paths.manifest(hinted))
        if isinstance(data, bytes):
            generation, held = hinted, data
    while (data := (yield from content(paths.manifest(generation + 1)))) is not None:
        generation, held = generation + 1, data
    return generation, held
