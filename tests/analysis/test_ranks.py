"""Metrics of rankings: their definitions, their edges, and a program that many have checked."""

from __future__ import annotations

import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis import ranks

FEW_VALUES = st.lists(st.integers(0, 4), min_size=2, max_size=8)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_tau_is_scipys_tau_b(data: st.DataObject) -> None:
    """Ties on either side, or on both, are counted as SciPy counts them; undefined is NaN."""
    stats = pytest.importorskip("scipy.stats")
    first = data.draw(FEW_VALUES)
    other = data.draw(st.lists(st.integers(0, 4), min_size=len(first), max_size=len(first)))

    tau = ranks.kendall_tau(first, other)
    expected = stats.kendalltau(first, other).statistic

    assert tau == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert math.isnan(tau) == (len(set(first)) == 1 or len(set(other)) == 1)


def test_tau_counts_pairs() -> None:
    """One pair of six in the other order is 4/6; ties on one side divide by fewer pairs."""
    assert ranks.kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert ranks.kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1
    assert ranks.kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(2 * 3))


def test_what_is_undefined_is_nan() -> None:
    """A ranking of equal values says nothing, which is not the same as a tau of 0."""
    equal, other = [0.1] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]

    assert math.isnan(ranks.kendall_tau(equal, other))
    assert np.isnan(ranks.ground_truth_taus([equal, other], other)).tolist() == [True, False]
    assert np.isnan(ranks.ground_truth_taus([other], equal)).all()
    assert math.isnan(ranks.s_tau([other]).mean)
    assert math.isnan(ranks.s_tau([equal, other, other]).mean)
    assert math.isnan(ranks.kendall_tau([1.0], [2.0]))


def test_a_subnet_without_a_score_ranks_last() -> None:
    """Its outputs were not finite: nothing is worse, and two of them are equally bad."""
    truth = [0.5, 0.4, 0.3, 0.2]

    assert ranks.ranks([0.1, math.nan, 0.3, 0.2]).tolist() == [3, 4, 1, 2]
    assert ranks.kendall_tau([0.5, 0.4, 0.3, math.nan], truth) == 1
    assert ranks.kendall_tau([0.5, 0.4, math.nan, math.nan], truth) == pytest.approx(
        5 / math.sqrt(5 * 6)
    )
    assert ranks.top_rank([math.nan, 0.1, 0.2, 0.3], truth, 4) == 1


def test_without_any_score_nothing_ranks_first() -> None:
    """The order of the space is no ranking, and its first subnet not its best."""
    truth, none = [0.2, 0.3, 0.4, 0.5], [math.nan] * 4

    assert math.isnan(ranks.top_rank(none, truth, 1))
    assert math.isnan(ranks.kept(none, truth, best=1, within=2))


def test_truth_without_a_value_is_refused() -> None:
    """A hole in the truth would count as the worst architecture of all."""
    with pytest.raises(ValueError, match="finite for every architecture"):
        ranks.ground_truth_taus([[0.1, 0.2]], [0.1, math.nan])
    with pytest.raises(ValueError, match="finite for every architecture"):
        ranks.top_rank([0.1, 0.2], [0.1, math.nan], 1)


def test_s_tau_is_over_pairs_of_rows() -> None:
    """Mean, largest and smallest tau of every two instances, in whatever order they come."""
    rows = np.random.default_rng(0).random((4, 9))
    taus = [ranks.kendall_tau(a, b) for a, b in combinations(rows, 2)]

    for order in (rows, rows[::-1]):
        found = ranks.s_tau(order)
        assert found.mean == pytest.approx(np.mean(taus))
        assert (found.largest, found.smallest) == pytest.approx((max(taus), min(taus)))


def test_ranks_are_ordinal() -> None:
    """1 is the best, and equal values rank in the order of their indices."""
    assert ranks.ranks([0.5, 0.9, 0.5, 0.7]).tolist() == [3, 1, 4, 2]


def test_the_top_rank_is_that_of_the_best_subnet_found() -> None:
    """T1R asks for the truth about the first alone, T3R for the best truth among three."""
    truth, shared = [0.1, 0.9, 0.5, 0.7], [0.8, 0.2, 0.6, 0.7]

    assert [ranks.top_rank(shared, truth, n) for n in (1, 2, 3, 4)] == [4, 2, 2, 1]
    for count in (0, 5):
        with pytest.raises(ValueError, match="expected between 1 and 4 subnets"):
            ranks.top_rank(shared, truth, count)


@pytest.mark.parametrize("scores", [[2, 2, 2, 2, 2], [3, 3, 1, 1, 1], [1, 2, 2, 2, 0]])
def test_ties_broken_at_random_are_counted_in_expectation(scores: list[float]) -> None:
    """The expected top rank is the mean over every order that the ties may come in."""
    truth = np.array([0.3, 0.5, 0.1, 0.9, 0.7])
    for count in range(1, 6):
        tried = []
        for order in permutations(range(5)):
            shuffled = np.array(order)
            tried.append(ranks.top_rank(np.array(scores)[shuffled], truth[shuffled], count))
        assert ranks.expected_top_rank(scores, truth, count) == pytest.approx(np.mean(tried))


def test_random_subnets_have_known_expectations() -> None:
    """Of 64 subnets the best of one is ranked 32.5, of three 16.25."""
    truth = np.arange(64.0)

    assert ranks.expected_top_rank(np.zeros(64), truth, 1) == pytest.approx(32.5)
    assert ranks.expected_top_rank(np.zeros(64), truth, 3) == pytest.approx(16.25)


def test_pruning_by_shared_accuracy_keeps_some_of_the_best() -> None:
    """How many of the truly best survive is counted among the first ones only."""
    truth, shared = [4, 3, 2, 1], [0.1, 0.9, 0.8, 0.7]

    assert ranks.kept(shared, truth, best=2, within=2) == 1
    assert ranks.kept(shared, truth, best=2, within=4) == 2
