"""Non-dominated sorting, the order within a front, and ranking by several objectives."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.search import Member, rank
from pbtnas.search.fronts import Point, by_fronts, dominates, first_front, fronts, spread
from pbtnas.search.population import usable

few = st.integers(-3, 3).map(float)  # few values: ties
any_float = st.floats(allow_nan=False, allow_infinity=False)


def points(number: st.SearchStrategy[float], most: int = 12) -> st.SearchStrategy[list[Point]]:
    """Points of one to four numbers, all of as many."""
    sizes = st.integers(1, 4)
    return sizes.flatmap(lambda size: st.lists(st.tuples(*[number] * size), max_size=most))


@st.composite
def populations(draw: st.DrawFn) -> list[Member]:
    """Members with one to three objectives, some unusable and some outside of bounds."""
    found = draw(points(few))
    outside = st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0])
    bad = st.sampled_from([None, None, None, math.nan, math.inf])
    members = []
    for i, point in enumerate(found):
        spoilt = draw(bad)
        if spoilt is not None:
            point = (*point[:-1], spoilt)
        score = None if draw(st.integers(0, 9)) == 0 else point[0]
        members.append(Member(i, (0,), score, point, draw(outside)))
    random.Random(draw(st.integers(0, 99))).shuffle(members)
    return members


def naive_fronts(found: Sequence[Point]) -> list[list[int]]:
    """Fronts by their definition, one after the other.

    It asks nothing of what is tested: with a wrong `dominates` a front could be empty for ever.
    """

    def better(one: Point, other: Point) -> bool:
        pairs = list(zip(one, other, strict=True))
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    left, result = list(range(len(found))), []
    while left:
        front = [i for i in left if not any(better(found[j], found[i]) for j in left)]
        result.append(front)
        left = [i for i in left if i not in front]
    return result


@given(points(st.one_of(few, any_float)))
def test_fronts_are_those_of_the_definition(found: list[Point]) -> None:
    """Whatever the order, ties and repetitions, each front is what nobody left over dominates."""
    assert fronts(found) == naive_fronts(found)
    assert first_front(found) == (naive_fronts(found) or [[]])[0]


@given(points(any_float))
def test_the_order_is_a_permutation_in_which_nobody_comes_before_who_dominates_it(
    found: list[Point],
) -> None:
    """The best members of a generation are never dominated by one that is to be replaced, and
    numbers as large as a float holds do no harm."""
    order = by_fronts(found)

    assert sorted(order) == list(range(len(found)))
    for place, i in enumerate(order):
        assert not any(dominates(found[j], found[i]) for j in order[place + 1 :])


@given(populations())
def test_ranking_puts_those_within_bounds_first_and_the_unusable_last(
    members: list[Member],
) -> None:
    """Then those outside by how far outside they are, and equal ones by number; the order in
    which members are given plays no part."""
    ranked = rank(members)

    assert sorted(m.number for m in ranked) == sorted(m.number for m in members)
    assert ranked == rank(sorted(members, key=lambda m: m.number))
    groups = [0 if usable(m) and not m.outside else 1 if usable(m) else 2 for m in ranked]
    assert groups == sorted(groups)
    beyond = [(m.outside, m.number) for m, group in zip(ranked, groups, strict=True) if group == 1]
    assert beyond == sorted(beyond)
    within = [m for m, group in zip(ranked, groups, strict=True) if group == 0]
    for place, member in enumerate(within):
        behind = within[place + 1 :]
        assert not any(dominates(m.objectives, member.objectives) for m in behind)
        equal = [m.number for m in behind if m.objectives == member.objectives]
        assert all(number > member.number for number in equal)


@given(populations())
def test_one_objective_is_ranked_as_a_score_is(members: list[Member]) -> None:
    """The score as the only objective, or named by nobody, gives the order of all runs so far."""
    scored = [replace(m, objectives=(), outside=0.0) for m in members]
    named = [m if m.score is None else replace(m, objectives=(m.score,)) for m in scored]

    def key(member: Member) -> tuple[bool, float, int]:
        score = member.score
        return (score is None, 0.0 if score is None else -score, member.number)

    finite = [m for m in scored if m.score is None or math.isfinite(m.score)]
    assert [m.number for m in rank(finite)] == [m.number for m in sorted(finite, key=key)]
    assert [m.number for m in rank(named)] == [m.number for m in rank(scored)]


@given(points(st.integers(-50, 50).map(float)), st.sampled_from([math.atan, lambda x: x**3]))
def test_fronts_do_not_depend_on_how_an_objective_is_scaled(found: list[Point], scale) -> None:  # type: ignore[no-untyped-def]
    """Any monotone rescaling keeps the fronts; only the choice within a front may be another."""
    scaled = [(scale(point[0]), *point[1:]) for point in found]
    order = [set(front) for front in fronts(found)]

    assert [set(front) for front in fronts(scaled)] == order
    placed = by_fronts(scaled)
    for front in order:
        assert set(placed[: len(front)]) == front
        placed = placed[len(front) :]


def naive_spread(found: Sequence[Point]) -> list[int]:
    """The order within a front as it is described, distance by distance."""
    widths = [max(column) - min(column) for column in zip(*found, strict=True)]

    def distance(i: int, j: int) -> float:
        shares = [
            (a - b) / width if width else 0.0
            for a, b, width in zip(found[i], found[j], widths, strict=True)
        ]
        return sum(share * share for share in shares)

    placed: list[int] = []
    for axis in range(len(widths)):
        best = max(point[axis] for point in found)
        if all(found[i][axis] != best for i in placed):
            placed.append(next(i for i, p in enumerate(found) if p[axis] == best))
    while len(placed) < len(found):
        left = [i for i in range(len(found)) if i not in placed]
        placed.append(max(left, key=lambda i: (min(distance(i, j) for j in placed), -i)))
    return placed


@given(points(st.integers(-8, 8).map(float)).filter(bool))
@settings(max_examples=60)
def test_a_front_begins_with_its_extremes_and_goes_on_with_the_farthest(found: list[Point]) -> None:
    """The first few of a front show its whole extent, in units of each objective's range."""
    # In eighths of a power of two, the distances of both have the same bits.
    assert [found[i] for i in spread(found)] == [found[i] for i in naive_spread(found)]


def test_a_front_by_hand() -> None:
    """Extremes first, then the middle of the widest gap, then what lies nearest to others."""
    front = [(0.0, 10.0), (1.0, 9.0), (5.0, 5.0), (9.0, 1.0), (10.0, 0.0)]

    assert spread(front) == [4, 0, 2, 1, 3]
    # A unit of the second is worth a thousand times as much: nothing changes.
    assert spread([(a, b / 1000) for a, b in front]) == [4, 0, 2, 1, 3]


@pytest.mark.parametrize("spoilt", [math.nan, math.inf, -math.inf])
def test_a_member_with_an_objective_that_is_not_finite_is_no_parent(spoilt: float) -> None:
    """Its score alone does not make it usable: it is ranked behind all others."""
    members = [Member(0, (0,), 9.0, (9.0, spoilt)), Member(1, (0,), 1.0, (1.0, 0.0), outside=2.0)]

    assert [usable(member) for member in members] == [False, True]
    assert [member.number for member in rank(members)] == [1, 0]
