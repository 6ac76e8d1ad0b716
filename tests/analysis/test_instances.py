"""Readings of supernets: what each row counts for, and how instances are joined and averaged."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pbtnas.analysis import instances
from pbtnas.analysis.ranks import kendall_tau, top_rank
from tests.analysis.supernets import made_rows, made_truth

TRUTH = made_truth()


def test_mean_and_std_are_over_the_last_rows() -> None:
    """Mean-k and Std-k are of the taus of the last k mini-batches; the std divides by k."""
    rows = made_rows(0, rows=20)
    taus = [kendall_tau(row, TRUTH) for row in rows[-8:]]

    found = instances.tau_mean_std(rows, TRUTH, 8)

    assert found.mean == pytest.approx(np.mean(taus))
    assert found.std == pytest.approx(np.std(taus))
    assert math.isnan(instances.tau_mean_std(rows, TRUTH, 21).mean)


def test_a_row_without_a_tau_leaves_the_mean_undefined() -> None:
    """Subnets that are all equal, as before training, do not count as a tau of 0."""
    rows = made_rows(0, rows=4)
    rows[-2] = 0.1

    assert math.isnan(instances.tau_mean_std(rows, TRUTH, 3).mean)
    assert math.isfinite(instances.tau_mean_std(rows, TRUTH, 1).mean)


def test_an_instance_is_read_by_its_last_rows() -> None:
    """Averaged accuracies and the last row have each their tau and their top ranks."""
    rows = made_rows(1, rows=30)
    found = instances.read_instance(rows, TRUTH, k=16, between=4)
    averaged = rows[-16:].mean(axis=0)

    assert found.averaged.tau == kendall_tau(averaged, TRUTH)
    assert found.averaged.top3 == top_rank(averaged, TRUTH, 3)
    assert found.last.top1 == top_rank(rows[-1], TRUTH, 1)
    assert found.accuracies.mean == pytest.approx(averaged.mean())
    assert found.between.smallest <= found.between.mean <= found.between.largest
    assert (found.best, 8 <= found.kept <= 16) == (16, True)


def test_averaging_rows_is_better_than_most_of_them() -> None:
    """Noise of single mini-batches goes away: what the average is printed for."""
    found = instances.read_instance(made_rows(2), TRUTH)

    assert found.averaged.tau > found.taus.mean + found.taus.std


def test_an_arm_has_a_value_an_instance() -> None:
    """S-Tau is between the last rows of instances, the rest is read from each alone."""
    rows = [made_rows(seed, rows=8) for seed in range(3)]
    arm = instances.read_arm(rows, TRUTH, k=8)
    pairs = [kendall_tau(rows[i][-1], rows[j][-1]) for i, j in ((0, 1), (0, 2), (1, 2))]

    assert arm.s_tau.mean == pytest.approx(np.mean(pairs))
    assert arm.s_tau.largest == pytest.approx(max(pairs))
    for i, each in enumerate(rows):
        alone = instances.read_instance(each, TRUTH, k=8, between=2)
        assert (arm.gt_tau[i], arm.top1[i]) == (alone.last.tau, alone.last.top1)
        assert (arm.mean_k[i], arm.std_k[i]) == (alone.taus.mean, alone.taus.std)


def test_one_instance_has_no_s_tau() -> None:
    """The rest is told all the same."""
    arm = instances.read_arm([made_rows(0)], TRUTH)

    assert math.isnan(arm.s_tau.mean)
    assert math.isfinite(arm.mean_k[0])


def test_single_trainings_are_compared_with_their_mean() -> None:
    """The row "ground truth" compares the ranks of each seed with the mean over all seeds."""
    seeds = TRUTH + np.random.default_rng(0).normal(0, 0.01, (5, 64))
    arm = instances.read_single_trainings(seeds)

    assert arm.gt_tau[2] == kendall_tau(seeds[2], seeds.mean(axis=0))
    assert np.mean(arm.gt_tau) > arm.s_tau.mean


def test_simulated_truth_is_as_good_as_its_deviations_are_small() -> None:
    """Trainings without deviations agree in everything; with large ones they hardly do."""
    rng = np.random.default_rng(0)
    sure = instances.simulate_truth(TRUTH, TRUTH * 0, rng, studies=2, seeds=2)
    rough = instances.simulate_truth(TRUTH, TRUTH * 0 + 1, rng, studies=4, seeds=4)

    assert (sure.s_tau.mean, sure.gt_tau.mean, sure.top1.mean) == (1, 1, 1)
    assert abs(rough.s_tau.mean) < 0.2
    assert rough.top3.mean < rough.top1.mean


def test_groups_are_joined_side_by_side() -> None:
    """Row t of the whole has every group's t-th row, each subnet at its own place."""
    rows = made_rows(0, rows=3, subnets=6)
    parts = [([4, 0], rows[:, [4, 0]]), ([1, 2, 3, 5], rows[:, [1, 2, 3, 5]])]

    assert np.array_equal(instances.join_groups(parts), rows)


def test_groups_that_do_not_fit_are_refused() -> None:
    """A subnet in two groups or in none, or groups of other lengths, would rank nonsense."""
    rows = made_rows(0, rows=3, subnets=4)
    with pytest.raises(ValueError, match=r"every subnet in one group, got the indices \[0, 1, 1\]"):
        instances.join_groups([([0, 1], rows[:, :2]), ([1], rows[:, :1])])
    with pytest.raises(ValueError, match=r"as many rows of every group, got \[3, 2\]"):
        instances.join_groups([([0, 1], rows[:, :2]), ([2, 3], rows[:2, 2:])])


def test_tau_within_groups_ignores_what_is_between_them() -> None:
    """Each group may be ordered rightly and the groups wrongly; a group of one says nothing."""
    truth = np.array([0.1, 0.2, 0.3, 0.4])
    rows = np.array([[0.8, 0.9, 0.1, 0.2]])

    assert instances.tau_within_groups(rows, truth, ["a", "a", "b", "b"], 1) == 1
    assert kendall_tau(rows[0], truth) < 0
    assert math.isnan(instances.tau_within_groups(rows, truth, [0, 0, 0, 1], 1))


def test_intervals_are_over_instances() -> None:
    """They hold the mean, are the same each time, and need enough instances."""
    arm = instances.read_arm([made_rows(seed, rows=2) for seed in range(5)], TRUTH, k=2)
    mean_k, between = instances.interval(arm.mean_k), instances.s_tau_interval(arm.taus)

    assert mean_k.low < np.mean(arm.mean_k) < mean_k.high
    assert between.low < arm.s_tau.mean < between.high < 1
    assert between == instances.s_tau_interval(arm.taus)
    assert math.isnan(instances.interval(arm.mean_k[:1]).low)
    assert math.isnan(instances.s_tau_interval(arm.taus[:2, :2]).low)


def test_copies_of_an_instance_make_no_pair() -> None:
    """Instances that have nothing in common have an S-Tau of 0, also when drawn again."""
    between = instances.s_tau_interval(np.eye(4))

    assert (between.low, between.high) == (0, 0)
