"""Drives the coordinators of a study for real, all in one process.

It imports torch once and prepares a task once, where a process a run would take half a gigabyte
each.  What is done when is decided by `protocol.study_coordinator`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from pbtnas.config import from_json
from pbtnas.engine.coordinator import OpenCoordinator, open_coordinator
from pbtnas.engine.driver import Driver
from pbtnas.engine.signals import StopRequest
from pbtnas.errors import PbtnasError
from pbtnas.protocol.addressed import InRun, RunOfStudy
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.operations import Get, Operation, Sleep
from pbtnas.protocol.study_coordinator import EndCoordinator, StartCoordinator, StudyCoordinator
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.store.identity import new_nonce
from pbtnas.store.opening import Store, open_files
from pbtnas.store.study_directory import Study
from pbtnas.training.prepared_tasks import PreparedTasks

log = logging.getLogger("pbtnas")


def coordinator_of(study: Study, open_seeds: int) -> StudyCoordinator:
    """The coordinator of a study, not yet begun.

    Args:
        study: The study.
        open_seeds: How many seeds are in work at once.
    """
    runs = [RunOfStudy(run.label, run.seed) for run in study.runs]
    return StudyCoordinator(study.id, runs, open_seeds, new_nonce, broken=(PbtnasError,))


class CoordinatorsDriver(Driver):
    """Carries out what the coordinator of a study asks for, in the study and in its runs.

    Args:
        study: The study.
        store: Directory of the study.
        stop: Whether to stop.
        tasks: Tasks, each prepared once for all runs.
        sleep: Waits so many seconds, or less.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        stop: StopRequest,
        tasks: PreparedTasks,
        sleep: Callable[[float], None],
    ) -> None:
        super().__init__(store, stop)
        self._runs = {run.label: run for run in study.runs}
        self._tasks = tasks
        self._sleep = sleep
        self._open: dict[str, tuple[OpenCoordinator, ExitStack]] = {}
        self._remarks: set[str] = set()

    def execute(self, operation: Any) -> Any:
        match operation:
            case Sleep(seconds):
                self._sleep(seconds)
            case InRun(run, inner) if run in self._open:
                return self._open[run][0].driver.execute(inner)
            case InRun(run, inner):
                return self._look(run, inner)
            case StartCoordinator(run):
                return self._start(run)
            case EndCoordinator(run, ending):
                self._end(run, ending)
            case _:
                return super().execute(operation)
        return None

    def close(self) -> None:
        """Close the runs that are still open, when an error ends this process."""
        for run in list(self._open):
            self._end(run, None)

    def _look(self, run: str, operation: Operation[Any]) -> Any:
        """Read a file of a run that is not open and perhaps not even begun."""
        assert isinstance(operation, Get), f"{run} is not open: {operation!r}"
        root = self._runs[run].root
        # What cannot be read now is waited for, or put aside, when the run is opened.
        with suppress(OSError, UnreadableRecord), open_files(root) as reader:
            return reader.get(operation.name)
        return None

    def _start(self, run: str) -> Coordinator | CoordinatorEnding:
        planned = self._runs[run]
        with ExitStack() as opened:
            config = from_json(planned.config, run, recorded=planned.options)
            coordinator = opened.enter_context(
                open_coordinator(
                    planned.root,
                    config,
                    self._tasks.load(config.task),
                    lambda store: self._tasks.of(config.task, store, threads=config.run.threads),
                    stop=self.stop,
                    label=run,
                )
            )
            if isinstance(coordinator, CoordinatorEnding):
                return coordinator
            if coordinator.remark and coordinator.remark not in self._remarks:
                self._remarks.add(coordinator.remark)  # once, not for every run
                log.warning("%s: %s", run, coordinator.remark)
            self._open[run] = coordinator, opened.pop_all()
            return coordinator.protocol

    def _end(self, run: str, ending: CoordinatorEnding | None) -> None:
        coordinator, opened = self._open.pop(run)
        with opened:
            if ending is not None:
                coordinator.finish(ending)
