"""Makes members, as selection sees them, of jobs and their results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pbtnas.records.schema import Job, Result, numbers
from pbtnas.search.objectives import Objectives, recorded
from pbtnas.search.population import Member


def members_of(
    objectives: Objectives, jobs: Iterable[Job], results: Mapping[int, Result]
) -> list[Member]:
    """The members of a finished generation.

    Who lacks an objective has no score there, whatever it scored: nobody is to go on from it.
    """
    return [_member(objectives, job, results[job.member]) for job in jobs]


def lacking(objectives: Objectives, result: Result) -> list[str]:
    """The objectives of which a result has no finite value; none of a result without a score."""
    if result.score is None:
        return []
    return objectives.missing(numbers(result.score, result.metrics))


def unreported(objectives: Objectives, results: Iterable[Result]) -> str:
    """The sentence on an objective that no result with a score in generation 0 has; "" if each is
    there once."""
    scored = [result for result in results if result.score is not None]
    for objective in objectives.each:
        if scored and all(objective.name in lacking(objectives, result) for result in scored):
            known = sorted({name for result in scored for name in result.metrics} - {"score"})
            return (
                f"search.objectives: no member of generation 0 reports a finite "
                f"{objective.name!r}; they report {', '.join(['score', *known])}"
            )
    return ""


def is_usable(objectives: Objectives, result: Result) -> bool:
    """Whether a result has a score and every objective."""
    return result.score is not None and not lacking(objectives, result)


def counted_of(config: Mapping[str, Any]) -> list[str]:
    """The numbers that are counted for the objectives of a stored configuration."""
    return sorted(recorded(config.get("search", {})).counted)


def _member(objectives: Objectives, job: Job, result: Result) -> Member:
    if objectives.only_score:
        return Member(job.member, job.architecture, result.score)
    if result.score is None or lacking(objectives, result):
        return Member(job.member, job.architecture, None)
    standing = objectives.standing(numbers(result.score, result.metrics))
    return Member(job.member, job.architecture, result.score, standing.gains, standing.outside)
