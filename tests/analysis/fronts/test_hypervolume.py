"""The hypervolume of a front, by hand and against Monte Carlo."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from pbtnas.analysis.fronts.hypervolume import hypervolume


def test_a_single_point_dominates_its_box() -> None:
    """The volume of one point is the product of its gains over the reference point."""
    assert hypervolume([(3.0, 5.0)], (1.0, 1.0)) == 8.0
    assert hypervolume([(3.0, 5.0, 2.0)], (1.0, 1.0, 0.0)) == 16.0


def test_two_points_count_what_both_dominate_once() -> None:
    """A staircase of two points is counted by hand, and its points have no order."""
    points = [(1.0, 3.0), (2.0, 1.0)]
    assert hypervolume(points, (0.0, 0.0)) == 4.0
    assert hypervolume(points[::-1], (0.0, 0.0)) == 4.0


def test_points_that_are_dominated_or_repeated_add_nothing() -> None:
    """Only the front counts, so that a run may hand in all its members."""
    front = [(1.0, 3.0, 2.0), (2.0, 1.0, 1.0)]
    more = [*front, (1.0, 1.0, 1.0), front[0], (2.0, 1.0, 0.5)]
    assert hypervolume(more, (0.0, 0.0, 0.0)) == hypervolume(front, (0.0, 0.0, 0.0))


def test_points_that_do_not_dominate_the_reference_add_nothing() -> None:
    """A point as bad as the reference in one objective has no volume, however good in others."""
    assert hypervolume([(9.0, 0.0), (-1.0, 9.0)], (0.0, 0.0)) == 0.0
    assert hypervolume([], (0.0, 0.0)) == 0.0


@pytest.mark.parametrize(("objectives", "seed"), [*itertools.product((2, 3), range(4))])
def test_it_agrees_with_monte_carlo(objectives: int, seed: int) -> None:
    """The exact volume lies within five standard errors of a count of random points."""
    rng = np.random.default_rng(seed)
    points = rng.random((12, objectives))
    drawn = rng.random((100_000, objectives))
    below = np.all(points[None, :, :] >= drawn[:, None, :], axis=2)
    dominated = float(np.mean(np.any(below, axis=1)))
    error = math.sqrt(dominated * (1 - dominated) / len(drawn))
    exact = hypervolume([tuple(map(float, point)) for point in points], (0.0,) * objectives)
    assert abs(exact - dominated) < 5 * error


def test_a_unit_of_an_objective_only_scales_it() -> None:
    """Twice the unit of one objective gives exactly twice the volume: ratios have no unit."""
    rng = np.random.default_rng(5)
    points = [tuple(map(float, point)) for point in rng.random((9, 3))]
    scaled = [(x, y, 2 * z) for x, y, z in points]
    assert hypervolume(scaled, (0.0,) * 3) == 2 * hypervolume(points, (0.0,) * 3)
