"""Gathers what a run knows about one member: architecture, ancestors, metrics, attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import ClaimHistory, Generation, read_generation
from pbtnas.analysis.history.run import History
from pbtnas.monitoring.lives import Lives, options_of
from pbtnas.records import paths
from pbtnas.search.births import Birth
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import NotARun, check_format


@dataclass(frozen=True)
class Ancestor:
    """A member, or its ancestor through bases, in one generation.

    Args:
        generation: Generation.
        member: Slot.
        score: Score after it; None where there is none.
        donor: Slot of the other parent, if it was born into this generation.
    """

    generation: int
    member: int
    score: float | None
    donor: int | None


@dataclass(frozen=True)
class Choice:
    """One variable of an architecture.

    Args:
        variable: Name.
        option: Option, as text.
        origin: Who gave it: created (it is of the first generation), base, donor, fresh (changed,
            and its weights began fresh), or moved (the rung of a ladder, after it was inherited).
    """

    variable: str
    option: str
    origin: str


@dataclass(frozen=True)
class OneMember:
    """A member as it was in one generation.

    Args:
        generation: Generation.
        member: Slot.
        outcome: Outcome: ok, diverged or failed; "" before there is one.
        score: Score; None unless ok.
        metrics: Further numbers.
        about: What else its result says: worker, device, seconds, parameters, ...
        failure: Class of its failure; "" if it did not fail.
        traceback: Traceback of its failure; "" likewise.
        born: Generation that it was born into; None if it was created in the first one.
        base: Slot of its base, in the generation before its birth; None likewise.
        donor: Slot of its donor; None likewise.
        operator: What made its weights at its birth; "" likewise.
        origins: Numbers of tensors by section and by variable, and where they come from.
        architecture: Its variables; empty if no record tells.
        ancestors: Its ancestors through bases, the oldest first, and itself.
        attempts: Number, worker, ended and text of each attempt at its job.
        problems: Sentences on records that are damaged or missing.
    """

    generation: int
    member: int
    outcome: str
    score: float | None
    metrics: Mapping[str, float]
    about: Mapping[str, Any]
    failure: str
    traceback: str
    born: int | None
    base: int | None
    donor: int | None
    operator: str
    origins: Mapping[str, Any]
    architecture: tuple[Choice, ...]
    ancestors: tuple[Ancestor, ...]
    attempts: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def one_member(run_dir: Path, member: int, generation: int | None = None) -> OneMember:
    """What is known of a member, in the newest generation that it has a result of unless another
    is asked for.  Raises `NotARun` where there is none, and what `History.read` raises."""
    check_format(run_dir)
    with open_files(run_dir) as reader:
        files = RecordFiles(reader)
        history, count = History.beginning(files)
        read = _generation(files, history, count, member, generation)
        if member not in read.jobs.keys() | read.results.keys():
            raise NotARun(
                f"{run_dir}: generation {read.number} has no member {paths.member_name(member)}"
            )
        return _gathered(files, history, read, member)


def _generation(
    files: RecordFiles, history: History, count: int, member: int, asked: int | None
) -> Generation:
    if asked is not None and asked < count:
        return read_generation(files, asked, history.over(asked, count), ())
    if asked is not None or not count:
        raise NotARun(f"{files.root}: has {count} generations, counted from 0")
    newest = read_generation(files, count - 1, history.over(count - 1, count), ())
    if member in newest.results or count == 1:
        return newest
    before = read_generation(files, count - 2, True, ())
    return before if member in before.results else newest


def _gathered(files: RecordFiles, history: History, read: Generation, member: int) -> OneMember:
    lives, number = Lives(files), read.number
    reported = read.results.get(member)
    meta = dict({} if reported is None else reported.meta)
    found = lives.latest_birth(number, member)
    born, birth = found or (None, None)
    slots = lives.ancestors(number, member)
    own = None if reported is None else reported.result.score
    return OneMember(
        generation=number,
        member=member,
        outcome="" if reported is None else reported.result.outcome,
        score=own,
        metrics={} if reported is None else reported.result.metrics,
        failure=str(meta.pop("class", "")),
        traceback=str(meta.pop("traceback", "")),
        about=meta,
        born=born,
        base=None if birth is None else birth.base,
        donor=None if birth is None else birth.donor,
        operator="" if birth is None else birth.operator,
        origins=_origins(files, born, birth),
        architecture=_architecture(history, read, member, birth),
        ancestors=tuple(
            _ancestor(lives, g, slot, own if g == number else None) for g, slot in enumerate(slots)
        ),
        attempts=tuple(_attempt(attempt) for attempt in read.attempts.get(member, ())),
        problems=tuple(files.problems),
    )


def _origins(files: RecordFiles, born: int | None, birth: Birth | None) -> Mapping[str, Any]:
    if born is None or birth is None:
        return {}
    record = files.read(paths.birth(born - 1, birth.member), "birth")
    origins: Mapping[str, Any] = {} if record is None else record.meta.get("origins", {})
    return origins


def _architecture(
    history: History, read: Generation, member: int, birth: Birth | None
) -> tuple[Choice, ...]:
    job = read.jobs.get(member)
    if job is None and birth is None:
        return ()
    indices = job.architecture if job is not None else birth.architecture if birth else ()
    options = options_of(history, indices)
    named = enumerate(options.items())
    return tuple(Choice(name, str(option), _origin(birth, i)) for i, (name, option) in named)


def _origin(birth: Birth | None, variable: int) -> str:
    if birth is None:
        return "created"
    if variable in birth.explored:
        return "moved"
    if variable not in birth.inherited:
        return "base"
    return "donor" if birth.operator == "mix" else "fresh"


def _ancestor(lives: Lives, generation: int, member: int, score: float | None) -> Ancestor:
    result = lives.result(generation, member) if score is None else None
    birth = lives.birth(generation, member)
    return Ancestor(
        generation,
        member,
        score if result is None else result.score,
        None if birth is None else birth.donor,
    )


def _attempt(attempt: ClaimHistory) -> dict[str, Any]:
    end = attempt.end or {}
    return {
        "number": attempt.number,
        "worker": str(attempt.holder.get("worker", "?")),
        "ended": attempt.ended,
        "text": str(end.get("text", "")),
    }
