"""Says how far a run with several objectives is: the best of each, and the size of its front."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pbtnas.analysis.history.front_summary import FrontSummary
from pbtnas.search.objectives import Objectives


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


def front_so_far(objectives: Objectives, front: FrontSummary) -> FrontSoFar | None:
    """How far a run is; None where members are ranked by nothing but their score."""
    if objectives.only_score:
        return None
    kept = 0 if front.archive is None else len(front.archive.kept)
    nearest = zip(objectives.each, front.nearest, strict=False)  # there may be none yet
    return FrontSoFar(
        best=objectives.values(front.best) if front.best else {},
        size=kept if objectives.several else None,
        unmet=tuple(
            f"{objective} (nearest {value:.6g})"
            for objective, value in nearest
            if objective.outside(value)
        ),
    )
