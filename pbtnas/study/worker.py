"""Drives the worker of a study for real: run directories, one training process, one device.

Which run is worked on, and when it is opened and closed, is decided by `protocol.study`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.config import Config, from_json
from pbtnas.engine.driver import Driver, Trouble, drive, once_reachable
from pbtnas.engine.other_versions import warn_of_other_versions
from pbtnas.engine.presence import note_presence
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.training_process import TrainingProcess
from pbtnas.engine.worker import (
    WorkerDriver,
    is_stopping,
    need_time,
    pace_of,
    training_process,
)
from pbtnas.protocol.addressed import InRun, RunOfStudy
from pbtnas.protocol.operations import AskedToStop, Stopping
from pbtnas.protocol.reuse import ReadKind, TakeCheckpoint
from pbtnas.protocol.study import BusyElsewhere, CloseRun, OpenedRun, OpenRun, StudyWorker
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.records import paths
from pbtnas.records.envelope import RecordError
from pbtnas.records.heartbeat import busy_with
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.opening import Store, beside, open_store
from pbtnas.store.patience import UNWRITABLE
from pbtnas.store.run_directory import NotARun, NotYetARun, Run, open_run
from pbtnas.store.study_directory import Study
from pbtnas.study.reuse import kind_of, take_checkpoint

log = logging.getLogger("pbtnas")

BROKEN = (NotARun, RecordError)
"""Faults of one run; any other error ends the worker."""


@dataclass(frozen=True)
class Machine:
    """What a worker of a study works with.

    Args:
        device: Device to train on.
        scratch: Directory of this machine.
        task_file: "FILE.py:Class" of the command line, or None.
        accept: Whether to go on with other code of the task than that of a run.
    """

    device: str
    scratch: Path
    task_file: str | None
    accept: bool = False


@dataclass(frozen=True)
class _Opened:
    """Holds a run that is open, and the driver that carries out its operations."""

    run: Run
    driver: WorkerDriver


class StudyWorkerDriver(Driver):
    """Carries out what the worker of a study asks for, in the study and in its runs.

    Args:
        study: The study.
        store: Directory of the study.
        stop: Whether to stop.
        name: Name of this worker.
        machine: What it works with.
    """

    def __init__(
        self, study: Study, store: Store, stop: StopRequest, name: str, machine: Machine
    ) -> None:
        super().__init__(store, stop)
        self._study = study
        self._roots = {run.label: run.root for run in study.runs}
        self._name = name
        self._machine = machine
        self._open: dict[str, _Opened] = {}
        self._reach = {run.label: Trouble(run.label) for run in study.runs}
        self._training: TrainingProcess | None = None

    def execute(self, operation: Any) -> Any:
        match operation:
            case InRun(run, TakeCheckpoint(source, job, checkpoint)):
                return take_checkpoint(
                    self._roots[source],
                    self._roots[run],
                    job,
                    checkpoint,
                    algorithm=self._open[run].run.hash,
                    writer=self._name,
                )
            case InRun(run, ReadKind()):
                return kind_of(self._open[run].run, self._open[run].driver.store)
            case InRun(run, inner, as_peer):
                driver = self._open[run].driver
                return driver.look(inner) if as_peer else driver.execute(inner)
            case OpenRun(run):
                return self._begin(run)
            case CloseRun(run):
                self._open.pop(run).driver.store.close()
            case BusyElsewhere(runs, works_for):
                for run in runs:
                    self._open[run].driver.store.settle()
                    self._open[run].driver.sign_of_life(busy_with(works_for))
            case Stopping() if self._training is not None:
                return is_stopping(self.stop, self._training)
            case _:
                return super().execute(operation)
        return None

    def close(self, ending: str) -> None:
        """End the training process, say in all open runs how this worker ended, and close them."""
        if self._training is not None:
            self._training.discard()
        for opened in self._open.values():
            opened.driver.leave(ending)
            opened.driver.store.close()

    def _begin(self, label: str) -> OpenedRun | None:
        root = self._roots[label]
        try:
            run = open_run(root)
            config = from_json(run.config, label)
            engine = config.engine
            store = open_store(root, self._name, primitive=run.primitive)
        except NotYetARun:
            return None
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            self._reach[label](f"{error.filename or root}: {error.strerror}")
            return None  # asked for again
        self._reach[label]("")
        began = self._training is not None
        training = self._training or self._new_training(root, run)
        driver = WorkerDriver(store, self.stop, training, self._name, engine.beat_s, label=label)
        self._open[label] = _Opened(run, driver)
        if not began:
            driver.until_ready(lambda: False)
        return OpenedRun(run.id, engine.lease_s, pace_of(engine), config.search.ranking())

    def _new_training(self, root: Path, run: Run) -> TrainingProcess:
        """The training process of all runs, which imports while there is nothing to do."""
        warn_of_other_versions(run)
        configs: list[Config] = [from_json(run.config, run.label) for run in self._study.runs]
        log_file = beside(self._study.root, paths.worker_log(self._name))
        machine = self._machine
        self._training = training_process(
            root,
            self._name,
            log_file,
            configs,
            machine.device,
            machine.scratch,
            machine.task_file,
            accept=machine.accept,
        )
        self._training.warm_up()
        return self._training


def work_on_study(
    study: Study,
    *,
    stop: StopRequest,
    device: str,
    scratch: Path,
    task_file: str | None,
    reuse: bool,
    accept: bool = False,
) -> WorkerEnding:
    """Work on the runs of a study until it is over or this worker is asked to stop.

    A run that is damaged is left alone.  Raises `ConfigError` for stored configurations that this
    version does not understand, and `NoTime`.
    """
    need_time(stop, [from_json(run.config, run.label) for run in study.runs])
    identity = this_process("w")
    name = identity["worker"]
    note_presence(study.root, identity)
    runs = [RunOfStudy(run.label, run.seed) for run in study.runs]
    worker = StudyWorker(runs, identity, new_nonce, device=device, reuse=reuse, broken=BROKEN)
    log.info("%s: working on the study %s with %s", name, study.root, device)
    try:
        opened = once_reachable(lambda: open_store(study.root, name), study.root, stop)
    except AskedToStop:
        return WorkerEnding.STOPPED
    with opened as store:
        machine = Machine(device, scratch, task_file, accept)
        driver = StudyWorkerDriver(study, store, stop, name, machine)
        said = "an error"
        try:
            ending = drive(worker.work(), driver.execute)
            said = ending.value
        finally:
            driver.close(said)
    log.info("%s: %s", name, ending.value)
    return ending
