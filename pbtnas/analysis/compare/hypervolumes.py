"""Compares runs by the hypervolume of what they have found in several objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.observations import budget, curve
from pbtnas.analysis.compare.outcomes import Curve, Outcome
from pbtnas.analysis.fronts.measured import (
    Measured,
    check_reference,
    in_words,
    measured,
    reference_point,
)
from pbtnas.search.objectives import Objectives


@dataclass(frozen=True)
class Hypervolume:
    """The hypervolume of one run: at its end, and after each generation."""

    outcome: Outcome
    curve: Curve


def common_objectives(runs: Sequence[NamedRun]) -> Objectives:
    """The objectives of those runs that have several; the others are measured by the same.

    Raises `ComparisonError` where no run has several, or two have different ones.
    """
    several = [run for run in runs if run.history.objectives.several]
    if not several:
        raise ComparisonError("none of these runs has several objectives (search.objectives)")
    first = several[0].history
    for run in several:
        if run.history.objectives.each != first.objectives.each:
            raise ComparisonError(
                f"runs {first.root.name} and {run.history.root.name} have different objectives "
                f"({_named(first.objectives)}; {_named(run.history.objectives)}): only equal "
                "ones are compared"
            )
    return first.objectives


def have_common_objectives(runs: Sequence[NamedRun]) -> bool:
    """Whether some of the runs have several objectives, and all of those the same."""
    objectives = [run.history.objectives for run in runs]
    return len({each.each for each in objectives if each.several}) == 1


def all_measured(runs: Sequence[NamedRun]) -> list[Measured]:
    """Runs by the objectives that they have in common.

    A run that has nobody within the bounds has found nothing, so that its hypervolume is 0.
    Raises `ComparisonError`, also where no member of a run has the objectives.
    """
    objectives = common_objectives(runs)
    found = [measured(run.history, objectives) for run in runs]
    for each in found:
        if not each.reported:
            raise ComparisonError(
                f"run {each.run} has no member with all of the objectives {_named(objectives)}"
            )
    return found


def hypervolumes(runs: Sequence[NamedRun], text: str) -> list[Hypervolume]:
    """The hypervolumes of finished runs against a reference point.

    Raises `ComparisonError`, and `BadReference` for a text that is no such point.
    """
    found = all_measured(runs)
    reference = reference_point(text, found[0].objectives)
    check_reference(reference, found)
    metric = f"hypervolume against {in_words(found[0], reference)}"
    return [
        _hypervolume(run, each.volumes(reference), metric)
        for run, each in zip(runs, found, strict=True)
    ]


def _hypervolume(run: NamedRun, volumes: Sequence[float], metric: str) -> Hypervolume:
    scores = curve(run.history, algorithm=run.name)
    return Hypervolume(
        Outcome(
            run=scores.run,
            algorithm=run.name,
            seed=scores.seed,
            value=volumes[-1],
            metric=metric,
            task=run.task,
            budget=budget(run.history),
        ),
        replace(scores, metric="hypervolume", scores=tuple(volumes)),
    )


def _named(objectives: Objectives) -> str:
    return ", ".join(map(str, objectives.each))
