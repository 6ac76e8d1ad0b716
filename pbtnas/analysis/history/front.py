"""Says how far a run with several objectives is: the best of each, and the size of its front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pbtnas.analysis.history.run import History
from pbtnas.records.schema import Result, numbers
from pbtnas.search.objectives import Objective


@dataclass(frozen=True)
class FrontSoFar:
    """The front of a run up to the last generation that was selected from.

    Args:
        best: The best value of each objective by name, of members within all bounds; empty while
            nobody is.
        size: Members that are kept because no other dominates them; None with one objective.
        unmet: Bounds that nobody has met so far, each with the value nearest to it.
    """

    best: Mapping[str, float]
    size: int | None
    unmet: tuple[str, ...]


def front_so_far(history: History) -> FrontSoFar | None:
    """How far a run is; None where members are ranked by nothing but their score."""
    objectives = history.objectives
    if objectives.only_score:
        return None
    selected = [g for g in history.generations if g.selection is not None]
    results = {(g.number, m): r.result for g in selected for m, r in g.results.items()}
    members = [(g.number, m) for g in selected for m in g.members(objectives)]
    within = [m.objectives for _, m in members if m.objectives and not m.outside]
    best = [max(column) for column in zip(*within, strict=True)]
    known = [results[number, m.number] for number, m in members if m.objectives]
    archives = history.archives()
    return FrontSoFar(
        best=objectives.values(best) if best else {},
        size=(len(archives[-1].kept) if archives else 0) if objectives.several else None,
        unmet=tuple(_unmet(objectives.each, known)),
    )


def _unmet(objectives: Sequence[Objective], results: Sequence[Result]) -> list[str]:
    found = []
    for objective in objectives:
        values = [
            numbers(result.score, result.metrics)[objective.name]
            for result in results
            if result.score is not None
        ]
        if values and all(map(objective.outside, values)):
            nearest = min(values, key=objective.outside)
            found.append(f"{objective} (nearest {nearest:.6g})")
    return found
