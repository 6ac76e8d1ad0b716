"""Compares algorithms over seeds: their spreads, every pair, and the cost of equal quality.

Runs are grouped by algorithm and paired by seed.  What cannot be compared (another metric,
another budget, the same run twice) is refused; their order never matters.
"""

from __future__ import annotations

import json
import math
import statistics as stdlib_statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pbtnas.analysis.compare.outcomes import Curve, Outcome
from pbtnas.analysis.compare.statistics import (
    Interval,
    SignedRank,
    Spread,
    bonferroni,
    bootstrap,
    cohens_dz,
    epochs_to_reach,
    signed_rank,
    spread,
    superiority,
)
from pbtnas.errors import ExitCode, PbtnasError

BySeed = dict[int, float]


class ComparisonError(PbtnasError):
    """Runs that must not be compared, said in one sentence."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Summary:
    """One algorithm over its seeds, ascending."""

    algorithm: str
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    spread: Spread


@dataclass(frozen=True)
class Pair:
    """The claim "`better` beats `worse`", judged on the seeds both have.

    Args:
        better: Algorithm claimed to be better.
        worse: Other algorithm.
        seeds: Seeds that both have, ascending.
        differences: Differences by seed; positive where the claim holds.
        mean: Mean of the differences.
        interval: Bootstrap interval of that mean.
        test: One-sided signed-rank test of the claim.
        corrected_p: Its p after Bonferroni's correction for all claims of the comparison.
        dz: Cohen's d_z of the differences.
        a12: Probability that a run of `better` beats one of `worse`, whatever their seeds.
    """

    better: str
    worse: str
    seeds: tuple[int, ...]
    differences: tuple[float, ...]
    mean: float
    interval: Interval
    test: SignedRank
    corrected_p: float
    dz: float
    a12: float


@dataclass(frozen=True)
class Comparison:
    """The outcome of `compare`: summaries of algorithms and tests of pairs.

    Args:
        metric: Metric of all runs.
        budget: Network-epochs of every run; the most, where budgets may differ.
        budgets: Network-epochs of the runs of each algorithm.
        maximise: Whether a larger value is better.
        ddof: Delta degrees of freedom of the standard deviations.
        confidence: Confidence level of the bootstrap intervals.
        summaries: Summaries, best mean first.
        pairs: One pair a claim, or, without claims, one for every two algorithms.
        tests: Number of one-sided tests that p was corrected for.
        unpaired: A sentence for every pair of algorithms whose seeds differ.
    """

    metric: str
    budget: int
    budgets: Mapping[str, int]
    maximise: bool
    ddof: int
    confidence: float
    summaries: tuple[Summary, ...]
    pairs: tuple[Pair, ...]
    tests: int
    unpaired: tuple[str, ...]


@dataclass(frozen=True)
class Reach:
    """Network-epochs an algorithm needs to reach the reference's final score of the same seed.

    Args:
        algorithm: Name of the algorithm.
        reached: Number of seeds in which it got there.
        seeds: Number of seeds looked at.
        median_epochs: Median network-epochs; seeds that never got there count as infinite.
        share: `median_epochs` as a share of the reference's budget.
    """

    algorithm: str
    reached: int
    seeds: int
    median_epochs: float
    share: float


def compare(
    outcomes: Iterable[Outcome],
    *,
    maximise: bool = True,
    claims: Sequence[tuple[str, str]] | None = None,
    tests: int | None = None,
    unequal_budgets: bool = False,
    ddof: int = 0,
    confidence: float = 0.95,
    bootstrap_seed: int = 0,
) -> Comparison:
    """Compare algorithms over seeds.

    `claims` are (better, worse) pairs fixed before looking at the outcomes, e.g. the two of the
    paper; p is corrected for their number, or for `tests` where they belong to more.  Without
    claims every two algorithms are compared and the one with the better mean is listed first;
    since that looks at the outcome, p is corrected for the tests in both directions.  Every
    interval uses the same resampled seeds, derived from `bootstrap_seed` alone.  With
    `unequal_budgets` they may differ, as where a part of one was spent elsewhere.

    Raises `ComparisonError` when metrics, tasks or budgets differ, a value is not finite, an
    algorithm has two runs of one seed, a claim names an algorithm without runs, or `tests` are
    fewer than were made here.
    """
    runs = sorted(outcomes, key=lambda o: (o.algorithm, o.seed, o.run))
    _refuse_incomparable(runs, unequal_budgets=unequal_budgets)
    values = _by_algorithm(runs)
    sign = 1.0 if maximise else -1.0
    summaries = sorted(
        (_summary(name, by_seed, ddof) for name, by_seed in values.items()),
        key=lambda summary: (-sign * summary.spread.mean, summary.algorithm),
    )
    names = [summary.algorithm for summary in summaries]
    made = len(names) * (len(names) - 1) if claims is None else len(claims)
    tests = _corrected_for(made, tests)
    chosen = list(combinations(names, 2)) if claims is None else _known(claims, names)
    pairs = tuple(
        compare_pair(
            (better, values[better]),
            (worse, values[worse]),
            sign=sign,
            tests=tests,
            confidence=confidence,
            rng=np.random.default_rng(bootstrap_seed),
        )
        for better, worse in chosen
        if values[better].keys() & values[worse].keys()
    )
    return Comparison(
        metric=runs[0].metric,
        budget=max(run.budget for run in runs),
        budgets={run.algorithm: run.budget for run in runs},
        maximise=maximise,
        ddof=ddof,
        confidence=confidence,
        summaries=tuple(summaries),
        pairs=pairs,
        tests=tests,
        unpaired=tuple(_unpaired(values, chosen)),
    )


def compare_pair(
    better: tuple[str, BySeed],
    worse: tuple[str, BySeed],
    *,
    sign: float,
    tests: int,
    confidence: float,
    rng: np.random.Generator,
) -> Pair:
    """Judge one claim on the seeds both algorithms have, which must be at least one.

    `sign` is 1 where larger values are better, -1 where smaller ones are.
    """
    seeds = tuple(sorted(better[1].keys() & worse[1].keys()))
    first = sign * np.array([better[1][seed] for seed in seeds])
    second = sign * np.array([worse[1][seed] for seed in seeds])
    differences = first - second
    test = signed_rank(differences)
    return Pair(
        better=better[0],
        worse=worse[0],
        seeds=seeds,
        differences=tuple(differences.tolist()),
        mean=float(differences.mean()),
        interval=bootstrap(differences, rng, confidence=confidence),
        test=test,
        corrected_p=bonferroni(test.p, tests),
        dz=cohens_dz(differences),
        a12=superiority(first, second),
    )


def epochs_to_match(
    curves: Iterable[Curve], *, reference: str = "random-search"
) -> tuple[Reach, ...]:
    """Network-epochs each algorithm needs for the final score of `reference`, by seed.

    Curves of a seed without a reference run are left out.  The cheapest comes first.  Raises
    `ComparisonError` when metrics differ, the reference has no runs, or it ended without a score.
    """
    runs = sorted(curves, key=lambda c: (c.algorithm, c.seed, c.run))
    targets = {c.seed: c for c in runs if c.algorithm == reference}
    if not targets:
        raise ComparisonError(f"there is no run of {reference!r} to compare the others with")
    for curve in runs:
        _refuse_other_metric(runs[0], curve)
    for target in targets.values():
        if not math.isfinite(target.scores[-1]):
            raise ComparisonError(f"run {target.run} ({reference}) ended without a finite score")
    spent: dict[str, list[tuple[float, float]]] = {}
    for curve in runs:
        if curve.seed in targets:
            target = targets[curve.seed]
            epochs = epochs_to_reach(curve.epochs, curve.scores, target.scores[-1])
            spent.setdefault(curve.algorithm, []).append((epochs, epochs / target.epochs[-1]))
    reaches = [_reach(algorithm, pairs) for algorithm, pairs in spent.items()]
    return tuple(sorted(reaches, key=lambda reach: (reach.median_epochs, reach.algorithm)))


def _by_algorithm(runs: Iterable[Outcome]) -> dict[str, BySeed]:
    values: dict[str, BySeed] = {}
    for outcome in runs:
        values.setdefault(outcome.algorithm, {})[outcome.seed] = outcome.value
    return values


def _corrected_for(made: int, tests: int | None) -> int:
    """How many tests p is corrected for: those made here, or the larger number given."""
    if tests is not None and tests < made:
        raise ComparisonError(f"{made} tests are made here: expected no fewer in all, got {tests}")
    return made if tests is None else tests


def _reach(algorithm: str, spent: Sequence[tuple[float, float]]) -> Reach:
    return Reach(
        algorithm=algorithm,
        reached=sum(math.isfinite(epochs) for epochs, _ in spent),
        seeds=len(spent),
        median_epochs=stdlib_statistics.median(epochs for epochs, _ in spent),
        share=stdlib_statistics.median(share for _, share in spent),
    )


def _summary(algorithm: str, by_seed: BySeed, ddof: int) -> Summary:
    seeds = tuple(sorted(by_seed))
    values = tuple(by_seed[seed] for seed in seeds)
    return Summary(algorithm, seeds, values, spread(values, ddof=ddof))


def _refuse_incomparable(runs: Sequence[Outcome], *, unequal_budgets: bool) -> None:
    if not runs:
        raise ComparisonError("there are no finished runs to compare")
    first = runs[0]
    taken: dict[tuple[str, int], Outcome] = {}
    for outcome in runs:
        _refuse_other_metric(first, outcome)
        if outcome.task != first.task:
            raise ComparisonError(
                f"runs {first.run} and {outcome.run} have different tasks "
                f"({_difference(first.task, outcome.task)}): only runs of equal tasks are compared"
            )
        if outcome.budget != first.budget and not unequal_budgets:
            raise ComparisonError(
                f"run {first.run} has {first.budget} network-epochs and run {outcome.run} "
                f"{outcome.budget}: algorithms are only compared at equal budgets"
            )
        if not math.isfinite(outcome.value):
            raise ComparisonError(
                f"run {outcome.run} reports {outcome.metric} = {outcome.value}, not a finite number"
            )
        twin = taken.setdefault((outcome.algorithm, outcome.seed), outcome)
        if twin is not outcome:
            raise ComparisonError(
                f"runs {twin.run} and {outcome.run} are both {outcome.algorithm} with seed "
                f"{outcome.seed}: name one of them"
            )


def _difference(first: str, other: str) -> str:
    """The differences of two tasks, given as JSON: "side 16 and 32, width 24 and nothing".

    Of tasks with different names the names say enough.
    """
    a, b = json.loads(first), json.loads(other)
    if a.get("name") != b.get("name"):
        return f"name {a.get('name')} and {b.get('name')}"
    return ", ".join(
        f"{key} {a.get(key, 'nothing')} and {b.get(key, 'nothing')}"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    )


def _refuse_other_metric(first: Outcome | Curve, other: Outcome | Curve) -> None:
    if other.metric != first.metric:
        raise ComparisonError(
            f"run {first.run} reports {first.metric!r} and run {other.run} {other.metric!r}: "
            "only equal metrics are compared"
        )


def _known(claims: Sequence[tuple[str, str]], names: Sequence[str]) -> list[tuple[str, str]]:
    for name in (name for claim in claims for name in claim):
        if name not in names:
            raise ComparisonError(
                f"a claim names algorithm {name!r}; there are runs of {', '.join(sorted(names))}"
            )
    return list(claims)


def _unpaired(values: Mapping[str, BySeed], pairs: Iterable[tuple[str, str]]) -> Iterable[str]:
    for a, b in pairs:
        alone = sorted(values[a].keys() ^ values[b].keys())
        if alone:
            yield f"{a} and {b} are not paired in seeds {', '.join(map(str, alone))}"
