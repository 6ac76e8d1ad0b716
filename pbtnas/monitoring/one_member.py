"""Gathers what a run knows about one member: architecture, ancestors, metrics, attempts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import (
    ClaimHistory,
    Generation,
    ResultWithMeta,
    read_attempts,
)
from pbtnas.analysis.history.outline import outline
from pbtnas.analysis.history.run import History
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Result
from pbtnas.search.births import Birth
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import NotARun


@dataclass(frozen=True)
class Ancestor:
    """A member, or its ancestor through bases, in one generation.

    Args:
        generation: Generation.
        member: Slot.
        epochs: Epochs that its network had been trained by then, those of its ancestors included.
        score: Score after it; None where there is none.
        donor: Slot of the other parent, if it was born into this generation.
    """

    generation: int
    member: int
    epochs: int
    score: float | None
    donor: int | None


@dataclass(frozen=True)
class Choice:
    """One variable of an architecture.

    Args:
        variable: Name.
        option: Option, as text.
        origin: Who gave it: created (it is of the first generation), base, donor, fresh (its
            weights began fresh), or moved (the rung of a ladder, after it was inherited).
        layer: Whether it has modules, and so weights.
    """

    variable: str
    option: str
    origin: str
    layer: bool


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
        checkpoint: Digest of its checkpoint; None where there is none.
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
    checkpoint: Digest | None
    problems: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def one_member(run_dir: Path, member: int, generation: int | None = None) -> OneMember:
    """What is known of a member, in the newest generation that it has a result of unless another
    is asked for.  Raises `NotARun` where there is none, and what `History.read` raises."""
    history = outline(run_dir)
    number = _generation(history, member) if generation is None else generation
    if not 0 <= number < len(history.generations):
        raise NotARun(f"{run_dir}: has {len(history.generations)} generations, counted from 0")
    with open_files(run_dir) as reader:
        found = known_member(RecordFiles(reader, history.run or None), history, number, member)
    if found is None:
        name = paths.member_name(member)
        raise NotARun(f"{run_dir}: generation {number} has no member {name}")
    return replace(found, problems=tuple(dict.fromkeys((*history.problems, *found.problems))))


def _generation(history: History, member: int) -> int:
    newest = len(history.generations) - 1
    scored = (n for n in (newest, newest - 1) if member in history.generations[n].results)
    return next(scored, newest) if newest > 0 else newest


def known_member(
    files: RecordFiles, history: History, generation: int, member: int
) -> OneMember | None:
    """What is known of a member of a history, which may be an outline; None where nobody was.

    Args:
        files: Files of the run, of which those of the member are read.
        history: The run.
        generation: Generation, one of the history's.
        member: Slot.
    """
    here = history.generations[generation]
    if member not in here.jobs.keys() | here.results.keys():
        return None
    reported = _reported(files, here, member)
    result = None if reported is None else reported.result
    meta = dict({} if reported is None else reported.meta)
    line = history.ancestors(generation, member)
    born, birth = _latest_birth(history, line) or (None, None)
    return OneMember(
        generation=generation,
        member=member,
        outcome="" if result is None else result.outcome,
        score=None if result is None else result.score,
        metrics={} if result is None else result.metrics,
        failure=str(meta.pop("class", "")),
        traceback=str(meta.pop("traceback", "")),
        about=meta,
        born=born,
        base=None if birth is None else birth.base,
        donor=None if birth is None else birth.donor,
        operator="" if birth is None else birth.operator,
        origins=_origins(files, born, birth),
        architecture=_architecture(history, generation, member, birth),
        ancestors=tuple(_ancestors(history, line)),
        attempts=tuple(
            _attempt(attempt)
            for attempt in read_attempts(files, paths.job_slot(generation, member), reported)
        ),
        checkpoint=None if result is None else result.checkpoint,
        problems=tuple(files.problems),
    )


def _reported(files: RecordFiles, here: Generation, member: int) -> ResultWithMeta | None:
    """The result with its metadata; where its record is lost, the copy in the selection."""
    known = here.results.get(member)
    retry = 0 if known is None else known.retry
    name = paths.result(here.number, member, retry)
    record = files.read(name, "result", expected=known is not None)
    if record is None:
        return known
    return ResultWithMeta(Result.from_json(record.core), record.meta, retry)


def _latest_birth(history: History, line: Sequence[int]) -> tuple[int, Birth] | None:
    """The birth of a member, and the generation that it was born into; None if it was created."""
    for number in range(len(line) - 1, 0, -1):
        born = history.birth(number, line[number])
        if born is not None:
            return number, born.birth
    return None


def _origins(files: RecordFiles, born: int | None, birth: Birth | None) -> Mapping[str, Any]:
    if born is None or birth is None:
        return {}
    record = files.read(paths.birth(born - 1, birth.member), "birth")
    origins: Mapping[str, Any] = {} if record is None else record.meta.get("origins", {})
    return origins


def _architecture(
    history: History, generation: int, member: int, birth: Birth | None
) -> tuple[Choice, ...]:
    """Its variables with their options; by their indices where the space is not recorded."""
    architecture = history.architecture(generation, member) or ()
    variables = tuple(history.space or ())
    found = []
    for i, option in enumerate(architecture):
        variable = variables[i] if i < len(variables) else None
        name, chosen = (
            (f"variable {i}", f"option {option}")
            if variable is None
            else (variable.name, str(variable.options[option]))
        )
        layer = variable is not None and bool(variable.modules)
        found.append(Choice(name, chosen, _origin(birth, i), layer))
    return tuple(found)


def _origin(birth: Birth | None, variable: int) -> str:
    if birth is None:
        return "created"
    if variable in birth.explored:
        return "moved"
    if variable not in birth.inherited:
        return "base"
    return "fresh" if birth.begins_fresh else "donor"


def _ancestors(history: History, line: Sequence[int]) -> Iterator[Ancestor]:
    epochs = 0
    for number, slot in enumerate(line):
        generation = history.generations[number]
        job, reported = generation.jobs.get(slot), generation.results.get(slot)
        born = history.birth(number, slot)
        epochs += 0 if job is None else job.epochs
        score = None if reported is None else reported.result.score
        yield Ancestor(number, slot, epochs, score, None if born is None else born.birth.donor)


def _attempt(attempt: ClaimHistory) -> dict[str, Any]:
    end = attempt.end or {}
    return {
        "number": attempt.number,
        "worker": str(attempt.holder.get("worker", "?")),
        "ended": attempt.ended,
        "text": str(end.get("text", "")),
    }
