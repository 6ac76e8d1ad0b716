"""What a share of several runs attains in two objectives: the steps between attained and not.

Points are gains: larger is better in both.  The surface of a share holds every pair of values
that at least this share of the runs has a member for that is as good in both (Fonseca and
Fleming, "On the performance assessment of stochastic multiobjective optimizers", 1996).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Pair = tuple[float, float]


def attained(fronts: Sequence[Sequence[Pair]], runs: int) -> list[Pair]:
    """The corners of what at least `runs` of the fronts attain, by the first objective ascending.

    A corner (x, y) says that y is the best that they attain together with at least x.  Corners
    that another corner is as good as in both are left out; with equal fronts these are the
    points of the front.
    """
    if not 1 <= runs <= len(fronts):
        raise ValueError(f"expected 1 to {len(fronts)} runs, not {runs}")
    corners: list[Pair] = []
    for x in sorted({point[0] for front in fronts for point in front}, reverse=True):
        best = sorted((_best(front, x) for front in fronts), reverse=True)
        y = best[runs - 1]
        if math.isfinite(y) and (not corners or y > corners[-1][1]):
            corners.append((x, y))
    return corners[::-1]


def outline(corners: Sequence[Pair], worst: Pair) -> list[Pair]:
    """The edge between attained and not, from the side of `worst` in the first objective to that
    in the second, as a line with right angles."""
    if not corners:
        return []
    line = [(worst[0], corners[0][1])]
    for here, after in zip(corners, [*corners[1:], None], strict=True):
        line += [here, (here[0], worst[1] if after is None else after[1])]
    return line


def _best(front: Sequence[Pair], x: float) -> float:
    """The best second value of a point that is at least x in the first."""
    return max((point[1] for point in front if point[0] >= x), default=-math.inf)
