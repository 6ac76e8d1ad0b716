"""Recovers lost checkpoints: idle workers compute them again from the records of their jobs."""

from __future__ import annotations

from pbtnas.protocol.ancestry import best_so_far, inputs_there, lost_line
from pbtnas.protocol.attempts import Attempt, AttemptFailed, AttemptMonitor, Failure, Start, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Has, Say, Steps, publish_checkpoint
from pbtnas.protocol.reading import read
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected
from pbtnas.search.objectives import BY_SCORE, Objectives

FIRST_S = 5.0  # of waiting, before the first look for lost checkpoints
LONGEST_S = 60.0  # between two looks


class CheckpointRecovery:
    """Finds lost checkpoints of a run, and has their jobs done once more.

    Args:
        run: Id of the run.
        claims: The worker's view of the claims.
        monitor: Monitor of the worker's attempts.
        objectives: What members of the run are ranked by.
    """

    def __init__(
        self,
        run: str,
        claims: Claims,
        monitor: AttemptMonitor,
        objectives: Objectives = BY_SCORE,
    ) -> None:
        self._objectives = objectives
        self._run = run
        self._claims = claims
        self._monitor = monitor
        self._waited_s = 0.0
        self._due_s = FIRST_S

    def while_waiting(self, waited_s: float, newest: Manifest | None) -> Steps[frozenset[int]]:
        """Now and then, restore the generation in work and the one before; and after the last
        selection, the best-ever member and the front.

        Returns the members of the generation in work that were found to have no result: by
        name, for a listing may show a record that was put aside or cannot be read.

        Args:
            waited_s: Time that the worker has been idle, in seconds.
            newest: Manifest of the generation in work.
        """
        if waited_s < self._waited_s:
            self._due_s = FIRST_S  # it had something to do in between
        self._waited_s = waited_s
        if waited_s < self._due_s or newest is None:
            return frozenset()
        self._due_s = waited_s + min(waited_s, LONGEST_S)
        yield from self.generation(newest.generation - 1)
        without = yield from self.generation(newest.generation)
        for best in (yield from best_so_far(self._run, newest.generation, self._objectives)):
            if (yield from self._with_ancestors(best)):
                self._due_s = waited_s  # the next of them may follow at once
        return without

    def generation(self, number: int) -> Steps[frozenset[int]]:
        """Recompute checkpoints which results of that generation name but which are gone.

        Returns the members that have no result.
        """
        if number < 0:
            return frozenset()
        record = yield from read(paths.manifest(number), "manifest", self._run)
        if record is None:
            return frozenset()
        without = set()
        for job in Manifest.from_json(record.core).jobs:
            found = yield from self._result(job)
            if found is None:
                without.add(job.member)
            elif found.checkpoint is not None:
                if not (yield from Has(paths.checkpoint(number, found.checkpoint))):
                    yield from self._repair(job, found.checkpoint)
        return frozenset(without)

    def _result(self, job: Job) -> Steps[Result | None]:
        """The result of a job: its record, or where that is lost, the copy in the selection."""
        name = paths.result(job.generation, job.member)
        record = yield from read(name, "result", self._run)
        if record is not None:
            return Result.from_json(record.core)
        selection = paths.selection(job.generation)
        record = yield from read(selection, "selection", self._run)
        return None if record is None else Selected.from_json(record.core).result(job.member)

    def _with_ancestors(self, best: Champion) -> Steps[bool]:
        """Recompute a champion's checkpoint if it is lost, the lost ones that it is made from
        first.  Whether one was restored; a child waits for the coordinator's mixing."""
        line = yield from lost_line(self._run, best.generation, best.member)
        restored = False
        for lost in line:
            if (yield from inputs_there(lost.job)):
                restored |= yield from self._repair(lost.job, lost.checkpoint)
        return restored

    def _repair(self, job: Job, checkpoint: Digest) -> Steps[bool]:
        """Do a job once more for its bytes; whether they are there now.  The same record gives the
        same checkpoint, unless training is not deterministic here."""
        slot = paths.repair_slot(job.generation, job.member)
        number = yield from self._claims.take(slot)
        name = paths.checkpoint(job.generation, checkpoint)
        if number is None:
            return False
        # Look again: whoever had the slot may have restored it since.
        if (yield from Has(name)):
            return True
        yield from Say(f"{name}: lost or damaged; computing it again from its job")
        attempt = Attempt(job, slot, number, repair=True)
        yield from Start(attempt)
        event = yield from self._monitor.watch(attempt)
        if isinstance(event, AttemptFailed):
            yield from self._monitor.record_failure(attempt, event)
            if event.failure is Failure.INPUT:
                yield from self.generation(job.generation - 1)
            return False
        text, restored = "interrupted", False
        if isinstance(event, Trained):
            if event.result.checkpoint == checkpoint and event.file is not None:
                restored = yield from publish_checkpoint(
                    event.file, name, while_waiting=lambda: self._monitor.keep(attempt)
                )
                text = "done" if restored else "another attempt has taken its place"
            else:
                text = (
                    f"{name}: computed again with other bits (training is not deterministic "
                    "here), so it cannot be restored"
                )
                yield from Say(text)
        yield from self._monitor.end(attempt, "repair", False, text)
        return restored
