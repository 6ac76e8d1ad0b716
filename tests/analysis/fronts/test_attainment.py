"""What a share of runs attains in two objectives."""

from __future__ import annotations

import random

import pytest

from pbtnas.analysis.fronts.attainment import Pair, attained, outline

FRONTS: list[list[Pair]] = [[(1.0, 3.0), (3.0, 1.0)], [(2.0, 2.0)]]


def test_one_run_attains_its_front() -> None:
    """The surface of a single run has the points of its front as corners."""
    assert attained([[(3.0, 1.0), (1.0, 3.0), (1.0, 1.0)]], 1) == [(1.0, 3.0), (3.0, 1.0)]


def test_the_best_and_the_worst_surface_by_hand() -> None:
    """At least one run attains the union of the fronts, all runs only what both reach."""
    assert attained(FRONTS, 1) == [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]
    assert attained(FRONTS, 2) == [(1.0, 2.0), (2.0, 1.0)]


def test_it_counts_the_runs_that_attain_a_point() -> None:
    """A random point lies below the surface of n runs exactly if n runs have a member above."""
    rng = random.Random(3)
    fronts = [[(rng.random(), rng.random()) for _ in range(5)] for _ in range(4)]
    for _ in range(100):
        x, y = rng.random(), rng.random()
        count = sum(any(a >= x and b >= y for a, b in front) for front in fronts)
        below = [any(a >= x and b >= y for a, b in attained(fronts, n)) for n in range(1, 5)]
        assert below == [n <= count for n in range(1, 5)]


def test_runs_that_reach_nothing_leave_a_surface_out() -> None:
    """Where fewer runs than asked for have members, there is nothing to draw."""
    assert attained([[(1.0, 1.0)], []], 2) == []
    assert outline([], (0.0, 0.0)) == []


def test_the_outline_has_right_angles_from_side_to_side() -> None:
    """The line begins and ends at the worst values, and moves along one axis at a time."""
    line = outline([(1.0, 3.0), (3.0, 1.0)], (0.0, 0.0))
    assert line == [(0.0, 3.0), (1.0, 3.0), (1.0, 1.0), (3.0, 1.0), (3.0, 0.0)]


def test_a_number_of_runs_that_there_are_not_is_refused() -> None:
    """Nobody draws the surface of more runs than there are."""
    with pytest.raises(ValueError, match="expected 1 to 2 runs, not 3"):
        attained(FRONTS, 3)
