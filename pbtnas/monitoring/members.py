"""Lists the members of a run as data: what became of them, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pbtnas.analysis.history.run import Generation, History
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.store.opening import open_files


@dataclass(frozen=True)
class MemberRow:
    """A member as it was after a generation.

    Args:
        generation: Generation.
        member: Slot.
        outcome: Outcome: ok, diverged or failed.
        score: Score; None unless ok.
        metrics: Further numbers.
        age: Generations that it has been trained in, since it was created or born.
        parents: Base and donor, slots of the generation before its birth; () if it was created.
        architecture: Option index of every variable; None if no record tells.
        seconds: Seconds its training and scoring took in all these generations; None if unknown.
        checkpoint: File of its checkpoint in the run directory; None if that is gone.
        parameters: Number of parameters of its trained network; None if no record tells.
        processor: Name of the processor that its last result comes from; None likewise.
        cpu_capability: Instructions that this computed with; None likewise.
    """

    generation: int
    member: int
    outcome: str
    score: float | None
    metrics: Mapping[str, float]
    age: int
    parents: tuple[int, ...]
    architecture: tuple[int, ...] | None
    seconds: float | None
    checkpoint: str | None
    parameters: int | None = None
    processor: str | None = None
    cpu_capability: str | None = None


def members(history: History) -> list[MemberRow]:
    """The members that are worth a look, the best first: those of the newest generation that has
    results, and others that still have a checkpoint."""
    with open_files(history.root) as files:
        newest = max((g.number for g in history.generations if g.results), default=-1)
        rows = []
        for generation in history.generations:
            there = set(files.names(paths.checkpoints(generation.number)))
            for member in generation.results:
                row = _row(history, generation, member, there)
                if generation.number == newest or row.checkpoint is not None:
                    rows.append(row)
    return sorted(
        rows,
        key=lambda r: (
            r.generation != newest,
            -r.generation,
            r.score is None,
            -(r.score or 0.0),
            r.member,
        ),
    )


def _row(history: History, generation: Generation, member: int, there: set[str]) -> MemberRow:
    result, meta = generation.results[member].result, generation.results[member].meta
    parents: tuple[int, ...] = ()
    age, seconds, known = 0, 0.0, False
    for number in range(generation.number, -1, -1):
        earlier = history.generations[number]
        wall_s = earlier.results[member].meta.get("wall_s") if member in earlier.results else None
        seconds, known = seconds + float(wall_s or 0.0), known or wall_s is not None
        age += 1
        born = history.birth(number, member)
        if born is not None:
            parents = tuple(dict.fromkeys((born.birth.base, born.birth.donor)))
            break
    return MemberRow(
        generation=generation.number,
        member=member,
        outcome=result.outcome,
        score=result.score,
        metrics=result.metrics,
        age=age,
        parents=parents,
        architecture=history.architecture(generation.number, member),
        seconds=round(seconds, 1) if known else None,
        checkpoint=_file(generation.number, result.checkpoint, there),
        parameters=meta.get("parameters"),
        processor=meta.get("processor"),
        cpu_capability=meta.get("cpu_capability"),
    )


def _file(generation: int, checkpoint: Digest | None, there: set[str]) -> str | None:
    if checkpoint is None:
        return None
    name = paths.checkpoint(generation, checkpoint)
    return name if Path(name).name in there else None
