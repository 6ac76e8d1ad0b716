"""How decided supernets are about their architecture while they train: the entropy of the mixture.

Entropies are divided by that of the uniform mixture, so that spaces with other numbers of
operations are on one scale.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.statistics import spread
from pbtnas.analysis.found.returned import chosen, space_of
from pbtnas.analysis.history.run import History
from pbtnas.analysis.ranks import Array
from pbtnas.analysis.tables import Cell, Table
from pbtnas.records.schema import ENTROPY

SHARES = (0.2, 0.5, 1.0)
"""Of the steps of a run: where its entropy is told."""

_OPTIONS = {"cell64": 4, "nb201": 5}
_SKIP = {"nb201": 1}
"""Which option is a skip connection."""


@dataclass(frozen=True, eq=False)
class EntropyCurve:
    """The entropy of the mixture by generation.

    Args:
        method: `task.method` of the runs.
        done: share of the training of a run after each generation [G].
        relative: entropy divided by that of the uniform mixture [seeds, G].
        skips: share of skip connections in what each seed chose at its end [seeds]; NaN in a space
            that has none.
    """

    method: str
    done: Array
    relative: Array
    skips: Array


def entropy_curves(runs: Sequence[NamedRun]) -> dict[str, dict[str, EntropyCurve]]:
    """The curves of runs that learn an architecture, of equal lengths each, by space and name.

    Names that begin with the space lose that part.
    """
    found: dict[tuple[str, str], list[EntropyCurve]] = defaultdict(list)
    for run in runs:
        if (curve := _curve(run.history)) is not None:
            space = str(space_of(run.history.settings["task"]))
            found[space, run.name.removeprefix(f"{space}.")].append(curve)
    curves: dict[str, dict[str, EntropyCurve]] = defaultdict(dict)
    for (space, name), seeds in found.items():
        first = seeds[0]
        alike = [seed for seed in seeds if len(seed.done) == len(first.done)]
        curves[space][name] = replace(
            first,
            relative=np.concatenate([seed.relative for seed in alike]),
            skips=np.concatenate([seed.skips for seed in alike]),
        )
    return curves


def _curve(history: History) -> EntropyCurve | None:
    """That of the first member of a run; None for a run that learns no mixture."""
    task = history.settings["task"]
    if task.get("name") != "supernet":
        return None
    method, space = task.get("method"), space_of(task)
    if method is None or space is None:
        return None
    epochs, values, last = [], [], None
    for generation in history.generations:
        found = generation.results.get(0)
        if found is not None and ENTROPY in found.result.metrics:
            values.append(found.result.metrics[ENTROPY])
            epochs.append(generation.jobs[0].epochs)
            last = chosen(found.result.metrics)
    if not values:
        return None
    whole = math.log(_OPTIONS[space] - len(task.get("exclude", ())))
    skip = _SKIP.get(space)
    skips = math.nan if skip is None or last is None else last.count(skip) / len(last)
    done = np.cumsum(epochs) / sum(epochs)
    return EntropyCurve(str(method), done, np.array([values]) / whole, np.array([skips]))


def mixture_tables(runs: Sequence[NamedRun], *, ddof: int = 0) -> dict[str, Table]:
    """How decided the mixtures of each space are; no table where no run learns one."""
    every = entropy_curves(runs)
    return {
        "entropy" if len(every) == 1 else f"entropy-{space}": _table(space, curves, ddof)
        for space, curves in every.items()
    }


def _table(space: str, curves: Mapping[str, EntropyCurve], ddof: int) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, curve in curves.items():
        at = [_at(curve, share) for share in SHARES]
        rows.append(
            (
                name,
                len(curve.relative),
                *(math.nan if column is None else spread(column, ddof=ddof) for column in at),
                float(curve.skips.mean()),
            )
        )
    return Table(
        title=f"How decided the mixtures of {space} are",
        columns=("variant", "seeds", *(f"at {share:.0%}" for share in SHARES), "skip connections"),
        rows=tuple(rows),
        notes=(
            "Entropy after these shares of the steps, divided by that of the uniform mixture, mean "
            f"± std over seeds (ddof = {ddof}): 1 is undecided. Skip connections: their share in "
            "what is chosen at the end.",
        ),
        places=(None, None, *(3 for _ in SHARES), 2),
    )


def _at(curve: EntropyCurve, share: float) -> list[float] | None:
    """The entropy of each seed when this share was done; None where no generation ended there."""
    places = np.flatnonzero(np.isclose(curve.done, share))
    return curve.relative[:, places[0]].tolist() if len(places) else None
