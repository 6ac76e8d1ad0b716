"""Recovers lost checkpoints: idle workers compute them again from the records of their jobs."""

from __future__ import annotations

from pbtnas.protocol.attempts import Attempt, AttemptFailed, AttemptMonitor, Failure, Start, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Has, PutBlob, Say, Steps, persist
from pbtnas.protocol.reading import read
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Job, Manifest

FIRST_S = 5.0  # of waiting, before the first look for lost checkpoints
LONGEST_S = 60.0  # between two looks


class CheckpointRecovery:
    """Finds lost checkpoints of a run, and has their jobs done once more.

    Args:
        run: Id of the run.
        claims: The worker's view of the claims.
        monitor: Monitor of the worker's attempts.
    """

    def __init__(self, run: str, claims: Claims, monitor: AttemptMonitor) -> None:
        self._run = run
        self._claims = claims
        self._monitor = monitor
        self._waited_s = 0.0
        self._due_s = FIRST_S

    def while_waiting(self, waited_s: float, newest: Manifest | None) -> Steps[None]:
        """Now and then, restore the generation in work and the one before.

        Args:
            waited_s: Time that the worker has been idle, in seconds.
            newest: Manifest of the generation in work.
        """
        if waited_s < self._waited_s:
            self._due_s = FIRST_S  # it had something to do in between
        self._waited_s = waited_s
        if waited_s < self._due_s or newest is None:
            return
        self._due_s = waited_s + min(waited_s, LONGEST_S)
        yield from self.generation(newest.generation - 1)
        yield from self.generation(newest.generation)

    def generation(self, number: int) -> Steps[None]:
        """Recompute checkpoints which results of that generation name but which are gone."""
        if number < 0:
            return
        record = yield from read(paths.manifest(number), "manifest", self._run)
        if record is None:
            return
        for job in Manifest.from_json(record.core).jobs:
            found = yield from read(paths.result(number, job.member), "result", self._run)
            if found is None or found.core["checkpoint"] is None:
                continue
            if not (yield from Has(paths.checkpoint(number, found.core["checkpoint"]))):
                yield from self._repair(job, found.core["checkpoint"])

    def _repair(self, job: Job, checkpoint: Digest) -> Steps[None]:
        """Do a job once more for its bytes.  The same record gives the same checkpoint."""
        slot = paths.repair_slot(job.generation, job.member)
        number = yield from self._claims.take(slot)
        if number is None:
            return
        name = paths.checkpoint(job.generation, checkpoint)
        yield from Say(f"{name}: lost or damaged; computing it again from its job")
        attempt = Attempt(job, slot, number, repair=True)
        yield from Start(attempt)
        event = yield from self._monitor.watch(attempt)
        if isinstance(event, AttemptFailed):
            yield from self._monitor.record_failure(attempt, event)
            if event.failure is Failure.INPUT:
                yield from self.generation(job.generation - 1)
            return
        text = "interrupted"
        if isinstance(event, Trained):
            if event.result.checkpoint == checkpoint and event.file is not None:
                yield from persist(
                    PutBlob(event.file, name), while_waiting=lambda: self._monitor.keep(attempt)
                )
                text = "done"
            else:
                text = (
                    f"{name}: computed again with other bits (training is not deterministic "
                    "here), so it cannot be restored"
                )
                yield from Say(text)
        yield from self._monitor.end(attempt, "repair", False, text)
