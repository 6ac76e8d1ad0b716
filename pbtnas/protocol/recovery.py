"""Recovers lost checkpoints: idle workers compute them again from the records of their jobs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from pbtnas.protocol.ancestry import BestSoFar, inputs_there, lost_line
from pbtnas.protocol.attempts import Attempt, AttemptFailed, AttemptMonitor, Failure, Start, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Has, List, Say, Steps, publish_checkpoint
from pbtnas.protocol.reading import read, result_of
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected
from pbtnas.search.objectives import BY_SCORE, Objectives

FIRST_S = 5.0  # of waiting, before the first look for lost checkpoints
LONGEST_S = 60.0  # between two looks
A_LOOK = 4  # members of the generation in work that a look is at, while it has no selection


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
        self._run = run
        self._claims = claims
        self._monitor = monitor
        self._waited_s = 0.0
        self._due_s = FIRST_S
        self._best_so_far = BestSoFar(run, objectives)
        self._turn: tuple[int, Iterator[Job]] = (-1, iter(()))  # a generation, round and round

    def while_waiting(self, waited_s: float, newest: Manifest | None) -> Steps[frozenset[int]]:
        """Now and then, restore the generation in work and the one before; and after the last
        selection, the best-ever member and the front.  A look costs as much in a large population
        as in a small one.

        Returns members of the generation in work that were found to have no result: by name, for a
        listing may show a record that was put aside or cannot be read.

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
        if not (yield from self._selected(newest.generation - 1)):
            yield from self.generation(newest.generation - 1)  # its selection is lost
        if not (yield from self._selected(newest.generation)):
            return (yield from self._some(newest))
        for best in (yield from self._best_so_far.after(newest.generation)):
            if (yield from self._with_ancestors(best)):
                self._due_s = waited_s  # the next of them may follow at once
        return frozenset()

    def _selected(self, number: int) -> Steps[bool]:
        """Recompute lost checkpoints of a generation, if its selection is there.

        The selection and a listing of the checkpoints are read, whatever the population.
        """
        if number < 0:
            return False
        record = yield from read(paths.selection(number), "selection", self._run)
        if record is None:
            return False
        there = yield from List(paths.checkpoints(number))
        for result in Selected.from_json(record.core).results:
            if result.checkpoint is None:
                continue
            name = paths.checkpoint(number, result.checkpoint)
            if name.rpartition("/")[2] in there or (yield from Has(name)):
                continue
            manifest = yield from read(paths.manifest(number), "manifest", self._run)
            if manifest is not None:
                job = Manifest.from_json(manifest.core).job(result.member)
                yield from self._repair(job, result.checkpoint)
        return True

    def _some(self, newest: Manifest) -> Steps[frozenset[int]]:
        """Look at some members of the generation in work, at others the next time.

        Their results and checkpoints are looked for by name.  Returns those without a result.
        """
        if self._turn[0] != newest.generation:
            self._turn = newest.generation, itertools.cycle(newest.jobs)
        without = set()
        for job in itertools.islice(self._turn[1], min(A_LOOK, len(newest.jobs))):
            if not (yield from self._restored(job)):
                without.add(job.member)
        return frozenset(without)

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
            if not (yield from self._restored(job)):
                without.add(job.member)
        return frozenset(without)

    def _restored(self, job: Job) -> Steps[bool]:
        """Recompute the checkpoint of a job if it is lost; whether the job has a result at all."""
        found = yield from self._result(job)
        if found is not None and found.checkpoint is not None:
            if not (yield from Has(paths.checkpoint(job.generation, found.checkpoint))):
                yield from self._repair(job, found.checkpoint)
        return found is not None

    def _result(self, job: Job) -> Steps[Result | None]:
        """The result of a job: its record, or where that is lost, the copy in the selection."""
        record, _ = yield from result_of(job.generation, job.member, self._run)
        if record is not None:
            return Result.from_json(record.core)
        selection = paths.selection(job.generation)
        record = yield from read(selection, "selection", self._run)
        selected = None if record is None else Selected.from_json(record.core)
        if selected is None or selected.cancelled:
            return None
        return selected.result(job.member)

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
        if self._monitor.held_back:
            return False
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
