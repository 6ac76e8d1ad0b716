"""The training process: carries out jobs for the worker that started it.

It stays warm from job to job, so that imports, CUDA and the data set are paid once.  Worker
and training process speak JSON lines over a socket; whatever happens to this process (a
segmentation fault, the out-of-memory killer, a hang) costs the worker one attempt.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import math
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from pbtnas import snapshots
from pbtnas.config import ConfigError, from_json
from pbtnas.search.seeding import derive
from pbtnas.state import State
from pbtnas.store import paths
from pbtnas.store.checkpoints import CorruptCheckpoint, read_verified, write
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.run_directory import open_run
from pbtnas.store.schema import Job, Result
from pbtnas.tasks.base import Diverged, Evaluation, Task, TaskError, Trainee
from pbtnas.tasks.loading import load_task

T = TypeVar("T")

_TICK_S = 0.1  # between two looks at the socket, and two reports of progress
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES)


@dataclass(frozen=True)
class Setting:
    """What a training process is told when it is started.

    Args:
        root: the run directory.
        writer: name of its worker; part of the names of private files.
        task_file: "FILE.py:Class" of the command line, or None.
        device: a torch device.
        scratch: a directory of this machine.
    """

    root: str
    writer: str
    task_file: str | None
    device: str
    scratch: str


class HandedBack(BaseException):
    """Leaves `train` at a tick because the job is to be handed back.

    Not an `Exception`, so that a task which catches those lets it through.
    """


class Channel:
    """The socket to the worker: JSON lines in both directions."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._received = b""

    def send(self, **message: Any) -> None:
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any] | None:
        """The next message; None when the worker is gone."""
        while b"\n" not in self._received:
            more = self._socket.recv(1 << 16)
            if not more:
                return None
            self._received += more
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def waiting(self) -> bool:
        """Whether the worker has said something or is gone.

        While a job runs, the only thing it says is "halt".
        """
        return bool(self._received or select.select([self._socket], [], [], 0)[0])


class JobContext:
    """The `Context` of one job: reports progress, takes snapshots, and ends it when asked."""

    def __init__(
        self,
        job: Job,
        channel: Channel,
        *,
        device: str,
        scratch: Path,
        directory: Path,
        snapshot: Callable[[int], None],
        snapshot_s: float,
    ) -> None:
        self.seed = job.seed
        self.device = device
        self.scratch = scratch
        self.done = 0
        self.final = False
        self.trained = False
        self._channel = channel
        self._directory = directory
        self._snapshot = snapshot
        self._snapshot_s = snapshot_s
        self._halting = False
        self._looked_s = self._saved_s = time.monotonic()

    def tick(self, done: int | None = None) -> None:
        """Report progress; snapshot or leave, where the state is whole."""
        now_s = time.monotonic()
        if done is not None:
            self.done = done
        if now_s - self._looked_s >= _TICK_S:
            self._looked_s = now_s
            self._channel.send(progress=self.done)
            self._halting = self._halting or self._channel.waiting()
        if done is None and not self.trained:
            return  # in the middle of a step: the state is not whole
        if self._halting:
            self._snapshot(self.done)
            raise HandedBack
        if self._snapshot_s and now_s - self._saved_s >= self._snapshot_s and not self.trained:
            self._saved_s = now_s
            self._snapshot(self.done)

    def patiently(self, write_it: Callable[[], T]) -> T:
        """Write, and while the disk is full or refuses, wait and say so instead of failing."""
        pause_s = 0.5
        while True:
            try:
                return write_it()
            except OSError as error:
                if error.errno not in _UNWRITABLE:
                    raise
                self._channel.send(progress=self.done, waiting=str(error))
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 10.0)
            if self._channel.waiting():
                raise HandedBack

    def log(self, **values: float | int | str) -> None:
        """Add a line to this attempt's private log."""
        line = json.dumps({"step": self.done, **values}) + "\n"
        self.patiently(lambda: self._append(line))

    def _append(self, line: str) -> None:
        self._directory.mkdir(exist_ok=True)
        with (self._directory / "log.jsonl").open("a") as file:
            file.write(line)


class Trainer:
    """Carries out jobs of one run, one after the other.

    Raises `TaskError`, `ConfigError` or `NotARun` with one sentence when it cannot start.
    """

    def __init__(self, setting: Setting, channel: Channel) -> None:
        self._channel = channel
        self._device = setting.device
        self._scratch = Path(setting.scratch)
        self._root = Path(setting.root)
        self._writer = setting.writer
        run = open_run(self._root)
        config = from_json(run.config)
        self._hash = run.hash
        self._snapshot_s = config.engine.snapshot_s
        self._task: Task = load_task(
            config.task.name, config.task.options, task_file=setting.task_file
        )
        # What use_deterministic_algorithms(True) does, without the seconds of importing a compiler.
        torch.set_deterministic_debug_mode("error")
        torch.set_num_threads(config.run.threads)
        store = PosixStore(self._root, f"{setting.writer}-training", primitive=run.primitive)
        self._task.prepare(Products(store, self._scratch))
        store.close()

    def carry_out(self, job: Job, attempt: int) -> dict[str, Any]:
        """Do a job; the message that says what came of it."""
        began_s = time.monotonic()
        try:
            return self._train(job, attempt, began_s)
        except HandedBack:
            return {"interrupted": True}
        except Diverged as error:
            result = Result(job.member, "diverged", None, {}, None)
            return {"result": result.to_json(), "meta": {"diverged": str(error)}, "file": None}
        except CorruptCheckpoint as error:
            return {"failure": "input", "text": str(error), "damaged": error.path.stem}
        except FileNotFoundError as error:
            if str(error.filename).startswith(str(self._root / "generations")):
                return {"failure": "input", "text": str(error), "damaged": None}
            return {"failure": "error", "text": traceback.format_exc()}
        except OSError as error:
            # A full or failing disk is the machine's fault, not the job's.
            kind = "infra" if error.errno in _UNWRITABLE else "error"
            return {"failure": kind, "text": traceback.format_exc()}
        except (torch.cuda.OutOfMemoryError, MemoryError):
            return {"failure": "oom", "text": traceback.format_exc()}
        except Exception:  # noqa: BLE001  (whatever a task raises is the outcome of its attempt)
            return {"failure": "error", "text": traceback.format_exc()}

    def _train(self, job: Job, attempt: int, began_s: float) -> dict[str, Any]:
        if torch.get_num_threads() != job.threads:
            torch.set_num_threads(job.threads)
        _seed_everything(job.seed, self._device)
        trainee = self._task.create(job.architecture, derive(job.seed, "create"))
        directory = self._root / paths.attempt(job.generation, job.member, attempt)
        context = self._context(job, trainee, directory)
        self._begin(job, attempt, trainee, context)
        if not context.trained:
            trainee.train(job.epochs, context)
        context.trained = True
        trained_s = time.monotonic()
        _seed_everything(derive(job.seed, "evaluate"), self._device)
        evaluation = trainee.evaluate(context)
        evaluated_s = time.monotonic()
        result, file = self._outcome(job, trainee, evaluation, context)
        meta = {
            "train_s": round(trained_s - began_s, 3),
            "evaluate_s": round(evaluated_s - trained_s, 3),
            "wall_s": round(time.monotonic() - began_s, 3),
            "device": self._device,
            "torch": torch.__version__,
            "host": socket.gethostname(),
        }
        return {"result": result.to_json(), "meta": meta, "file": file}

    def _context(self, job: Job, trainee: Trainee, directory: Path) -> JobContext:
        def snapshot(done: int) -> None:
            context.patiently(
                lambda: snapshots.save(
                    directory,
                    trainee.state(),
                    done=done,
                    trained=context.trained,
                    device=self._device,
                    algorithm=self._hash,
                )
            )

        context = JobContext(
            job,
            self._channel,
            device=self._device,
            scratch=self._scratch,
            directory=directory,
            snapshot=snapshot,
            snapshot_s=self._snapshot_s,
        )
        return context

    def _begin(self, job: Job, attempt: int, trainee: Trainee, context: JobContext) -> None:
        """Go on from the newest snapshot of any attempt, else from the inputs, else fresh."""
        directories = [
            self._root / paths.attempt(job.generation, job.member, earlier)
            for earlier in range(1, attempt + 1)
        ]
        while (found := snapshots.newest(directories, algorithm=self._hash)) is not None:
            path, digest, _ = found
            try:
                snapshot = snapshots.load(path, digest, device=self._device, algorithm=self._hash)
            except CorruptCheckpoint:
                path.unlink(missing_ok=True)
                continue
            trainee.load(snapshot.state)
            context.done, context.trained = snapshot.done, snapshot.trained
            return
        if job.inputs:
            files = [
                self._root / paths.checkpoint(job.generation - 1, digest) for digest in job.inputs
            ]
            trainee.load(read_verified(files, job.inputs, algorithm=self._hash))

    def _outcome(
        self, job: Job, trainee: Trainee, evaluation: Evaluation, context: JobContext
    ) -> tuple[Result, str | None]:
        """The result, and the private file with the checkpoint, not yet durable."""
        score = float(evaluation.score)
        if not math.isfinite(score):
            return Result(job.member, "diverged", None, {}, None), None
        metrics = {
            name: float(value)
            for name, value in evaluation.metrics.items()
            if math.isfinite(float(value))
        }
        name = f"{paths.checkpoints(job.generation)}/.tmp-{self._writer}-m{job.member:02d}"
        state: State = trainee.state()
        digest = context.patiently(lambda: write(self._root / name, state, algorithm=self._hash))
        return Result(job.member, "ok", score, metrics, digest), name


def _seed_everything(seed: int, device: str) -> None:
    """The global generators, for libraries that draw from them; ours are passed in."""
    # What torch.manual_seed does, but for the device at hand: for each kind of GPU that is not
    # there, it formats a stack trace; together as long as reading a small checkpoint.
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        torch.cuda.manual_seed_all(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002


def main(setting: Mapping[str, Any], connection: socket.socket, parent: int) -> None:
    """Serve the worker at the other end of the socket until it closes."""
    if os.getppid() != parent:
        sys.exit("the worker was gone before its training process began")
    faulthandler.enable()
    # The worker decides what a signal to the terminal's process group means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = Channel(connection)
    try:
        trainer = Trainer(Setting(**setting), channel)
    except (TaskError, ConfigError) as error:
        channel.send(unable=str(error))
        return
    channel.send(ready=True)
    while (message := channel.receive()) is not None:
        if "job" in message:
            job = Job.from_json(message["job"])
            channel.send(**trainer.carry_out(job, message["attempt"]))


if __name__ == "__main__":
    _told = json.loads(sys.argv[1])
    main(_told["setting"], socket.socket(fileno=_told["fd"]), _told["parent"])
