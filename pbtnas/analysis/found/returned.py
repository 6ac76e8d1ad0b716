"""Which architecture a run would return after each generation, and what it has cost until then.

That of the best member of a population; that which a supernet with a method has chosen; and of a
supernet without one, the subnet with the best score.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.history.account import of_one
from pbtnas.analysis.history.generation import Generation
from pbtnas.records.schema import CHOSEN, SPENT, SUBNET
from pbtnas.search.population import subnet_name
from pbtnas.search.space import Architecture

_CHOICES = {"cell64": 3, "nb201": 6}  # variables; behind them come ladders


@dataclass(frozen=True)
class Returned:
    """What a run would have returned.

    Args:
        run: Name of its directory.
        name: Name of the variant.
        seed: Seed of the run.
        space: Name of the space that it searches.
        shared: Whether it trains shared weights, and no population.
        excluded: Options that its method leaves out.
        architectures: [G] name of the architecture after each generation; None for none.
        costs: [G] multiply-adds of all jobs until then; () where they were not counted.
        seconds: Seconds of all jobs.
    """

    run: str
    name: str
    seed: int
    space: str
    shared: bool
    excluded: tuple[str, ...]
    architectures: tuple[str | None, ...]
    costs: tuple[float, ...]
    seconds: float

    @property
    def cost(self) -> float:
        """Multiply-adds of all jobs."""
        return self.costs[-1]

    def at(self, cost: float) -> str | None:
        """The architecture that it would have returned for that cost."""
        paid = [a for a, c in zip(self.architectures, self.costs, strict=True) if c <= cost]
        return paid[-1] if paid else None


def returned(run: NamedRun) -> Returned:
    """Read a finished run.  Raises `ComparisonError` for a space that has no table."""
    history = run.history
    space = space_of(history.settings["task"])
    if space is None:
        raise ComparisonError(
            f"run {history.root.name} is of the task {history.settings['task'].get('name')}, which "
            f"searches no space with a table: expected {' or '.join(_CHOICES)}"
        )
    generations = history.generations
    spent = [_spent(generation) for generation in generations]
    every = [found.meta for generation in generations for found in generation.results.values()]
    return Returned(
        run=history.root.name,
        name=run.name.removeprefix(f"{space}."),
        seed=run.seed,
        space=space,
        shared=history.settings["task"]["name"] == "supernet",
        excluded=tuple(history.settings["task"].get("exclude") or ()),
        architectures=tuple(_returned(space, generation) for generation in generations),
        costs=() if any(map(math.isnan, spent)) else tuple(itertools.accumulate(spent)),
        seconds=sum(of_one(0, meta).trained_s for meta in every),
    )


def space_of(task: Mapping[str, Any]) -> str | None:
    """The name of the space that a task, of these settings, searches; None without a table."""
    name = str(task.get("space", "cell64") if task["name"] == "supernet" else task["name"])
    return name if name in _CHOICES else None


def architecture_name(space: str, architecture: Architecture) -> str:
    """What an architecture is called in the table of its space."""
    chosen = architecture[: _CHOICES[space]]
    return subnet_name(chosen) if space == "cell64" else "".join(map(str, chosen))


def chosen(metrics: Mapping[str, float]) -> Architecture | None:
    """The architecture that a supernet has chosen, by its metrics; None for another member."""
    options = {
        int(key.removeprefix(CHOSEN)): int(value)
        for key, value in metrics.items()
        if key.startswith(CHOSEN) and key.removeprefix(CHOSEN).isdigit()
    }
    return tuple(options[i] for i in sorted(options)) or None


def _returned(space: str, generation: Generation) -> str | None:
    best = generation.best
    if best is None:
        return None
    metrics = generation.results[best.member].result.metrics
    if chosen(metrics) is None and best_subnet(metrics) is not None:  # perhaps in another group
        every = [found.result.metrics for found in generation.results.values()]
        metrics = {key: value for each in every for key, value in each.items()}
    return architecture_of(space, generation.jobs[best.member].architecture, metrics)


def architecture_of(space: str, architecture: Architecture, metrics: Mapping[str, float]) -> str:
    """The name of what a member of that architecture returns, by its metrics."""
    picked = chosen(metrics)
    subnet = best_subnet(metrics)
    if picked is None and subnet is not None:
        return subnet
    return architecture_name(space, picked or architecture)


def best_subnet(metrics: Mapping[str, float]) -> str | None:
    """The name of the subnet with the best score, the first of equals; None without any."""
    scores = {
        key.removeprefix(SUBNET): value
        for key, value in metrics.items()
        if key.startswith(SUBNET) and math.isfinite(value)
    }
    return max(sorted(scores), key=lambda name: scores[name], default=None)


def _spent(generation: Generation) -> float:
    """Multiply-adds of the jobs of a generation; NaN where one that ended well counts none.

    One that diverged or failed says nothing: it counts as the most expensive of the others.
    """
    results = [found.result for found in generation.results.values()]
    costs = [result.metrics[SPENT] for result in results if SPENT in result.metrics]
    ended_well = [result for result in results if result.outcome == "ok"]
    if not costs or any(SPENT not in result.metrics for result in ended_well):
        return math.nan
    return sum(costs) + (len(results) - len(costs)) * max(costs)
