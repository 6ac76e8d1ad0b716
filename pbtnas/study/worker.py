"""A worker of a study: it serves all runs that are open, with one training process.

Of the runs, those of the earliest seed come first, and among these the one that is furthest
behind: so the runs of a seed stay together, and what one of them has computed is still there
when the others need it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.config import Config, from_json
from pbtnas.engine.driver import Driver, drive
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.training_process import TrainingProcess
from pbtnas.engine.worker import WorkerDriver, pace_of, training_process, warn_of_other_version
from pbtnas.protocol.attempts import Attempt, Start
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import AskedToStop, pause_s
from pbtnas.protocol.worker import Worker, WorkerEnding
from pbtnas.records import paths
from pbtnas.records.envelope import RecordError, store_nonce
from pbtnas.records.heartbeat import busy_with
from pbtnas.store.identity import this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import NotARun, NotYetARun, open_run
from pbtnas.store.study_directory import Study, StudyRun
from pbtnas.study.reuse import Peer, Reuse

log = logging.getLogger("pbtnas")

RESCAN_S = 1.0  # between two looks for runs that have been opened or have ended
POLL_S = 0.5  # longest wait between two looks for work
_BROKEN = (NotARun, RecordError)  # faults of one run; any other error ends the worker


@dataclass
class Served:
    """A run that has begun.

    Args:
        planned: as the study has it.
        order: of its seed, and of itself.
        worker: takes and carries out its jobs.
        host: carries out what the worker does.
        generation: in work; -1 before the first.
        over: whether it has come to its end.
    """

    planned: StudyRun
    order: tuple[int, int]
    worker: Worker
    host: WorkerDriver
    generation: int = -1
    over: bool = False

    def look(self) -> None:
        """See which generation is in work."""
        manifest = drive(self.worker.newest_manifest(), self.host.execute)
        self.generation = -1 if manifest is None else manifest.generation


class StudyWorker:
    """Works on a study until it is over or somebody says stop.

    Args:
        study: which.
        stop: whether to stop.
        training: shared by all runs.
        identity: of this process.
        device: to train on.
        reuse: take over what other runs have computed, instead of computing it again.
    """

    def __init__(
        self,
        study: Study,
        stop: StopRequest,
        training: TrainingProcess,
        identity: dict[str, Any],
        *,
        device: str,
        reuse: bool,
    ) -> None:
        self._study = study
        self._stop = stop
        self._training = training
        self._identity = identity
        self._device = device
        self._reuse = reuse
        self._waiting = list(study.runs)  # for their turn
        self._served: list[Served] = []
        self._peers: dict[str, Peer] = {}  # by label
        self._looked_s = float("-inf")
        self._idle_since_s: float | None = None

    def work(self) -> WorkerEnding:
        """Work; how it ended."""
        try:
            return self._work()
        except AskedToStop:  # while the disk was full
            return WorkerEnding.HANDED_BACK

    def _work(self) -> WorkerEnding:
        while not self._stop.asked:
            self._follow_the_study()
            found = self._next()
            if found is not None:
                served, attempt = found
                served.host.execute(Start(attempt))
            # As in `Worker.work`: the training process need not wait for the disk.
            self._publish()
            if found is not None:
                self._idle_since_s = None
                ending = None
                with self._faults_of(served):
                    ending = drive(served.worker.attend(attempt), self._executor(served))
                if ending is not None:
                    self._publish()
                    return ending
            elif self._study.ended() is not None:
                return WorkerEnding.FINISHED
            else:
                self._wait()
        self._publish()
        return WorkerEnding.STOPPED

    def close(self) -> None:
        for served in self._served:
            served.host.store.close()

    def _next(self) -> tuple[Served, Attempt] | None:
        serving = [served for served in self._served if not served.over]
        for served in serving:
            with self._faults_of(served):
                served.look()
        for served in sorted(serving, key=lambda s: (s.order[0], s.generation, s.order[1])):
            attempt = None
            with self._faults_of(served):
                attempt = drive(served.worker.next_attempt(), served.host.execute)
            if attempt is not None:
                return served, attempt
        return None

    def _executor(self, served: Served) -> Callable[[Any], Any]:
        """What works for one run, and meanwhile tells those who look at the others."""

        def execute(operation: Any) -> Any:
            for other in self._served:
                if other is not served and not other.over:
                    other.host.sign_of_life(busy_with(served.planned.label))
            return served.host.execute(operation)

        return execute

    def _publish(self) -> None:
        for served in self._served:
            with self._faults_of(served):
                drive(served.worker.publish_last(), served.host.execute)

    def _wait(self) -> None:
        now_s = time.monotonic()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        waited_s = now_s - self._idle_since_s
        for served in self._served:
            if not served.over:
                with self._faults_of(served):
                    drive(served.worker.repair(waited_s), served.host.execute)
        self._stop.wait(pause_s(waited_s, POLL_S))

    def _follow_the_study(self) -> None:
        """Now and then, begin with the runs that were opened, and note those that are over.

        These are kept until their seed is: the others may still want what they have computed.
        """
        now_s = time.monotonic()
        if now_s - self._looked_s < RESCAN_S:
            return
        self._looked_s = now_s
        for planned in list(self._waiting):
            try:
                self._served.append(self._serve(planned))
            except NotYetARun:
                continue
            except _BROKEN as error:
                _leave_alone(planned, error)
            self._waiting.remove(planned)
        for served in self._served:
            served.over = served.over or served.host.store.get(paths.FINAL) is not None
        unfinished = {served.planned.seed for served in self._served if not served.over}
        unfinished |= {planned.seed for planned in self._waiting}
        for served in [s for s in self._served if s.planned.seed not in unfinished]:
            with self._faults_of(served):
                drive(served.worker.publish_last(), served.host.execute)
            served.host.store.close()
            self._served.remove(served)
            del self._peers[served.planned.label]

    @contextmanager
    def _faults_of(self, served: Served) -> Iterator[None]:
        """What is broken in one run does not end the work on the others."""
        try:
            yield
        except _BROKEN as error:
            _leave_alone(served.planned, error)
            served.over = True

    def _serve(self, planned: StudyRun) -> Served:
        run = open_run(planned.root)
        engine = from_json(run.config).engine
        name = self._identity["worker"]
        store = PosixStore(planned.root, name, primitive=run.primitive)
        claims = Claims(run.id, self._identity, lease_s=engine.lease_s, new_nonce=store_nonce)
        peer = Peer(planned.label, run, store, claims, Driver(store, self._stop).execute)
        self._peers[planned.label] = peer
        reuse = Reuse(peer, self._peers.values() if self._reuse else (), name, self._device)
        host = WorkerDriver(
            store,
            self._stop,
            self._training,
            name,
            engine.beat_s,
            label=planned.label,
            reuse=reuse.find,
        )
        worker = Worker(run.id, name, claims, pace_of(engine), reuse.postponed)
        seeds = list(dict.fromkeys(other.seed for other in self._study.runs))
        order = (seeds.index(planned.seed), self._study.runs.index(planned))
        return Served(planned, order, worker, host)


def work_on_study(
    study: Study,
    *,
    stop: StopRequest,
    device: str,
    scratch: Path,
    task_file: str | None,
    reuse: bool,
) -> WorkerEnding:
    """Work on the runs of a study until it is over or this worker is asked to stop.

    A run that is damaged is left alone.  Raises `ConfigError` for stored configurations that this
    version does not understand, and `RecordError` for a study that cannot be read.
    """
    first = _first_open(study, stop)
    if first is None:
        return WorkerEnding.STOPPED if stop.asked else WorkerEnding.FINISHED
    identity = this_process("w")
    name = identity["worker"]
    warn_of_other_version(open_run(first.root))
    configs: list[Config] = [from_json(run.config, run.label) for run in study.runs]
    log_file = study.root / paths.worker_log(name)
    training = training_process(first.root, name, log_file, configs, device, scratch, task_file)
    worker = StudyWorker(study, stop, training, identity, device=device, reuse=reuse)
    log.info("%s: working on the study %s with %s", name, study.root, device)
    try:
        training.warm_up()
        ending = worker.work()
    finally:
        training.discard()
        worker.close()
    log.info("%s: %s", name, ending.value)
    return ending


def _leave_alone(run: StudyRun, error: Exception) -> None:
    log.warning("%s: %s; left alone until this worker is started again", run.label, error)


def _first_open(study: Study, stop: StopRequest) -> StudyRun | None:
    """Wait for a run to work on; None if the study is over or somebody says stop."""
    while not stop.asked and study.ended() is None:
        for run in study.runs:
            try:
                open_run(run.root)
            except _BROKEN:  # or not yet begun
                continue
            if not (run.root / paths.FINAL).exists():
                return run
        stop.wait(POLL_S)
    return None
