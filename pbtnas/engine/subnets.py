"""Rates the subnets of a finished run's members, by any number of processes."""

from __future__ import annotations

from pathlib import Path

from pbtnas.engine.post_search import opened_work
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.subnets import Rating, Tuning, rating_items, ratings
from pbtnas.records.schema import Champion
from pbtnas.store.finished import champions, last
from pbtnas.tasks.base import HasSubnets, NoSubnets, Task
from pbtnas.tasks.faults import blamed


def rate_subnets(
    root: Path,
    task: Task,
    how: Tuning,
    *,
    device: str,
    scratch: Path,
    stop: StopRequest | None = None,
) -> list[Rating]:
    """Rate all subnets of all members that a finished run ended with, in their order.

    What other processes do at the same time is waited for.  Subnets of a member that diverged
    have no score.

    Args:
        root: The run directory.
        task: The task of the run.
        how: How subnets are rated.
        device: A torch device.
        scratch: A directory of this machine.
        stop: The request to stop.

    Raises `NoSubnets`, and what `engine.evaluation.evaluate` raises.
    """
    if not isinstance(task, HasSubnets):
        raise NoSubnets(f"{root}: the networks of this run's task have no subnets")
    with opened_work(root, task, device, scratch, stop) as work:
        work.read(lambda: champions(work.store, work.run))  # is it finished?
        manifest, selected = work.generation(work.read(lambda: last(work.store, work.run)))
        members, subnets = {}, {}
        for job in manifest.jobs:
            result = selected.result(job.member)
            subnets[job.member] = tuple(task.subnets(job.architecture))
            if result.score is not None and result.checkpoint is not None:
                members[job.member] = Champion(
                    manifest.generation,
                    job.member,
                    result.score,
                    job.architecture,
                    result.checkpoint,
                )
        if how.statistics is not None:
            for member in list(members.values())[:1]:  # before a piece is taken: does it know them?
                with blamed("rater()", type(task)):
                    task.rater(
                        member.architecture,
                        subnets[member.member][:1],
                        at=how.at,
                        statistics=how.statistics,
                    )
        items = rating_items(members, subnets, how, work.seed)
        known = work.complete(lambda known: [i for i in items if i.record not in known])
    found = {(rating.member, rating.subnet): rating for rating in ratings(items, known)}
    nothing = (None,) * len(how.at)
    return [
        found.get((member, subnet), Rating(subnet, member, nothing))
        for member, names in subnets.items()
        for subnet in names
    ]
