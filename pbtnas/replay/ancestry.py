"""Finds what has to be trained again for one member: its ancestors, through bases and donors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.analysis.history.generation import Born
from pbtnas.analysis.history.run import History
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records.paths import member_name
from pbtnas.records.schema import Child, Job, Result, birth_to_json
from pbtnas.search.births import Birth


class NothingToReplay(PbtnasError):
    """A member that the run does not have, or whose ancestry its records do not tell."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Step:
    """What has to be done again in one generation.

    Args:
        jobs: Jobs to do, each with the result that the run recorded.
        births: Children to mix afterwards, each with what the run recorded.
    """

    jobs: tuple[tuple[Job, Result], ...]
    births: tuple[tuple[Birth, Child], ...]


def ancestry_of(history: History, generation: int, member: int) -> tuple[Step, ...]:
    """What makes a member as it was after a generation, from generation 0 on.

    Raises `NothingToReplay`.
    """
    steps: list[Step] = []
    wanted, births = {member}, dict[int, Born]()
    for number in range(generation, -1, -1):
        found = history.generations[number] if number < len(history.generations) else None
        jobs = []
        for slot in sorted(wanted):
            job = None if found is None else found.jobs.get(slot)
            reported = None if found is None else found.results.get(slot)
            if job is None or reported is None or reported.result.checkpoint is None:
                raise NothingToReplay(
                    f"{history.root}: generation {number} {member_name(slot)}: no job and "
                    "checkpoint are recorded, so that it cannot be trained again"
                )
            jobs.append((job, reported.result))
        children = tuple((born.birth, _child(history, number, born)) for born in births.values())
        steps.append(Step(tuple(jobs), children))
        before = history.generations[number - 1] if number else None
        births = {}
        wanted = set()
        for job, _ in jobs:
            born = None if before is None else before.births.get(job.member)
            if len(job.inputs) == 2 and born is not None:
                births[job.member] = born
                wanted |= {born.birth.base, born.birth.donor}
            elif job.inputs:
                wanted.add(job.member)
    return tuple(reversed(steps))


def _child(history: History, generation: int, born: Born) -> Child:
    if born.child is None:
        raise NothingToReplay(
            f"{history.root}: generation {generation} {member_name(born.birth.member)}: no birth "
            "is recorded, so that it cannot be mixed again"
        )
    return born.child


def schedule_of(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """How the member came about, as JSON: by generation the jobs, their results and the births."""
    return [
        {
            "jobs": [_told(job, result) for job, result in step.jobs],
            "births": [{**birth_to_json(birth), **child.to_json()} for birth, child in step.births],
        }
        for step in steps
    ]


def _told(job: Job, result: Result) -> Mapping[str, Any]:
    return {**job.to_json(), "score": result.score, "checkpoint": result.checkpoint}
