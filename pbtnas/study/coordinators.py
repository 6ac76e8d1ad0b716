"""The coordinators of a study, all in one process.

Coordinators mostly sleep.  Since their protocol yields what it wants done, one process carries
out many of them in turn: it imports torch once and prepares a task once, where a process a run
would take half a gigabyte each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from pbtnas.config import from_json
from pbtnas.engine.coordinator import OpenCoordinator, open_coordinator
from pbtnas.engine.signals import StopRequest
from pbtnas.errors import PbtnasError
from pbtnas.protocol.operations import Sleep, Steps
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.search.algorithms import NoParentsError
from pbtnas.store.reader import RunReader
from pbtnas.store.study_directory import Study, StudyRun
from pbtnas.training.prepared_tasks import PreparedTasks

log = logging.getLogger("pbtnas")


@dataclass
class _Running:
    """A coordinator at work.

    Args:
        run: what it coordinates.
        seat: the coordinator.
        steps: its protocol, begun.
        opened: to be closed when it ends.
        due_s: when it wants to go on.
        reply: to what it asked for last.
    """

    run: StudyRun
    coordinator: OpenCoordinator
    steps: Steps[CoordinatorEnding]
    opened: ExitStack
    due_s: float = 0.0
    reply: Any = None


@dataclass
class StudyOutcomes:
    """What became of the runs so far, by label.

    Args:
        ended: the fingerprint, or the sentence why the search could not go on.
        failed: of these, the labels of those that could not go on.
        broken: a sentence for each that somebody has to mend before it can go on.
        held: runs that another process coordinates.
    """

    ended: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    held: list[str] = field(default_factory=list)


class Coordinators:
    """Coordinates the runs of a study: all runs of the earliest seeds that have not ended.

    Args:
        study: which.
        stop: whether to stop.
        tasks: prepared once for all runs.
        open_seeds: how many seeds are in work at once.
    """

    def __init__(
        self, study: Study, stop: StopRequest, tasks: PreparedTasks, open_seeds: int
    ) -> None:
        self.outcomes = StudyOutcomes()
        self._stop = stop
        self._tasks = tasks
        self._open_seeds = open_seeds
        self._seeds = list(dict.fromkeys(run.seed for run in study.runs))
        self._waiting = list(study.runs)
        self._running: list[_Running] = []

    @property
    def over(self) -> bool:
        """Whether there is nothing left to coordinate."""
        return not self._waiting and not self._running

    def step(self) -> float:
        """Do what is due; the seconds until something is due again."""
        self._open()
        for running in list(self._running):
            if running.due_s <= time.monotonic():
                self._advance(running)
        due_s = min((running.due_s for running in self._running), default=0.0)
        return max(0.0, due_s - time.monotonic())

    def close(self) -> None:
        """Have every coordinator give up its term; the same command goes on from here."""
        self._stop.asked = True
        while self._running:
            for running in list(self._running):
                self._advance(running)
            self._stop.wait(0.01)

    def _open(self) -> None:
        """Begin with the runs whose turn it is."""
        unfinished = [running.run.seed for running in self._running]
        unfinished += [run.seed for run in self._waiting]
        seeds = [seed for seed in self._seeds if seed in unfinished][: self._open_seeds]
        for run in [run for run in self._waiting if run.seed in seeds]:
            if self._stop.asked:
                return
            self._waiting.remove(run)
            if not self._finished(run):
                self._start(run)

    def _finished(self, run: StudyRun) -> bool:
        """Whether a run is over, and if so, noted down."""
        if not (run.root / paths.FINAL).exists():
            return False
        with self._troubles_of(run):
            try:
                with RunReader(run.root) as files:
                    record = files.record(paths.FINAL, "final")
            except CorruptRecord:
                record = None
            if record is None:
                return False  # its coordinator publishes the same again
            self.outcomes.ended[run.label] = record.core["fingerprint"]
        return True

    def _start(self, run: StudyRun) -> None:
        with self._troubles_of(run), ExitStack() as opened:
            config = from_json(run.config, run.label)
            coordinator = opened.enter_context(
                open_coordinator(
                    run.root,
                    config,
                    self._tasks.load(config.task).space,
                    lambda store: self._tasks.of(config.task, store),
                    stop=self._stop,
                    label=run.label,
                )
            )
            if isinstance(coordinator, CoordinatorEnding):
                self._left(run, coordinator)
                return
            steps = coordinator.protocol.coordinate()
            self._running.append(_Running(run, coordinator, steps, opened.pop_all()))

    def _advance(self, running: _Running) -> None:
        """Let a coordinator go on until it sleeps or ends."""
        ended = True
        with self._troubles_of(running.run):
            while True:
                try:
                    operation = running.steps.send(running.reply)
                except StopIteration as stop:
                    running.coordinator.finish(stop.value)
                    self._left(running.run, stop.value)
                    break
                running.reply = None
                if isinstance(operation, Sleep):
                    running.due_s = time.monotonic() + operation.seconds
                    ended = False
                    break
                running.reply = running.coordinator.host.execute(operation)
        if ended:
            self._running.remove(running)
            running.opened.close()

    def _left(self, run: StudyRun, ending: CoordinatorEnding) -> None:
        if ending is CoordinatorEnding.FINISHED:
            self._finished(run)
        elif ending is not CoordinatorEnding.STOPPED:
            self.outcomes.held.append(run.label)
        log.info("%s: %s", run.label, ending.value)

    @contextmanager
    def _troubles_of(self, run: StudyRun) -> Iterator[None]:
        """What ends one run does not end the others."""
        try:
            yield
        except NoParentsError as error:
            self.outcomes.ended[run.label] = str(error)
            self.outcomes.failed.append(run.label)
            log.warning("%s: %s", run.label, error)
        except PbtnasError as error:
            self.outcomes.broken[run.label] = str(error)
            log.warning("%s: %s", run.label, error)
