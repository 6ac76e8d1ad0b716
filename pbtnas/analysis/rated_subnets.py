"""What `pbtnas subnets` has found of a run, beside ground truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.instances import standing
from pbtnas.analysis.rank_study import Truth
from pbtnas.analysis.rank_tables import baseline_standings
from pbtnas.analysis.ranks import Array, ranks
from pbtnas.analysis.tables import Cell, Table


class Rated(Protocol):
    """A subnet and its scores, None where it has none."""

    @property
    def subnet(self) -> str: ...

    @property
    def scores(self) -> Sequence[float | None]: ...


def true_ranks(rated: Sequence[Rated], truth: Truth) -> dict[str, int]:
    """The true rank of each subnet by its name.

    Raises `ComparisonError` unless the subnets are the architectures of the ground truth.
    """
    subnets = {each.subnet for each in rated}
    for name in sorted(subnets ^ set(truth.names)):
        other, whose = ("ground truth", "run") if name in subnets else ("run", "ground truth")
        raise ComparisonError(
            f"the {other} has no subnet {name} of the {whose}, expected ground truth "
            f"({truth.name}) of the run's {len(subnets)} subnets"
        )
    return dict(zip(truth.names, ranks(truth.means).tolist(), strict=True))


def score_rows(rated: Sequence[Rated], truth: Truth) -> Array:
    """The scores [S, n] after each number of steps, in the order of the truth; NaN without one.

    Raises what `true_ranks` raises.
    """
    true_ranks(rated, truth)
    scores = {each.subnet: each.scores for each in rated}
    columns = [
        [math.nan if score is None else score for score in scores[name]] for name in truth.names
    ]
    return np.array(columns, np.float64).T


def ratings_table(rated: Sequence[Rated], columns: Sequence[str], truth: Truth) -> Table:
    """GT-Tau, T1R and T3R of the ranking by each column, and of the two baselines."""
    rows: list[tuple[Cell, ...]] = []
    for name, values in zip(columns, score_rows(rated, truth), strict=True):
        found = standing(values, truth.means)
        rows.append((name, found.tau, found.top1, found.top3))
    weightless = None if truth.weightless is None else truth.weightless.tolist()
    rows += baseline_standings(truth.means, weightless)
    return Table(
        title=f"Rankings beside the ground truth {truth.name}",
        columns=("ranking", "GT-Tau", "T1R", "T3R"),
        rows=tuple(rows),
        notes=(
            "TnR: the best true rank among the first n. Baselines need no supernet; their ties are "
            "broken at random, so that their T1R and T3R are expectations.",
        ),
        places=(None, 6, 2, 2),
    )
