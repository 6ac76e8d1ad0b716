"""The hypervolume of a front: how much of the space of objectives its points dominate.

Points are gains: larger is better in each objective.  K objectives, P points.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

Point = tuple[float, ...]
"""[K] a value for each objective, turned so that larger is better."""


def hypervolume(points: Iterable[Point], reference: Point) -> float:
    """The exact volume of all that some point dominates and that dominates `reference`.

    A point that is not better than the reference in every objective adds nothing.
    """
    gains = [_gain(point, reference) for point in points]
    return _volume([gain for gain in gains if min(gain) > 0])


def _gain(point: Point, reference: Point) -> Point:
    return tuple(value - base for value, base in zip(point, reference, strict=True))


def _volume(gains: Sequence[Point]) -> float:
    """The volume between the origin and gains that are all positive.

    It is cut into slabs along the last objective, and each into slabs along the one before
    (While et al., "A faster algorithm for calculating hypervolume", 2006): in the order of
    P ** (K - 1) steps, which is little for an archive and two or three objectives.
    """
    if not gains:
        return 0.0
    if len(gains[0]) == 1:
        return max(gain[0] for gain in gains)
    ordered = sorted(gains, key=lambda gain: gain[-1], reverse=True)
    heights = [*(gain[-1] for gain in ordered), 0.0]
    return math.fsum(
        (heights[i] - heights[i + 1]) * _volume([gain[:-1] for gain in ordered[: i + 1]])
        for i in range(len(ordered))
        if heights[i] > heights[i + 1]
    )
