"""Runs a worker on a run directory, with a training process, a device and signals."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pbtnas.config import Config, EngineConfig, from_json
from pbtnas.engine.driver import Driver, drive, once_reachable
from pbtnas.engine.other_versions import warn_of_other_versions
from pbtnas.engine.presence import note_presence
from pbtnas.engine.signals import LEAVE_S, StopRequest
from pbtnas.engine.training_process import TrainingProcess
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.processor import check_possible, variables_of
from pbtnas.protocol.attempts import (
    Attempt,
    AttemptFailed,
    Failure,
    Halt,
    Poll,
    Progress,
    Start,
    Stopped,
    Trained,
)
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import AskedToStop, Stopping, WriteHeartbeat
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.causes import cause
from pbtnas.records.heartbeat import IDLE, Heartbeat, left, waiting_for
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.opening import Store, open_store
from pbtnas.store.private_files import clear_earlier_attempts, clear_own_attempt
from pbtnas.store.run_directory import NotARun, NotYetARun, Run, make_directory, open_run
from pbtnas.store.study_directory import Study, is_study, open_study

log = logging.getLogger("pbtnas")

LOOK_S = 0.25  # between two looks for a run that has not begun
LOOK_READY_S = 1.0  # between two looks whether a training process has ended before it was ready


class TaskDoesNotFit(PbtnasError):
    """The task of this worker cannot be loaded, or is not the one that the run was started with."""

    exit_code = ExitCode.USAGE


class NoTime(PbtnasError):
    """The time that this worker has is too short to train anything."""

    exit_code = ExitCode.USAGE


class WorkerDriver(Driver):
    """Carries out a worker's operations, those of its training process included.

    Args:
        store: Run directory.
        stop: Request to stop.
        training: Training process; of all runs, where this worker serves several.
        name: Name of this worker.
        beat_s: Seconds between two signs of life in `workers/`.
        label: Label of the run, where this worker serves several.
    """

    def __init__(
        self,
        store: Store,
        stop: StopRequest,
        training: TrainingProcess,
        name: str,
        beat_s: float,
        *,
        label: str = "",
    ) -> None:
        super().__init__(store, stop, label)
        self._training = training
        self._name = name
        self._beat_s = beat_s
        self._beats = 0
        self._last_beat_s = float("-inf")
        self._phase = IDLE
        self._done = 0
        self._attempt: Attempt | None = None
        self._store_trouble = ""
        self._waits_for = ""  # of the store or of the training process, as it was said

    def report(self, trouble: str) -> None:
        """Say and show that the directory cannot be used, and that it can again."""
        self._store_trouble = trouble
        self._say_trouble()

    def _say_trouble(self) -> None:
        trouble = self._store_trouble or self._training.waiting
        if trouble != self._waits_for:
            super().report(trouble)
            self._waits_for = trouble
            self._last_beat_s = float("-inf")

    def execute(self, operation: Any) -> Any:
        self.sign_of_life()
        match operation:
            case Start(attempt):
                self._start(attempt)
            case Poll(seconds):
                return self._poll(seconds)
            case Halt():
                self._training.halt()
            case Stopping():
                return is_stopping(self.stop, self._training)
            case _:
                return super().execute(operation)
        return None

    def until_ready(self, over: Callable[[], bool]) -> None:
        """Wait until the training process can take a job, so that none is claimed in vain.

        Returns earlier when this worker is asked to stop, when the run is `over`, and when the
        process does not get ready because of this machine, which the protocol deals with.
        Raises `TaskDoesNotFit`.
        """
        look_s = float("-inf")
        while not (self._training.ready or self.stop.asked):
            if time.monotonic() - look_s >= LOOK_READY_S:
                look_s = time.monotonic()
                if over():
                    return
            trouble = self._training.trouble_at_start()
            if trouble is not None and trouble.failure is Failure.TASK:
                raise TaskDoesNotFit(trouble.text)
            if trouble is not None:
                return
            self.sign_of_life()
            self._say_trouble()
            descriptor = self._training.descriptor()
            self.stop.wait(LOOK_READY_S, or_readable=[] if descriptor is None else [descriptor])

    def look(self, operation: Any) -> Any:
        """Carry out an operation on behalf of another run, which is no sign of life in this."""
        return super().execute(operation)

    def _start(self, attempt: Attempt) -> None:
        what = "repairing" if attempt.repair else "training"
        job = attempt.job
        member = paths.member_name(job.member)
        self._tell(f"{what} g{job.generation:04d} {member} attempt {attempt.number}")
        log.info("%s: %s%s", self._name, self.label, self._phase)
        self._attempt = attempt
        self.store.private(paths.worker_log(self._name))  # its directory may have been deleted
        clear_earlier_attempts(self.store.root, job.generation, job.member, attempt.number)
        self._training.start(attempt, self.store.root.absolute())

    def _poll(self, seconds: float) -> Any:
        until_s = time.monotonic() + seconds
        while True:
            rest_s = until_s - time.monotonic()
            over = rest_s <= 0 or self.stop.asked
            # A process that ends silently is noticed by a look every second.  Asked to stop, the
            # protocol halts the training at its next look.
            longest_s = min(0.05 if self.stop.asked else 1.0, self.store.due_s)
            descriptor = self._training.descriptor()
            if not self._training.unread:
                self.stop.wait(
                    min(rest_s, longest_s),
                    or_readable=[] if descriptor is None else [descriptor],
                )
            event = self._training.news()
            self.store.touch()
            self._say_trouble()
            if event is not None:
                self._done = getattr(event, "done", self._done)
                if not isinstance(event, Progress):
                    self._phase = IDLE
                if isinstance(event, Trained):
                    self._tell_result(event)
                if isinstance(event, AttemptFailed | Stopped):
                    self._clear_up()
                    self._share_log()
                return event
            if over:
                return None

    def _tell_result(self, trained: Trained) -> None:
        if self._attempt is None or self._attempt.repair:
            return  # its score is known
        job, result = self._attempt.job, trained.result
        why = cause(result, trained.meta)
        outcome = why if result.score is None else f"score {result.score:.6g}"
        took_s = trained.meta.get("wall_s")
        took = "" if took_s is None else f", {took_s:.1f} s"
        member = paths.member_name(job.member)
        log.info(
            "%s: %sg%04d %s: %s%s", self._name, self.label, job.generation, member, outcome, took
        )

    def leave(self, ending: str) -> None:
        """Show that this worker has ended, and how: nobody waits for its next sign of life."""
        self._beats += 1
        content = Heartbeat(self._beats, 0, left(ending)).encode()
        self.store.execute(WriteHeartbeat(paths.worker(self._name), content))
        self._share_log()

    def _share_log(self) -> None:
        """Let others see what the training process has printed; it is for people only."""
        try:
            self.store.share(paths.worker_log(self._name))
        except OSError as error:
            log.debug("%s: its log is not shared (%s)", self._name, error.strerror)

    def _clear_up(self) -> None:
        """Delete what the training process has not finished, and will not."""
        if self._attempt is not None:
            job, number = self._attempt.job, self._attempt.number
            clear_own_attempt(
                self.store.root, job.generation, job.member, number, writer=self._name
            )

    def _tell(self, phase: str) -> None:
        self._phase, self._last_beat_s, self._done = phase, float("-inf"), 0
        self.sign_of_life()

    def sign_of_life(self, phase: str = "") -> None:
        """Show now and then that this worker lives, and what it does if nothing else is said."""
        now_s = time.monotonic()
        if now_s - self._last_beat_s < self._beat_s:
            return
        self._last_beat_s, self._beats = now_s, self._beats + 1
        phase = phase or self._training.hindered or self._phase
        if self._waits_for:
            phase = waiting_for(self._waits_for)
        content = Heartbeat(self._beats, self._done, phase).encode()
        self.store.execute(WriteHeartbeat(paths.worker(self._name), content))


def is_stopping(stop: StopRequest, training: TrainingProcess) -> bool:
    """Whether a worker with that training process is to stop.

    One without a job stops earlier, where its time ends: a job that it began now would be cut off
    before its first snapshot.
    """
    return stop.asked or (not training.busy and stop.left_s <= training.grace_s)


def need_time(stop: StopRequest, configs: Sequence[Config]) -> None:
    """Let a worker of these runs stop early enough for a snapshot before its time ends.

    Raises `NoTime` when it would have to stop at once, but for what it has waited for the run: the
    next worker with that time may find it started.
    """
    grace_s = max(config.engine.grace_s for config in configs)
    stop.needs(grace_s)
    if stop.left_s + stop.waited_s <= grace_s and not stop.asked_by_signal:
        least_s = 2 * grace_s + LEAVE_S
        raise NoTime(
            f"--until: the time ends before a job could be trained; a worker of this run needs "
            f"more than {least_s:g} s (twice engine.grace_s, and {LEAVE_S:g} s to leave)"
        )


def wait_for(
    root: Path, stop: StopRequest, patience_s: float, *, silent: bool = False
) -> Run | Study | None:
    """The run or study in a directory, waiting for somebody to make one; None if asked to stop.

    It says that it waits, unless it is silent: beside a coordinator that is being started.

    A directory that cannot be read is waited for in any case.  Raises `NotYetARun` when patience
    ends, and whatever `open_run` and `open_study` raise.
    """

    def look() -> Run | Study:
        return open_study(root) if is_study(root) else open_run(root)

    since_s = time.monotonic()
    told = False
    while True:
        try:
            found = once_reachable(look, root, stop)
            stop.waited_s = time.monotonic() - since_s
            return found
        except AskedToStop:
            return None
        except NotARun as error:
            # It may have become a study between the two looks.
            later = isinstance(error, NotYetARun) or is_study(root)
            if not later or time.monotonic() - since_s >= patience_s:
                raise
            if not (told or silent):
                told = True
                limit = "" if math.isinf(patience_s) else f" up to {patience_s:g} s"
                log.info("%s; waiting%s for a coordinator", error, limit)
        stop.wait(LOOK_S)
        if stop.asked:
            return None


def work(
    root: Path,
    run: Run,
    *,
    stop: StopRequest,
    device: str,
    scratch: Path,
    task_file: str | None,
    accept: bool = False,
) -> WorkerEnding:
    """Work on a run until it is finished or this worker is asked to stop.

    With `accept`, other code of the task than that of the run is recorded and goes on.
    Raises `ConfigError` for a stored configuration that this version does not understand,
    `UnfitProcessor`, `ForeignRecord` and `NoTime`.
    """
    warn_of_other_versions(run)
    config = from_json(run.config)
    need_time(stop, [config])
    engine, objectives = config.engine, config.search.ranking()
    identity = this_process("w")
    name = identity["worker"]
    note_presence(root, identity)
    try:
        store = once_reachable(lambda: open_store(root, name, primitive=run.primitive), root, stop)
    except AskedToStop:
        return WorkerEnding.STOPPED
    log_file = store.private(paths.worker_log(name))
    training = training_process(
        root, name, log_file, [config], device, scratch, task_file, accept=accept
    )
    driver = WorkerDriver(store, stop, training, name, engine.beat_s)
    claims = Claims(run.id, identity, lease_s=engine.lease_s, new_nonce=new_nonce)
    log.info("%s: working on %s with %s", name, root, device)
    said = "an error"
    try:
        worker = Worker(run.id, name, claims, pace_of(engine), objectives=objectives)
        training.warm_up()
        driver.until_ready(lambda: drive(worker.finished(), driver.execute))
        ending = drive(worker.work(), driver.execute)
        said = ending.value
    except AskedToStop:
        ending = WorkerEnding.STOPPED
        said = ending.value
    finally:
        training.discard()
        driver.leave(said)
        store.close()
    log.info("%s: %s", name, ending.value)
    return ending


def pinned(configs: Sequence[Config]) -> Mapping[str, str]:
    """What tells the libraries of a training process which instructions to use.

    All runs that it works for are pinned alike.  Raises `UnfitProcessor` where this one cannot.
    """
    capability = configs[0].run.cpu_capability
    check_possible(capability)
    return variables_of(capability)


def training_environment(configs: Sequence[Config]) -> dict[str, str]:
    """What the libraries of the training process of these runs are told when they are loaded.

    Raises `UnfitProcessor`.
    """
    threads = str(max(config.run.threads for config in configs))
    return {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        # cuBLAS is deterministic only with a workspace of fixed size.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "TORCHINDUCTOR_DETERMINISTIC": "1",
        **_allocator(),
        **pinned(configs),
    }


def pace_of(engine: EngineConfig) -> Pace:
    """How often a worker of that run looks and speaks."""
    return Pace(engine.beat_s, engine.poll_s, engine.attempts)


def training_process(
    root: Path,
    name: str,
    log_file: Path,
    configs: Sequence[Config],
    device: str,
    scratch: Path,
    task_file: str | None,
    *,
    accept: bool = False,
) -> TrainingProcess:
    """The training process of a worker, not yet started.

    Args:
        root: The run directory to get ready for.
        name: The name of the worker.
        log_file: The file for what the process prints.
        configs: The configurations of the runs it will work for; the most patient of them decides.
        device: The device to train on.
        scratch: A directory of this machine, made if missing.
        task_file: "FILE.py:Class" of the command line, or None.
        accept: Whether to go on with other code of the task than that of a run.
    """
    make_directory(scratch)
    setting = {
        "root": str(root.absolute()),
        "writer": name,
        "task_file": task_file,
        "device": device,
        "scratch": str(scratch),
        "accept": accept,
    }
    engines = [config.engine for config in configs]
    return TrainingProcess(
        setting,
        log_file,
        training_environment(configs),
        start_s=max(engine.start_s for engine in engines),
        hang_s=max(engine.hang_s for engine in engines),
        grace_s=max(engine.grace_s for engine in engines),
    )


def _allocator() -> dict[str, str]:
    """How torch is to take memory of a GPU, unless the user has said it.

    Networks of one process differ in all their sizes: segments that grow can be used again by the
    next one, where others stay in pieces.
    """
    named = "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"
    if any(name in os.environ for name in named):
        return {}
    return {named[0]: "expandable_segments:True"}
