"""Orders points of several numbers by fronts, and spreads them within a front.

A point is a tuple of numbers, all of which are better when larger.  Every function goes by the
positions of the points in what it is given: of equals, the earlier comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Point = tuple[float, ...]


def dominates(one: Point, other: Point) -> bool:
    """Whether a point is nowhere worse than the other, and somewhere better."""
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def fronts(points: Sequence[Point]) -> list[list[int]]:
    """Non-dominated sorting: the positions of the points of each front, ascending.

    Nobody dominates a point of the first front; a point of any other front is dominated by one
    of the front before, and by none of its own or a later one.  Equal points share a front.
    """
    # Whoever dominates a point comes before it in this order (ENS: Zhang et al., 2015).
    descending = sorted(range(len(points)), key=lambda i: points[i], reverse=True)
    found: list[list[int]] = []
    for i in descending:
        for front in found:
            # Looked at from the end: in two dimensions the last one decides.
            if not any(dominates(points[j], points[i]) for j in reversed(front)):
                front.append(i)
                break
        else:
            found.append([i])
    return [sorted(front) for front in found]


def first_front(points: Sequence[Point]) -> list[int]:
    """The positions of the points that nobody dominates, ascending."""
    found: list[int] = []
    for i in sorted(range(len(points)), key=lambda i: points[i], reverse=True):
        if not any(dominates(points[j], points[i]) for j in reversed(found)):
            found.append(i)
    return sorted(found)


def by_fronts(points: Sequence[Point]) -> list[int]:
    """All positions, best first: front after front, each of them spread out."""
    if all(len(point) == 1 for point in points):
        return sorted(range(len(points)), key=lambda i: -points[i][0])
    ranges = _ranges(points)
    return [i for front in fronts(points) for i in _spread(points, front, ranges)]


def spread(points: Sequence[Point]) -> list[int]:
    """All positions, in an order whose beginning shows how far the points reach.

    The best of each number come first, then always the point farthest from those before, in
    units of each number's range.
    """
    return _spread(points, range(len(points)), _ranges(points))


def _spread(points: Sequence[Point], front: Iterable[int], ranges: Sequence[float]) -> list[int]:
    waiting = dict.fromkeys(front, float("inf"))  # by position: the distance from those placed
    placed: list[int] = []

    def place(chosen: int) -> None:
        placed.append(chosen)
        del waiting[chosen]
        for i, distance in waiting.items():
            waiting[i] = min(distance, _distance(points[i], points[chosen], ranges))

    for axis in range(len(ranges)):
        best = max((points[i][axis] for i in waiting), default=None)
        if best is not None and all(points[i][axis] < best for i in placed):
            place(min(i for i in waiting if points[i][axis] == best))
    while waiting:
        place(max(waiting, key=lambda i: (waiting[i], -i)))
    return placed


def _distance(one: Point, other: Point, ranges: Sequence[float]) -> float:
    """The square of the distance; of products and sums only, which have the same bits anywhere."""
    distance = 0.0
    for a, b, width in zip(one, other, ranges, strict=True):
        if width:
            share = (a / 2 - b / 2) / width
            distance += share * share
    return distance


def _ranges(points: Sequence[Point]) -> list[float]:
    """Half the range of each number: the whole of it may be more than a float holds."""
    return [max(column) / 2 - min(column) / 2 for column in zip(*points, strict=True)]
