"""Reads the accuracies of instances: how far each, and all together, agree with ground truth.

An instance is one training of a supernet; its rows [R, n] are the accuracies of all n subnets after
each of R mini-batches, the last ones of the training.  Instances of one arm differ only in what the
arm varies, e.g. the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pbtnas.analysis.compare.statistics import Interval, Spread, bootstrap, spread
from pbtnas.analysis.ranks import (
    Agreement,
    Array,
    agreement,
    ground_truth_taus,
    kendall_tau,
    kept,
    pairwise_taus,
    s_tau,
    top_rank,
)
from pbtnas.search.partition import members_of


@dataclass(frozen=True)
class Standing:
    """One ranking of the subnets beside the ground truth.

    Args:
        tau: GT-Tau.
        top1: T1R, the true rank of the subnet ranked first; NaN where none has an accuracy.
        top3: T3R, the best true rank among the first three, or all if there are fewer.
    """

    tau: float
    top1: float
    top3: float


@dataclass(frozen=True)
class Reading:
    """What the rows of one instance say.

    Args:
        taus: GT-Tau-Mean-k and, as std, GT-Tau-Std-k (ddof 0); NaN for fewer than k rows.
        averaged: Standing of the accuracies averaged over the last k rows.
        last: Standing of the last row.
        between: S-Tau of the last few rows.
        accuracies: Mean and std over subnets of their accuracies averaged over the last k rows.
        best: The number of truly best subnets looked for, a quarter of all.
        kept: How many of them are in the first half of the averaged rows.
    """

    taus: Spread
    averaged: Standing
    last: Standing
    between: Agreement
    accuracies: Spread
    best: int
    kept: float


@dataclass(frozen=True, eq=False)
class Arm:
    """N instances of one arm; tuples have a value for each of them.

    Args:
        gt_tau: GT-Tau of the last rows.
        top1: T1R of the last rows.
        top3: T3R of the last rows.
        mean_k: GT-Tau-Mean-k.
        std_k: GT-Tau-Std-k.
        taus: Tau between the last rows of every two instances; float64 [N, N].
    """

    gt_tau: tuple[float, ...]
    top1: tuple[float, ...]
    top3: tuple[float, ...]
    mean_k: tuple[float, ...]
    std_k: tuple[float, ...]
    taus: Array

    def __len__(self) -> int:
        return len(self.gt_tau)

    @property
    def s_tau(self) -> Agreement:
        """S-Tau between the instances; NaN for one."""
        return agreement(self.taus)


def standing(accuracies: Array, truth: Array) -> Standing:
    """The standing of one ranking [n]."""
    return Standing(
        kendall_tau(accuracies, truth),
        top_rank(accuracies, truth, 1),
        top_rank(accuracies, truth, min(3, len(truth))),
    )


def tau_mean_std(rows: Array, truth: Array, k: int) -> Spread:
    """GT-Tau-Mean-k and GT-Tau-Std-k of rows [R, n].

    NaN for fewer than k rows, and where one of the last k has no tau.
    """
    if len(rows) < k:
        return Spread(math.nan, math.nan)
    taus = ground_truth_taus(rows[-k:], truth)
    return Spread(float(taus.mean()), float(taus.std()))


def read_instance(rows: Array, truth: Array, *, k: int = 64, between: int = 10) -> Reading:
    """Read the rows [R, n] of one instance by its last k rows, and S-Tau by its last `between`."""
    averaged = rows[-k:].mean(axis=0)  # NaN where a subnet once had no score
    n = len(truth)
    return Reading(
        taus=tau_mean_std(rows, truth, k),
        averaged=standing(averaged, truth),
        last=standing(rows[-1], truth),
        between=s_tau(rows[-between:]),
        accuracies=Spread(float(averaged.mean()), float(averaged.std())),
        best=max(1, n // 4),
        kept=kept(averaged, truth, best=max(1, n // 4), within=max(1, n // 2)),
    )


def read_arm(instances: Sequence[Array], truth: Array, *, k: int = 64) -> Arm:
    """Read instances, each rows [R, n], by their last k rows and their last one."""
    last = np.array([rows[-1] for rows in instances])
    taus = [tau_mean_std(rows, truth, k) for rows in instances]
    return Arm(
        gt_tau=tuple(ground_truth_taus(last, truth).tolist()),
        top1=tuple(float(top_rank(row, truth, 1)) for row in last),
        top3=tuple(float(top_rank(row, truth, min(3, len(truth)))) for row in last),
        mean_k=tuple(each.mean for each in taus),
        std_k=tuple(each.std for each in taus),
        taus=pairwise_taus(last),
    )


def read_single_trainings(seeds: Array) -> Arm:
    """Read ground truth itself: each seed's accuracies [S, n] beside the mean over all seeds."""
    return read_arm([row[None, :] for row in seeds], seeds.mean(axis=0), k=2)


@dataclass(frozen=True)
class SimulatedTruth:
    """Simulated studies in which each architecture was trained alone; mean ± std over studies."""

    studies: int
    seeds: int
    s_tau: Spread
    gt_tau: Spread
    top1: Spread
    top3: Spread


def simulate_truth(
    means: Array,
    stds: Array,
    rng: np.random.Generator,
    *,
    studies: int = 40,
    seeds: int = 10,
) -> SimulatedTruth:
    """What single trainings would reach, from mean and deviation [n] of each architecture.

    Accuracies are drawn from normal distributions, and compared with the means they are drawn with.
    """
    drawn = rng.normal(means, stds, size=(studies, seeds, len(means)))
    arms = [read_arm([seed[None, :] for seed in study], means) for study in drawn]
    return SimulatedTruth(
        studies,
        seeds,
        s_tau=spread([arm.s_tau.mean for arm in arms]),
        gt_tau=spread([float(np.mean(arm.gt_tau)) for arm in arms]),
        top1=spread([float(np.mean(arm.top1)) for arm in arms]),
        top3=spread([float(np.mean(arm.top3)) for arm in arms]),
    )


def join_groups(parts: Sequence[tuple[Sequence[int], Array]]) -> Array:
    """The rows of supernets that each span a group, side by side; float64 [R, n].

    Each part is the indices of its subnets and their rows; row t of the whole has every group's
    t-th row.  Raises `ValueError` unless all have as many rows, and each subnet is in one group.
    """
    places = [i for members, _ in parts for i in members]
    if sorted(places) != list(range(len(places))):
        raise ValueError(f"expected every subnet in one group, got the indices {sorted(places)}")
    if len({len(rows) for _, rows in parts}) > 1:
        raise ValueError(
            f"expected as many rows of every group, got {[len(rows) for _, rows in parts]}"
        )
    joined = np.empty((len(parts[0][1]), len(places)))
    for members, rows in parts:
        joined[:, list(members)] = rows
    return joined


def tau_within_groups(rows: Array, truth: Array, labels: Sequence[object], k: int) -> float:
    """GT-Tau-Mean-k within each group of subnets, averaged over groups.

    NaN where it is undefined for one of them, such as a group of one.
    """
    found = [
        tau_mean_std(rows[:, list(members)], truth[list(members)], k).mean
        for members in members_of([str(label) for label in labels])
    ]
    return float(np.mean(found))


def interval(values: Sequence[float], *, seed: int = 0) -> Interval:
    """Bootstrap interval of the mean over instances; NaN for fewer than two, or for NaN."""
    return bootstrap(values, np.random.default_rng(seed))


def s_tau_interval(
    taus: Array, *, seed: int = 0, confidence: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Bootstrap interval of S-Tau over instances, from the taus [N, N] between them.

    Instances are drawn again with replacement; an instance and its own copy make no pair, for
    their tau is 1 whatever the supernet.  NaN for fewer than three instances, which have one pair.
    """
    n = len(taus)
    if n < 3 or np.isnan(taus).any():
        return Interval(math.nan, math.nan)
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    counts = (drawn[:, :, None] == np.arange(n)).sum(axis=1).astype(np.float64)
    weights = counts @ (taus - np.diag(np.diag(taus)))
    pairs = n**2 - (counts**2).sum(axis=1)
    several = pairs > 0  # a draw of one instance N times says nothing
    found = (weights * counts).sum(axis=1)[several] / pairs[several]
    tail = (1 - confidence) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return Interval(float(low), float(high))
