"""Comparisons as tables: summaries, pairs, values by seed, time to reach a level."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pbtnas.analysis.compare.comparison import Comparison, Pair, Reach
from pbtnas.analysis.compare.statistics import bonferroni, signed_rank, smallest_p
from pbtnas.analysis.tables import Cell, Table


def summary_table(comparison: Comparison) -> Table:
    """Mean and spread of every algorithm, best first; and what budgets, where they differ."""
    unequal = [
        f"{name} was granted {budget:,} network-epochs only."
        for name, budget in sorted(comparison.budgets.items())
        if budget < comparison.budget
    ]
    return Table(
        title=f"{comparison.metric} after {comparison.budget:,} network-epochs",
        columns=("algorithm", "seeds", f"{comparison.metric} (mean ± std)"),
        rows=tuple((s.algorithm, len(s.seeds), s.spread) for s in comparison.summaries),
        notes=(
            f"{'Larger' if comparison.maximise else 'Smaller'} is better. "
            f"The standard deviation is over seeds, ddof = {comparison.ddof}.",
            *unequal,
        ),
    )


def pairs_table(comparison: Comparison) -> Table:
    """Every claim that one algorithm beats another."""
    level = f"{100 * comparison.confidence:g} %"
    pairs = max((pair.test.pairs for pair in comparison.pairs), default=0)
    best_p = bonferroni(smallest_p(pairs), comparison.tests)
    return Table(
        title=f"Is the first better than the second? ({comparison.metric})",
        columns=(
            *("first", "second", "seeds", "mean gain", f"{level} interval", "d_z", "A12"),
            *("p", "p corrected", "smallest p"),
        ),
        rows=tuple(map(_pair_row, comparison.pairs)),
        notes=(
            "Gains are paired by seed; positive means the first is better.",
            f"p: Wilcoxon signed-rank, one-sided, exact; corrected (Bonferroni) for "
            f"{comparison.tests} tests; smallest p: what winning every pair would give, "
            f"{best_p:.2g} corrected.",
            f"{level} interval of the mean gain: percentile bootstrap over seeds. "
            "d_z: mean gain / its std (ddof = 1). A12: chance that a run of the first beats one "
            "of the second.",
            *(f"{sentence}." for sentence in comparison.unpaired),
        ),
    )


def _pair_row(pair: Pair) -> tuple[Cell, ...]:
    names = (pair.better, pair.worse)
    gain = (len(pair.seeds), pair.mean, pair.interval, pair.dz, pair.a12)
    return (*names, *gain, pair.test.p, pair.corrected_p, pair.test.smallest_p)


def pooled_table(comparisons: Sequence[Comparison]) -> Table:
    """Every claim, tested on the pairs of several comparisons together."""
    rows: list[tuple[Cell, ...]] = []
    pairs = {(p.better, p.worse) for comparison in comparisons for p in comparison.pairs}
    for better, worse in sorted(pairs):
        found = [p for c in comparisons for p in c.pairs if (p.better, p.worse) == (better, worse)]
        test = signed_rank([difference for pair in found for difference in pair.differences])
        corrected = bonferroni(test.p, comparisons[0].tests)
        rows.append(
            (
                better,
                worse,
                len(found),
                test.pairs,
                test.w_minus,
                test.p,
                corrected,
                test.smallest_p,
            )
        )
    return Table(
        title="Is the first better than the second, over all tasks?",
        columns=("first", "second", "tasks", "pairs", "W-", "p", "p corrected", "smallest p"),
        rows=tuple(rows),
        notes=(
            "Wilcoxon signed-rank, one-sided, exact, on the differences of all tasks as they are; "
            f"corrected (Bonferroni) for {comparisons[0].tests} tests. Where tasks have different "
            "scales, the one with the largest differences weighs most.",
        ),
    )


def values_table(comparison: Comparison) -> Table:
    """The value of every run: a row a seed, a column an algorithm, best first."""
    seeds = sorted({seed for summary in comparison.summaries for seed in summary.seeds})
    found = [
        dict(zip(summary.seeds, summary.values, strict=True)) for summary in comparison.summaries
    ]
    return Table(
        title=f"{comparison.metric}, by seed",
        columns=("seed", *(summary.algorithm for summary in comparison.summaries)),
        rows=tuple((seed, *(values.get(seed, math.nan) for values in found)) for seed in seeds),
    )


def reach_table(
    reaches: Sequence[Reach], *, reference: str = "random-search", what: str = "score"
) -> Table:
    """Network-epochs that every algorithm needs to reach the final score of the reference, or its
    hypervolume."""
    return Table(
        title=f"Network-epochs to the final {what} of {reference}",
        columns=("algorithm", "reached", "seeds", "median network-epochs", "share of budget"),
        rows=tuple(
            (reach.algorithm, reach.reached, reach.seeds, reach.median_epochs, reach.share)
            for reach in reaches
        ),
        notes=("By seed; a seed that never gets there counts as infinite in the median.",),
    )
