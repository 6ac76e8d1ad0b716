"""Finds what a lost checkpoint has to be computed again from, back to the first generation.

Checkpoints of old generations are garbage, but for the best-ever member's and those of the front.
Should one of them be lost, its job begins with checkpoints that were discarded long ago; their jobs
have records still.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.protocol.generations import champion
from pbtnas.protocol.operations import Has, Steps
from pbtnas.protocol.reading import read, selection_of
from pbtnas.protocol.retention import Retention
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Job, Manifest, Selected
from pbtnas.search.objectives import Objectives


@dataclass(frozen=True)
class Lost:
    """A trained checkpoint that is not there.

    Args:
        job: Job that trained it.
        checkpoint: Its digest.
    """

    job: Job
    checkpoint: Digest


def lost_line(run: str, generation: int, member: int) -> Steps[list[Lost]]:
    """A member's checkpoint, if it is lost, and before it the lost ones that it is made from.

    The oldest come first.  Nothing while a record is missing that tells what those are.
    """
    line: list[Lost] = []
    wanted = {member}
    selected = yield from selection_of(generation, run)
    while wanted:
        record = yield from read(paths.manifest(generation), "manifest", run)
        before = (yield from selection_of(generation - 1, run)) if generation else None
        if record is None or selected is None or (generation and before is None):
            return []
        lost: list[Lost] = []
        parents: set[int] = set()
        for job in Manifest.from_json(record.core).jobs:
            if job.member in wanted:
                checkpoint = selected.result(job.member).checkpoint
                if checkpoint is None or (yield from Has(paths.checkpoint(generation, checkpoint))):
                    continue
                lost.append(Lost(job, checkpoint))
                if before is not None and not (yield from inputs_there(job)):
                    parents |= _parents(job, before)
        line = lost + line
        wanted, selected, generation = parents, before, generation - 1
    return line


def inputs_there(job: Job) -> Steps[bool]:
    """Whether the checkpoints are there that a job begins with."""
    for checkpoint in job.inputs:
        if not (yield from Has(paths.checkpoint(job.generation - 1, checkpoint))):
            return False
    return True


def best_are_there(final: Mapping[str, Any]) -> Steps[bool]:
    """Whether the checkpoints of the best members are there that the last record of a run names."""
    for best in (final["best_ever"], final["best_last"], *final.get("front", ())):
        if best is not None:
            name = paths.checkpoint(best["generation"], best["checkpoint"])
            if not (yield from Has(name)):
                return False
    return True


class BestSoFar:
    """Finds the members that a run is kept for, and reads each generation once.

    Args:
        run: Id of the run.
        objectives: What members are ranked by.
    """

    def __init__(self, run: str, objectives: Objectives) -> None:
        self._run = run
        self._retention = Retention(objectives)
        self._next = 0

    def after(self, newest: int) -> Steps[list[Champion]]:
        """The best member up to that generation, and those that no other dominates; nobody while
        a record is missing."""
        while self._next <= newest:
            record = yield from read(paths.manifest(self._next), "manifest", self._run)
            selected = yield from selection_of(self._next, self._run)
            if record is None or selected is None:
                return []
            if selected.cancelled:
                break
            manifest = Manifest.from_json(record.core)
            self._retention.add(champion(manifest, selected), manifest, selected)
            self._next += 1
        return self._retention.named()


def _parents(job: Job, before: Selected) -> set[int]:
    """The members of the generation before from whose checkpoints a job's inputs are made."""
    if len(job.inputs) == 1:
        return {job.member}
    return {m for b in before.births if b.member == job.member for m in (b.base, b.donor)}
