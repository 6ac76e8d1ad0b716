"""Rankings by shared weights as tables, beside what needs no supernet at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pbtnas.analysis.compare.statistics import Interval, Spread, spread
from pbtnas.analysis.instances import (
    Arm,
    Reading,
    SimulatedTruth,
    interval,
    s_tau_interval,
    tau_within_groups,
)
from pbtnas.analysis.ranks import Array, expected_top_rank, kendall_tau
from pbtnas.analysis.tables import ABSENT, Cell, Table
from pbtnas.search.partition import random_groups, same_partition, similar_groups

_UNKNOWN = Spread(math.nan, math.nan)

RANDOM = "random"
"""The baseline that is a random ranking."""


def readings_table(readings: Mapping[str, Reading], *, k: int, between: int, subnets: int) -> Table:
    """Every number of every instance: a row a metric, a column an instance."""
    found = list(readings.values())
    rows: dict[str, list[Cell]] = {
        f"GT-Tau-Mean-{k}": [r.taus.mean for r in found],
        f"GT-Tau-Std-{k}": [r.taus.std for r in found],
        f"last {k} averaged: GT-Tau": [r.averaged.tau for r in found],
        f"last {k} averaged: T1R": [r.averaged.top1 for r in found],
        f"last {k} averaged: T3R": [r.averaged.top3 for r in found],
        f"last {k} averaged: true best {found[0].best} in first half": [r.kept for r in found],
        "last row: GT-Tau": [r.last.tau for r in found],
        "last row: T1R": [r.last.top1 for r in found],
        "last row: T3R": [r.last.top3 for r in found],
        f"last {between} rows: S-Tau": [r.between.mean for r in found],
        f"last {between} rows: largest": [r.between.largest for r in found],
        f"last {between} rows: smallest": [r.between.smallest for r in found],
        f"last {k} averaged: accuracy mean": [r.accuracies.mean for r in found],
        f"last {k} averaged: accuracy std": [r.accuracies.std for r in found],
    }
    return Table(
        title=f"Shared weights against ground truth, {subnets} subnets",
        columns=("metric", *readings),
        rows=tuple((name, *cells) for name, cells in rows.items()),
        notes=(
            "GT-Tau: Kendall's tau-b with the ground truth; Mean and Std: over the last rows, "
            "ddof = 0.",
            "TnR: the best true rank among the first n. S-Tau: tau between rows.",
        ),
        places=(None, *(6 for _ in readings)),
    )


def arms_table(
    arms: Mapping[str, Arm],
    truth: Array,
    *,
    k: int,
    weightless: Sequence[int] | None = None,
    simulated: SimulatedTruth | None = None,
    ddof: int = 0,
) -> Table:
    """Every arm, mean ± std over its instances; below, what needs no supernet.

    These are single trainings, where the table of ground truth has deviations, and two baselines:
    the ranking by fewest operations without weights, where their numbers [n] are known, and a
    random one.
    """
    rows = [_arm_row(name, arm, ddof) for name, arm in arms.items()]
    notes = [
        f"Mean ± std over instances, ddof = {ddof}, of their last row, or of their last {k} rows.",
        "S-Tau is tau between the last rows of instances; largest and smallest are those of pairs.",
    ]
    if simulated is not None:
        rows.append(_simulated_row(simulated))
        notes.append(
            f"Each trained alone: {simulated.studies} simulated studies of {simulated.seeds} "
            "seeds, drawn from the table's means and deviations; ± over studies."
        )
    for name, *found in baseline_standings(truth, weightless):
        between = 0.0 if name == RANDOM else math.nan
        rows.append(_baseline_row(name, between, found))
    notes.append(
        "Fewest weightless: the ranking by fewest operations without weights, where their numbers "
        "are known. Ties are broken at random: T1R and T3R are then expectations."
    )
    return Table(
        title="Shared weights beside what needs no supernet",
        columns=(
            *("ranking", "instances", "S-Tau", "largest", "smallest"),
            *("GT-Tau", "T1R", "T3R", f"Mean-{k}", f"Std-{k}"),
        ),
        rows=tuple(rows),
        notes=tuple(notes),
        places=(None, None, 6, 6, 6, 6, 2, 2, 6, 6),
    )


def baseline_standings(
    truth: Array, weightless: Sequence[int] | None
) -> list[tuple[str, float, float, float]]:
    """GT-Tau, T1R and T3R of the two baselines of `arms_table`."""
    scores = {RANDOM: (np.zeros(len(truth)), 0.0)}
    if weightless is not None:
        fewest = -np.asarray(weightless, np.float64)
        scores = {"fewest weightless": (fewest, kendall_tau(fewest, truth)), **scores}
    return [(name, tau, *_expected_tops(values, truth)) for name, (values, tau) in scores.items()]


def intervals_table(arms: Mapping[str, Arm], *, k: int) -> Table:
    """Bootstrap intervals over instances of the means of every arm that has several."""
    return Table(
        title="Intervals of the means (95 %)",
        columns=("ranking", "instances", "S-Tau", "GT-Tau", "T1R", "T3R", f"Mean-{k}", f"Std-{k}"),
        rows=tuple(_interval_row(name, arm) for name, arm in arms.items() if len(arm) > 1),
        notes=(
            "Percentile bootstrap over instances. S-Tau needs three: an instance and its own copy "
            "make no pair.",
        ),
    )


def groups_row(
    rows: Mapping[str, Array], truth: Array, labels: Sequence[object], k: int
) -> tuple[Cell, ...]:
    """A further row of `readings_table`: tau within groups of subnets."""
    return (
        f"within {len(set(labels))} groups: Mean-{k}",
        *(tau_within_groups(values, truth, labels, k) for values in rows.values()),
    )


def about_groups(labels: Sequence[object]) -> str:
    """A sentence about a partition: its size, and whether it is one that pbtnas makes."""
    words = [str(label) for label in labels]
    size, groups = len(words), len(set(words))
    known = {"random": random_groups, "similar": similar_groups}
    names = [
        name
        for name, cut in known.items()
        if size % groups == 0 and same_partition(words, cut(size, groups))
    ]
    which = f"the {names[0]} partition of pbtnas" if names else "a partition of its own"
    return f"The {groups} groups are {which}."


def _arm_row(name: str, arm: Arm, ddof: int) -> tuple[Cell, ...]:
    between = arm.s_tau
    values = (arm.gt_tau, arm.top1, arm.top3, arm.mean_k, arm.std_k)
    return (
        *(name, len(arm), between.mean, between.largest, between.smallest),
        *(spread(each, ddof=ddof) for each in values),
    )


def _simulated_row(found: SimulatedTruth) -> tuple[Cell, ...]:
    return (
        *("each trained alone", found.seeds, found.s_tau.mean, math.nan, math.nan),
        *(found.gt_tau, found.top1, found.top3, _UNKNOWN, _UNKNOWN),
    )


def _baseline_row(name: str, s_tau: float, found: Sequence[float]) -> tuple[Cell, ...]:
    return (
        *(name, ABSENT, s_tau, math.nan, math.nan),
        *(Spread(each, math.nan) for each in found),
        *(_UNKNOWN, _UNKNOWN),
    )


def _expected_tops(scores: Array, truth: Array) -> tuple[float, float]:
    """T1R and T3R, in expectation where scores are tied."""
    first, third = (expected_top_rank(scores, truth, n) for n in (1, min(3, len(truth))))
    return first, third


def _interval_row(name: str, arm: Arm) -> tuple[Cell, ...]:
    values = (arm.gt_tau, arm.top1, arm.top3, arm.mean_k, arm.std_k)
    intervals: list[Interval] = [s_tau_interval(arm.taus), *map(interval, values)]
    return (name, len(arm), *intervals)
