"""Sums up a generation for loggers: best, mean and spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.loggers.base import PopulationStep


def population_step(
    steps: Sequence[MemberStep], *, before: int, best_before: float | None
) -> PopulationStep | None:
    """The sum of a generation's members; None where their epochs are not known.

    Args:
        steps: Members of the generation that have a result.
        before: Network-epochs of all members of all generations before it.
        best_before: Highest score of those.
    """
    epochs = [step.epochs for step in steps if step.epochs is not None]
    reached = next((s.network_epochs for s in steps if s.network_epochs is not None), None)
    if reached is None:
        return None
    scores = [step.score for step in steps if step.score is not None]
    names = dict.fromkeys(name for step in steps for name in step.metrics)
    times = [step.finished_s for step in steps if step.finished_s is not None]
    known = [*scores, *([] if best_before is None else [best_before])]
    return PopulationStep(
        generation=steps[0].generation,
        network_epochs=reached,
        work=before + sum(epochs),
        scored=len(scores),
        failed=len(steps) - len(scores),
        best=max(scores, default=None),
        best_ever=max(known, default=None),
        mean=statistics.fmean(scores) if scores else None,
        spread=statistics.pstdev(scores) if scores else None,
        metrics={name: _mean_and_spread(steps, name) for name in names},
        finished_s=max(times, default=None),
    )


def _mean_and_spread(steps: Sequence[MemberStep], name: str) -> tuple[float, float]:
    values = [step.metrics[name] for step in steps if name in step.metrics]
    return statistics.fmean(values), statistics.pstdev(values)
