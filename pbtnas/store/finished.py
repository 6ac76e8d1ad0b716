"""What a run has to offer, read from its records alone: its best members, front and soups."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record
from pbtnas.records.retries import last_try
from pbtnas.records.schema import Champion, FrontMember, Manifest, Result, Selected, Soup
from pbtnas.store.controls import end_in, steering_of
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import NotARun, Run

_MARK = re.compile(r"-extended[0-9]+(?=-)")
_FRONT = re.compile(r"front-(?P<place>[1-9]\d{0,8})")
_MEMBER = re.compile(r"(?:g(?P<generation>\d{1,9})-)?m(?P<member>\d{1,9})")


def champions(files: RunReader, run: Run) -> dict[str, Champion]:
    """The best members of a finished run: "best-ever" by score, and "best-last".

    Raises `NotARun` when it is not finished, or was cancelled before a generation was.
    """
    core = _final(files, run)
    if not core["generations"]:
        raise NotARun(
            f"{files.root}: the run was cancelled in its first generation, so it has no best "
            "member; `pbtnas show` lists the members that were trained"
        )
    found = {"best-ever": core["best_ever"], "best-last": core["best_last"]}
    return {which: Champion.from_json(best) for which, best in found.items() if best}


def last(files: RunReader, run: Run) -> int:
    """The number of the last generation of a finished run.  Raises `NotARun` likewise."""
    return int(_final(files, run)["generations"]) - 1


def front(files: RunReader, run: Run) -> tuple[FrontMember, ...]:
    """The members of a finished run that no other dominates, the best in the first objective
    first; none where the run has one objective only.

    Raises `NotARun` when it is not finished.
    """
    return tuple(map(FrontMember.from_json, _final(files, run).get("front", ())))


def places_in_front(files: RunReader, run: Run) -> dict[str, Champion]:
    """The members of the front of a finished run by the names of their places, such as "front-3".

    Raises `NotARun` when it is not finished.
    """
    members = enumerate(front(files, run), 1)
    return {f"front-{place}": member.champion for place, member in members}


def is_front(which: str) -> bool:
    """Whether a name is that of a place in the front, such as "front-3"."""
    return _FRONT.fullmatch(which) is not None


def front_member(files: RunReader, run: Run, which: str) -> Champion:
    """The member of a finished run that has a place in its front.

    Raises `NotARun` when it is not finished, or has no such place.
    """
    named = _FRONT.fullmatch(which)
    assert named is not None, "asked for by is_front"
    members, place = front(files, run), int(named["place"])
    if place <= len(members):
        return members[place - 1].champion
    if members:
        told = f"its front has {len(members)} members, front-1 to front-{len(members)}"
    elif "front" in _final(files, run):
        told = "no member was ever within the bounds of search.objectives, so its front is empty"
    else:
        told = "with one objective there is no front, but best-ever and best-last"
    raise NotARun(f"{files.root}: has no {which!r}: {told}")


def _final(files: RunReader, run: Run) -> Mapping[str, Any]:
    steering, _ = steering_of(files, run.id)
    end = end_in(files, steering)
    record = None if end is None else files.record(end, "final", run.id)
    if record is None:
        raise NotARun(
            f"{files.root}: the run is not finished yet; `pbtnas status` tells how far it is, and "
            "`pbtnas show` the members that evaluate and export can have now; best-so-far is for "
            "pbtnas play and pbtnas.load"
        )
    return record.core


def best_so_far(files: RunReader) -> Champion:
    """The best member up to now, of a run that may go on.  Its checkpoint is kept while it is that.

    Raises `NotARun` while there is none, `CorruptRecord` when the view of it is damaged.
    """
    data = files.get(paths.BEST)
    if data is None:
        raise NotARun(
            f"{files.root}: there is no best member yet; `pbtnas status` tells how far it is"
        )
    try:
        return Champion.from_json(json.loads(data))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CorruptRecord(
            f"{files.root}/{paths.BEST}: damaged; the coordinator writes it again with the next "
            "generation"
        ) from None


def is_member(which: str) -> bool:
    """Whether a name is that of a member: "m03", or "g0012-m03" with its generation."""
    return numbers_in(which) is not None


def numbers_in(which: str) -> tuple[int | None, int] | None:
    """Generation and slot that the name of a member says; None if it is none."""
    found = _MEMBER.fullmatch(which)
    if found is None:
        return None
    generation = None if found["generation"] is None else int(found["generation"])
    return generation, int(found["member"])


def named_member(generation: int, member: int) -> str:
    """The name of a member as it was after a generation, e.g. "g0012-m03"."""
    return f"g{generation:04d}-{paths.member_name(member)}"


def member(files: RunReader, run: Run, which: str) -> Champion:
    """A member by its name, of a run that may go on; without a generation, as it was last.

    Raises `NotARun` when there is no such member, it has no score, or its checkpoint is gone.
    """
    named = numbers_in(which)
    assert named is not None, "asked for by is_member"
    asked, number = named
    if asked is not None:
        return _with_checkpoint(files, which, _member(files, run, asked, number))
    generation = 0
    while files.published(paths.manifest(generation + 1)):
        generation += 1
    for earlier in range(generation, -1, -1):
        known = _member(files, run, earlier, number)
        if known is not None:
            return _with_checkpoint(files, which, known)
    raise NotARun(f"{files.root}: has no member {which!r} with a score")


def _member(files: RunReader, run: Run, generation: int, number: int) -> Champion | None:
    """A member as it was after a generation; None if it has no score there."""
    manifest = files.record(paths.manifest(generation), "manifest", run.id)
    record = result_of(files, run, generation, number)
    selection = files.record(paths.selection(generation), "selection", run.id)
    if manifest is None:
        return None
    jobs = [job for job in Manifest.from_json(manifest.core).jobs if job.member == number]
    results: tuple[Result, ...] = ()
    if record is not None:
        results = (Result.from_json(record.core),)
    elif selection is not None:
        results = Selected.from_json(selection.core).results
    for job in jobs:
        for result in results:
            if result.member != number or result.score is None or result.checkpoint is None:
                continue
            return Champion(generation, number, result.score, job.architecture, result.checkpoint)
    return None


def result_of(files: RunReader, run: Run, generation: int, number: int) -> Record | None:
    """The result of a member's job, or of the last retry of it; None if there is none yet."""

    def read(retry: int) -> Record | None:
        return files.record(paths.result(generation, number, retry), "result", run.id)

    return last_try(read)[0]


def _with_checkpoint(files: RunReader, which: str, known: Champion | None) -> Champion:
    if known is None:
        raise NotARun(f"{files.root}: has no member {which!r} with a score")
    name = paths.checkpoint(known.generation, known.checkpoint)
    if not files.exists(name):
        raise NotARun(
            f"{files.root}: the checkpoint of {which!r} was discarded; `pbtnas show {files.root}` "
            "lists the members that still have one"
        )
    return known


def soups(files: RunReader, run: Run) -> dict[str, Soup]:
    """The soups that were made of a finished run, by name, e.g. "best-ever-soup".

    Those that were made before it was extended are not of what it came to since.
    """
    mark = soup_mark(files, run)
    found = {}
    for leaf in sorted(files.names(paths.SOUPS)):
        which = paths.soup_of(leaf)
        if which is None or "".join(_MARK.findall(which)[:1]) != mark:
            continue
        record = files.record(paths.soup(which), "soup", run.id)
        if record is not None:
            found[which.replace(mark, "", 1) if mark else which] = Soup.from_json(record.core)
    return found


def soup_mark(files: RunReader, run: Run) -> str:
    """What the names of soups have besides that of the best member; "" in a run that was never
    extended."""
    end = end_in(files, steering_of(files, run.id)[0])
    extensions = 0 if end is None else paths.final_number(end)
    return f"-extended{extensions}" if extensions else ""
