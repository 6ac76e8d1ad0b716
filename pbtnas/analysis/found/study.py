"""Compares what runs have found by published results: tables for `pbtnas compare --found`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pbtnas.analysis.compare.comparison import ComparisonError, compare
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.outcomes import Outcome
from pbtnas.analysis.compare.statistics import Spread, spread
from pbtnas.analysis.compare.tables import pairs_table
from pbtnas.analysis.compare.verdict import Question
from pbtnas.analysis.found.published import Published
from pbtnas.analysis.found.returned import Returned, returned
from pbtnas.analysis.ranks import Array
from pbtnas.analysis.tables import Cell, Table

RANDOM = (10, 100)
"""Architectures of the replayed random searches."""

_GIGA = 1e9


@dataclass(frozen=True, eq=False)
class Worth:
    """What a run has found, by the table.

    Args:
        run: The run.
        architecture: What it returns at the cost that is compared; None for nothing yet.
        accuracies: Of that, float64 [D]; NaN where the table lacks it.
    """

    run: Returned
    architecture: str | None
    accuracies: Array


def read_found(
    runs: Iterable[NamedRun], published: Mapping[str, Published]
) -> dict[str, list[Returned]]:
    """What finished runs would return, by space, in the order of the tables.

    Raises `ComparisonError` for a run of a space that no table is of.
    """
    found: dict[str, list[Returned]] = {space: [] for space in published}
    for run in runs:
        each = returned(run)
        if each.space not in found:
            tables = ", ".join(f"{table.name} is of {s}" for s, table in published.items())
            raise ComparisonError(
                f"run {each.run} searches the space {each.space}, expected one with a table that "
                f"is given: {tables}; --only leaves runs out"
            )
        found[each.space].append(each)
    return {space: each for space, each in found.items() if each}


def found_tables(
    found: Mapping[str, Sequence[Returned]],
    published: Mapping[str, Published],
    question: Question,
    *,
    at_equal_cost: bool = False,
) -> dict[str, Table]:
    """The tables of each space: variants and baselines, pairs, and every architecture.

    With `at_equal_cost` each run is read where the cheapest of its space ended.  Raises
    `ComparisonError` for costs that differ, or that are not known, and for claims about variants
    that there are none of.
    """
    tables: dict[str, Table] = {}
    for space, runs in found.items():
        table, suffix = published[space], f"-{space}" if len(found) > 1 else ""
        limit = _limit(runs, at_equal_cost)
        worth = [_worth(run, table, limit) for run in runs]
        tables[f"found{suffix}"] = _summary(worth, table, limit, question.ddof)
        pairs = _pairs(worth, table, question, spaces=len(found))
        tables |= {} if pairs is None else {f"pairs{suffix}": pairs}
        tables[f"architectures{suffix}"] = _architectures(worth, table)
    return tables


def _limit(runs: Sequence[Returned], at_equal_cost: bool) -> float:
    """The multiply-adds at which runs are read.  Raises `ComparisonError`."""
    if len(runs) == 1 and not runs[0].costs:
        return math.inf
    for run in runs:
        if not run.costs:
            raise ComparisonError(
                f"run {run.run} does not say what it has cost, expected the metric "
                "spent_multiply_adds of each member, which task.count_cost: true reports"
            )
    cheapest, dearest = (choose(runs, key=lambda run: run.cost) for choose in (min, max))
    if cheapest.cost != dearest.cost and not at_equal_cost:
        raise ComparisonError(
            f"run {cheapest.run} has cost {cheapest.cost:.4g} multiply-adds and run {dearest.run} "
            f"{dearest.cost:.4g}: what they found is only compared at equal cost; --at-equal-cost "
            "reads every run where the cheapest ended"
        )
    return cheapest.cost


def _worth(run: Returned, table: Published, limit: float) -> Worth:
    architecture = run.architectures[-1] if math.isinf(limit) else run.at(limit)
    return Worth(run, architecture, table.accuracies_of(architecture))


def by_variant(worth: Iterable[Worth]) -> dict[str, list[Worth]]:
    """In the order of their best mean on the first data set; those without one last."""
    groups: dict[str, list[Worth]] = defaultdict(list)
    for each in worth:
        groups[each.run.name].append(each)

    def order(name: str) -> tuple[float, str]:
        values = _known([each.accuracies[0] for each in groups[name]])
        return -sum(values) / len(values) if values else math.inf, name

    return {name: groups[name] for name in sorted(groups, key=order)}


def _summary(worth: Sequence[Worth], table: Published, limit: float, ddof: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    notes = []
    for name, group in by_variant(worth).items():
        columns = np.array([each.accuracies for each in group])
        known = [len(_known(column)) for column in columns.T][0]
        if known < len(group):
            notes.append(f"{name}: the mean of {known} of {len(group)} runs; {_lacking(group)}.")
        rows.append(
            (
                _labelled(name, group),
                len(group),
                *_accuracy_cells(columns, table, ddof),
                _mean([each.run.cost / _GIGA for each in group if each.run.costs]),
                _mean([each.run.seconds for each in group]),
            )
        )
    rows += [(*row, math.nan, math.nan) for row in _baselines(table, ddof)]
    first = table.data_sets[0]
    cost = "" if math.isinf(limit) else f" at {limit / _GIGA:,.1f} * 10^9 multiply-adds"
    return Table(
        title=f"What was found{cost}, by {table.name} (%)",
        columns=(
            *("variant", "seeds", *table.data_sets, f"regret, {first}", f"percentile, {first}"),
            *("whole cost, 10^9", "seconds"),
        ),
        rows=tuple(rows),
        notes=(
            "Published accuracies of the architecture that each run returns, mean ± std over seeds "
            f"(ddof = {ddof}), best first. Regret: what the best of the table has more. "
            "Percentile: share of the table that has less.",
            "Whole cost: multiply-adds of all jobs of a run; seconds: of those not reused. "
            "Below the variants: what needs no search on these images, and random search by short "
            "trainings, replayed on the table, ± over replays.",
            *notes,
        ),
        places=(None, None, *(2 for _ in table.data_sets), 2, 1, 1, 0),
    )


def _accuracy_cells(columns: Array, table: Published, ddof: int) -> list[Cell]:
    """Spreads of accuracies [runs, D], then mean regret and percentile on the first data set."""
    first = _known(columns[:, 0])
    best = float(table.accuracies[:, 0].max())
    return [
        *(_spread(_known(column), ddof) for column in columns.T),
        _mean([best - value for value in first]),
        _mean([table.percentile(value) for value in first]),
    ]


def _baselines(table: Published, ddof: int) -> list[tuple[Cell, ...]]:
    """Rows of what needs no search, but for their cost."""
    rows: list[tuple[Cell, ...]] = [
        ("mean of the table", len(table.names), *_accuracy_cells(table.accuracies, table, ddof))
    ]
    for label, name in table.landmarks.items():
        cells = _accuracy_cells(table.accuracies_of(name)[None], table, 0)
        rows.append((f"{label}: {name}", math.nan, *map(_alone, cells)))
    for draws in RANDOM:
        replays = table.replayed(draws, np.random.default_rng(0))
        if len(replays):
            cells = _accuracy_cells(replays, table, ddof)
            rows.append((f"best of {draws} random", len(replays), *cells))
    optimum = table.accuracies.max(axis=0)[None]
    rows.append(("optimum of each", math.nan, *map(_alone, _accuracy_cells(optimum, table, 0))))
    return rows


def _pairs(
    worth: Sequence[Worth], table: Published, question: Question, *, spaces: int
) -> Table | None:
    """Claims, or all pairs, on the first data set; None where there are no two variants."""
    outcomes = [
        Outcome(
            run=each.run.run,
            algorithm=each.run.name,
            seed=each.run.seed,
            value=float(each.accuracies[0]),
            metric=f"{table.data_sets[0]} accuracy by {table.name}",
            task="{}",
            budget=0,
        )
        for each in worth
        if math.isfinite(each.accuracies[0])
    ]
    claims, tests = question.claims, question.tests
    if claims is not None and tests is None:
        tests = spaces * len(claims)
    if len({outcome.algorithm for outcome in outcomes}) < 2 and claims is None:
        return None
    found = compare(outcomes, claims=claims, tests=tests, ddof=question.ddof)
    return pairs_table(found) if found.pairs else None


def _architectures(worth: Sequence[Worth], table: Published) -> Table:
    """Every run with what it returns."""
    return Table(
        title="What each run returns",
        columns=("variant", "seed", "architecture", *table.data_sets),
        rows=tuple(
            (name, each.run.seed, each.architecture or "-", *each.accuracies.tolist())
            for name, group in by_variant(worth).items()
            for each in group
        ),
        places=(None, None, None, *(2 for _ in table.data_sets)),
    )


def _labelled(name: str, group: Sequence[Worth]) -> str:
    """A variant's name; what its method leaves out makes its task easier, and is said."""
    excluded = group[0].run.excluded
    return f"{name} (without {', '.join(excluded)})" if excluded else name


def _lacking(group: Sequence[Worth]) -> str:
    """Why runs have no accuracy."""
    early = [each.run.run for each in group if each.architecture is None]
    lacking = [
        each.architecture
        for each in group
        if each.architecture is not None and not math.isfinite(each.accuracies[0])
    ]
    why = [f"{', '.join(early)} had nothing to return yet"] if early else []
    why += [f"the table lacks {', '.join(lacking)}"] if lacking else []
    return ", ".join(why)


def _known(values: Iterable[float]) -> list[float]:
    return [float(value) for value in values if math.isfinite(value)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _spread(values: Sequence[float], ddof: int) -> Cell:
    return spread(values, ddof=ddof) if values else math.nan


def _alone(cell: Cell) -> Cell:
    """A number that has no spread."""
    return cell.mean if isinstance(cell, Spread) else cell
