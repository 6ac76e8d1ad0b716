"""Lists every kind of file that there is in the directory of a run or of a study.

`docs/protocol.md` shows the list, `pbtnas fsck` goes by it, and what the garbage collector takes
is what it says: a new kind of file begins with a line here.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pbtnas.records import paths
from pbtnas.records.names import Digest, Name, Slot


class Role(enum.Enum):
    """What rests on a file."""

    NEEDED = "needed"  # results rest on it, or what was made of them
    WEIGHTS = "weights"  # needed as long as something still to be done begins with it
    OPTIONAL = "saves work"  # without it, work is done again at most
    SIGN = "sign of life"
    HINT = "hint"  # quickens a search that finds the same without it
    VIEW = "view"  # made of records, for people and programs that look on
    TEXT = "for people"
    LOCK = "lock"  # for a quick answer on one machine
    LITTER = "litter"  # nobody reads it


@dataclass(frozen=True)
class Kind:
    """Describes the files of one kind.

    Args:
        name: Their name, with an example of each number in it, and words for what is free.
        role: What rests on them.
        again: Who writes such a file again when it is damaged or gone, in words.
        record: Kind of the record that it holds; "" if it is no record.
        ages: Whether it goes when its generation is old, unless it is a checkpoint that is kept.
    """

    name: str
    role: Role
    again: str
    record: str = ""
    ages: bool = False


def _claimed(slot: Slot, again: str) -> tuple[Kind, ...]:
    """What lies at a slot."""
    return (
        Kind(paths.claim(slot, 1), Role.OPTIONAL, again, "claim"),
        Kind(paths.beat(slot, 1), Role.SIGN, "its claim's holder, with its next beat"),
        Kind(paths.end(slot, 1), Role.OPTIONAL, "nobody", "end"),
    )


_G, _M, _N, _DIGEST = 12, 7, 1, Digest("DIGEST")  # the examples in names
_NEXT = "nobody; the next attempt has another number"
_GIVEN = "the coordinator that is given the CONFIG, if absent"


_FREE = {
    "0001": r"\d{4,}",
    f"{_G:04d}": r"\d{4,}",
    paths.member_name(_M): r"m\d{2,}",
    "001": r"\d{3,}",
    "STEPS": r"\d{9,}",
    "DIGEST": r"[0-9a-f]+",
    "...": r".+",
    **{word: r"[A-Za-z0-9._-]+" for word in ("NAME", "ITEM", "WORKER")},
}


def _any_of(examples: Iterable[str]) -> re.Pattern[str]:
    """What names look like that are spelt as one of the examples is; a group for each."""
    return re.compile("|".join(f"({''.join(_pieces(example))})" for example in examples))


def _pieces(example: str) -> Iterator[str]:
    words = "|".join(re.escape(word) for word in sorted(_FREE, key=len, reverse=True))
    for piece in re.split(f"({words})", example):
        # The number of the configuration is no example: it is always 0000.
        yield _FREE.get(piece, re.escape(piece))


class Kinds:
    """Tells the kinds of files by their names.

    Args:
        kinds: The kinds that there are; of several that fit a name, the first counts.
    """

    def __init__(self, *kinds: Kind) -> None:
        self._kinds = kinds
        self._files = _any_of(kind.name for kind in kinds)
        parts = [kind.name.split("/")[:-1] for kind in kinds]
        inside = {"/".join(p[:depth]): None for p in parts for depth in range(1, len(p) + 1)}
        self._directories = _any_of([*inside, *paths.TOP_DIRECTORIES])

    def __iter__(self) -> Iterator[Kind]:
        return iter((*self._kinds, PRIVATE, ASIDE))

    def of(self, name: str) -> Kind | None:
        """The kind of the file of that name; None if there is no such kind."""
        if "/.tmp-" in f"/{name}" or "/.probe-" in f"/{name}":
            return PRIVATE
        if ".corrupt-" in name:
            return ASIDE
        found = self._files.fullmatch(name)
        return None if found is None else self._kinds[(found.lastindex or 0) - 1]

    def may_hold(self, directory: str) -> bool:
        """Whether a directory of that name is one in which files of these kinds lie."""
        return self._directories.fullmatch(directory) is not None


PRIVATE = Kind(".tmp-...", Role.LITTER, "nobody", ages=True)
ASIDE = Kind("NAME.corrupt-...", Role.LITTER, "nobody")

RUN_KINDS = Kinds(
    Kind(paths.FORMAT, Role.NEEDED, "fsck"),
    Kind(paths.RUN, Role.NEEDED, _GIVEN, "run"),
    Kind(paths.CONFIG, Role.NEEDED, _GIVEN, "config"),
    Kind(paths.engine(1), Role.OPTIONAL, "the coordinator that is given the CONFIG", "engine"),
    Kind(paths.code(1), Role.OPTIONAL, "nobody; who has that code is asked again", "code"),
    Kind(paths.control(1), Role.OPTIONAL, "nobody; the command can be given again", "control"),
    Kind(paths.launch(1), Role.OPTIONAL, "nobody; the command can be given again", "launch"),
    Kind(f"{paths.LAUNCH}/...", Role.TEXT, "`pbtnas launch`"),
    *_claimed(paths.TERM, "nobody; the next term has another number"),
    Kind(paths.COORDINATOR_LOCK, Role.LOCK, "the next coordinator"),
    Kind(paths.manifest(_G), Role.NEEDED, "the coordinator", "manifest"),
    *_claimed(paths.job_slot(_G, _M), _NEXT),
    *_claimed(paths.repair_slot(_G, _M), _NEXT),
    Kind(paths.result(_G, _M), Role.NEEDED, "a worker; fsck, from the selection", "result"),
    Kind(paths.result(_G, _M, 1), Role.NEEDED, "a worker; fsck, from the selection", "result"),
    Kind(paths.selection(_G), Role.NEEDED, "the coordinator, from the results", "selection"),
    Kind(paths.extension(_G), Role.NEEDED, "the coordinator", "extension"),
    Kind(paths.birth(_G, _M), Role.NEEDED, "the coordinator; fsck, from the manifest", "birth"),
    Kind(
        paths.checkpoint(_G, _DIGEST),
        Role.WEIGHTS,
        "an idle worker; an overlay: the coordinator",
        ages=True,
    ),
    Kind(
        f"{paths.attempt(_G, _M, _N)}/snapshot-STEPS-DIGEST.safetensors",
        Role.OPTIONAL,
        "nobody; the attempt begins anew",
        ages=True,
    ),
    Kind(paths.attempt_log(_G, _M, _N), Role.TEXT, "nobody"),
    Kind(f"{paths.previews(_G)}/...", Role.TEXT, "nobody"),
    Kind(paths.FINAL, Role.NEEDED, "the coordinator", "final"),
    Kind(paths.final(1), Role.NEEDED, "the coordinator", "final"),
    Kind(paths.product("NAME"), Role.NEEDED, "whoever lets the task prepare, if absent"),
    Kind(paths.evaluation(_DIGEST), Role.NEEDED, "`pbtnas evaluate`", "evaluation"),
    Kind(paths.subnets(_DIGEST), Role.NEEDED, "`pbtnas subnets`", "subnets"),
    Kind(paths.soup("NAME-soup"), Role.NEEDED, "`pbtnas soup`", "soup"),
    Kind(paths.trial(_DIGEST), Role.NEEDED, "`pbtnas soup`", "trial"),
    Kind(paths.soup_checkpoint(_DIGEST), Role.WEIGHTS, "`pbtnas soup`"),
    *_claimed(paths.afterwards_slot(Name("ITEM.json")), _NEXT),
    Kind("artifacts/...", Role.TEXT, "the command that made it"),
    Kind(paths.HEAD, Role.HINT, "the coordinator; fsck"),
    Kind(paths.BEST, Role.VIEW, "the coordinator; fsck"),
    Kind(paths.SUMMARY, Role.VIEW, "the coordinator"),
    Kind(paths.metrics(_M), Role.VIEW, "the coordinator"),
    Kind(paths.worker("WORKER"), Role.SIGN, "its worker, with its next beat"),
    Kind(paths.worker_log("WORKER"), Role.TEXT, "nobody"),
    Kind(f"{paths.LOG}/...", Role.TEXT, "`pbtnas log`"),
    Kind(f"{paths.TRASH}/...", Role.LITTER, "nobody"),
)

STUDY_KINDS = Kinds(
    Kind(paths.STUDY, Role.NEEDED, "`pbtnas study` with the same file, if absent", "study"),
    Kind(paths.STUDY_ENDED, Role.NEEDED, "`pbtnas study`", "ended"),
    Kind(f"{paths.STUDY_RUNS}/...", Role.NEEDED, "see above"),
    Kind(paths.STUDY_LOCK, Role.LOCK, "`pbtnas study`"),
    Kind(paths.worker_log("WORKER"), Role.TEXT, "nobody"),
    Kind("artifacts/...", Role.TEXT, "the command that made it"),
)
