"""Compares the rankings that runs give with ground truth: instances by variant, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.statistics import spread
from pbtnas.analysis.instances import Arm, SimulatedTruth, read_arm, read_single_trainings
from pbtnas.analysis.rank_tables import arms_table, intervals_table
from pbtnas.analysis.ranks import Array, ranks
from pbtnas.analysis.supernets import (
    SubnetRows,
    has_subnets,
    picked,
    rated_twice,
    single_trainings,
    subnet_rows,
)
from pbtnas.analysis.tables import Table

MOST_ROWS = 64
"""The k of Mean-k and Std-k in the paper: each of 64 subnets was trained once."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What rankings are compared with.

    Args:
        name: What it is called in tables.
        names: Names of the n architectures.
        means: Mean score of each over trainings; float64 [n].
        seeds: Scores of each training, where they are known; float64 [S, n].
        weightless: Number of operations without weights of each, where it is known.
        space: Digest of the search space of the runs that it is of; None for a table.
    """

    name: str
    names: tuple[str, ...]
    means: Array
    seeds: Array | None = None
    weightless: NDArray[np.int64] | None = None
    space: str | None = None


def truth_of(name: str, runs: Sequence[NamedRun]) -> Truth:
    """The mean over runs that have each trained every architecture alone.

    Raises `ComparisonError` for other runs, for those of several spaces, and for an architecture
    without a score.
    """
    found: list[Mapping[str, float]] = []
    for run in runs:
        scores = single_trainings(run.history)
        if scores is None:
            raise ComparisonError(
                f"run {run.history.root.name} is no ground truth, expected one that trains every "
                "architecture alone: search.start every, and nobody replaced"
            )
        for architecture, score in scores.items():
            if not np.isfinite(score):
                raise ComparisonError(
                    f"run {run.history.root.name}: {architecture} has no score, ground truth is "
                    "expected to have one of every architecture"
                )
        found.append(scores)
    spaces = {str(run.history.about["space"]) for run in runs}
    if len(spaces) > 1:
        raise ComparisonError(f"the runs of {name} are of different spaces, expected one space")
    names = tuple(found[0])
    seeds = np.array([[scores[each] for each in names] for scores in found])
    return Truth(name, names, seeds.mean(axis=0), seeds, space=spaces.pop())


@dataclass(frozen=True, eq=False)
class Ranked:
    """Runs by what they say about the architectures of the ground truth, each by variant.

    Args:
        supernets: The rows of each instance.
        alone: Of runs that have trained every architecture alone, the scores [n].
        searches: Of other runs, the architecture that each ended with.
        left_out: Why a run is none of them, a sentence each.
    """

    supernets: Mapping[str, Sequence[SubnetRows]]
    alone: Mapping[str, Sequence[Array]]
    searches: Mapping[str, Sequence[str]]
    left_out: Sequence[str] = ()


def read_runs(runs: Iterable[NamedRun], truth: Truth) -> Ranked:
    """Read finished runs, but for those that rate a subnet twice.

    Raises `ComparisonError` for one of another space.
    """
    supernets: dict[str, list[SubnetRows]] = {}
    alone: dict[str, list[Array]] = {}
    searches: dict[str, list[str]] = {}
    left_out: list[str] = []
    for run in runs:
        history = run.history
        if (twice := rated_twice(history)) is not None:
            left_out.append(twice)
            continue
        if has_subnets(history):
            rows = subnet_rows(history, truth.names, f"the ground truth {truth.name}")
            supernets.setdefault(run.name, []).append(rows)
            continue
        if truth.space not in (None, str(history.about["space"])):
            raise ComparisonError(
                f"run {history.root.name} is of another search space than the ground truth "
                f"{truth.name}; --only leaves runs out"
            )
        scores = single_trainings(history)
        best = picked(history)
        for name in scores or [best]:
            if name is not None and name not in truth.names:
                raise ComparisonError(
                    f"run {history.root.name} has an architecture {name}, which the ground truth "
                    f"{truth.name} does not have; --only leaves runs out"
                )
        if scores is not None and len(scores) == len(truth.names):
            row = np.array([scores[name] for name in truth.names])
            alone.setdefault(run.name, []).append(row)
        elif best is not None:
            searches.setdefault(run.name, []).append(best)
    return Ranked(supernets, alone, searches, left_out)


def usual_k(supernets: Mapping[str, Sequence[SubnetRows]]) -> int:
    """The rows that all supernets with dense rows have, or all where there are none; at most 64."""
    rows = [each for instances in supernets.values() for each in instances]
    counted = [each for each in rows if each.dense] or rows
    return min([MOST_ROWS, *(len(each.values) for each in counted)])


def rank_tables(
    found: Ranked,
    truth: Truth,
    *,
    k: int | None = None,
    simulated: SimulatedTruth | None = None,
    ddof: int = 0,
) -> dict[str, Table]:
    """Every variant beside the baselines, intervals over instances, and what searches picked.

    `k` is that of Mean-k and Std-k; None for `usual_k`.  Raises `ComparisonError` for more rows
    than a supernet has.
    """
    for name, instances in found.supernets.items():
        fewest = min(len(each.values) for each in instances)
        if k is not None and fewest < k:
            raise ComparisonError(f"{name} has {fewest} rows, --last needs {k}")
    k = k or usual_k(found.supernets)
    arms = {}
    if truth.seeds is not None and len(truth.seeds) > 1:
        arms[truth.name] = read_single_trainings(truth.seeds)
    for name, scores in found.alone.items():
        if truth.seeds is None or name != truth.name:
            arms[name] = read_arm([row[None, :] for row in scores], truth.means, k=max(k, 2))
    for name, instances in found.supernets.items():
        arms[name] = read_arm([each.values for each in instances], truth.means, k=k)
    tables = {
        "ranks": _noted(
            arms_table(
                arms,
                truth.means,
                k=k,
                weightless=None if truth.weightless is None else truth.weightless.tolist(),
                simulated=simulated,
                ddof=ddof,
            ),
            _about(found, truth),
        )
    }
    if any(len(arm) > 1 for arm in arms.values()):
        tables["intervals"] = intervals_table(arms, k=k)
    if found.searches:
        tables["picked"] = _picked_table(found.searches, arms, truth, ddof)
    return tables


def _about(found: Ranked, truth: Truth) -> list[str]:
    seeds = ""
    if truth.seeds is not None:
        many = len(truth.seeds) > 1
        seeds = f", the mean over {len(truth.seeds)} trainings each" if many else ", trained once"
    notes = [f"Ground truth: {truth.name}, {len(truth.names)} architectures{seeds}."]
    notes += [f"Left out: {why}." for why in found.left_out]
    sparse = [
        name
        for name, instances in found.supernets.items()
        if not all(each.dense for each in instances)
    ]
    if sparse:
        notes.append(
            f"A row is a generation, not a mini-batch, of: {', '.join(sparse)} (no dense rows)."
        )
    return notes


def _noted(table: Table, notes: Sequence[str]) -> Table:
    return replace(table, notes=(*table.notes, *notes))


def _picked_table(
    searches: Mapping[str, Sequence[str]], arms: Mapping[str, Arm], truth: Truth, ddof: int
) -> Table:
    """The true rank of what each search ended with, beside the first of each shared ranking."""
    of_truth = dict(zip(truth.names, ranks(truth.means).tolist(), strict=True))
    true = {
        name: [float(of_truth[each]) for each in ended_with]
        for name, ended_with in searches.items()
    }
    true |= {f"first of {name}": list(arm.top1) for name, arm in arms.items()}
    return Table(
        title="The true rank of the architecture that is picked",
        columns=("by", "runs", "true rank", "picked"),
        rows=tuple(
            (
                *(name, len(values), spread(values, ddof=ddof)),
                ", ".join(searches[name]) if name in searches else "",
            )
            for name, values in true.items()
        ),
        notes=(f"1 is the best of {len(truth.names)}. Mean ± std over runs, ddof = {ddof}.",),
        places=(None, None, 2, None),
    )
