"""Describes attempts at a job as data: how a worker speaks to its training process.

The three operations `Start`, `Poll` and `Halt` are yielded by `worker` and carried
out by `engine.worker` (or by a simulation); the events are what `Poll` replies.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.protocol.claims import Claims
from pbtnas.protocol.controls import Controls
from pbtnas.protocol.operations import (
    Get,
    Now,
    Operation,
    Quarantine,
    Say,
    Sleep,
    Steps,
    Stopping,
    WriteHeartbeat,
)
from pbtnas.records import paths
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Digest, Slot
from pbtnas.records.schema import Job, Result, last_line


class Failure(enum.Enum):
    """Why an attempt brought no result.  Only the counted ones are held against the job."""

    INFRA = "infra"  # a signal, a full disk, a lost training process
    INPUT = "input"  # a checkpoint to start from is missing or damaged
    ERROR = "error"  # an exception of the task
    CRASH = "crash"  # a segmentation fault or the like
    OOM = "oom"  # out of memory
    HANG = "hang"  # no progress for too long
    TASK = "task"  # the worker's task does not fit the run, or cannot be loaded

    @property
    def counted(self) -> bool:
        return self not in (Failure.INFRA, Failure.INPUT, Failure.TASK)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claim on a job, and so the right to try.

    With `repair`, only the lost checkpoint is wanted: the result is known.  `retry` says how often
    the job has been recorded as failed, and an operator has asked for more.
    """

    job: Job
    slot: Slot
    number: int
    repair: bool = False
    retry: int = 0

    def __str__(self) -> str:
        return f"generation {self.job.generation} member {self.job.member} attempt {self.number}"


@dataclass(frozen=True, slots=True)
class Start(Operation[None]):
    """Start training.  Replies nothing; what comes of it is polled."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Poll(Operation["Progress | Trained | AttemptFailed | Stopped | None"]):
    """Wait up to so long for news of the training.  Replies one of the events, or None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Halt(Operation[None]):
    """Ask the training to stop, with a snapshot so that another can go on from there."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Event: so many steps of the job are done."""

    done: int


@dataclass(frozen=True, slots=True)
class Trained:
    """Event: the job is done; its checkpoint lies in a private file (None if it diverged)."""

    result: Result
    file: str | None
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """Event: the attempt ended without a result.

    `damaged` is the digest of an input whose content does not match it.
    """

    failure: Failure
    text: str
    damaged: Digest | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Event: the training stopped after so many steps, as it was asked to; its last snapshot is
    safe."""

    done: int


SIGNALS_S = 0.5
"""Time until a signal that was sent to a whole group has reached the worker too."""


class AttemptMonitor:
    """Monitors one attempt: beats while the training makes progress, stops it when it is useless.

    Args:
        name: Name of the worker.
        claims: The worker's view of the claims.
        beat_s: Seconds between two heartbeats.
        controls: What is asked of the run, as far as the worker has read it.
    """

    def __init__(self, name: str, claims: Claims, beat_s: float, controls: Controls) -> None:
        self.infra_in_a_row = 0
        self._name = name
        self._claims = claims
        self._beat_s = beat_s
        self._controls = controls
        self._kept = 0

    @property
    def held_back(self) -> bool:
        """Whether no training is to begin, as far as this worker has read what is asked."""
        steering = self._controls.steering
        return steering.paused or steering.cancelled or self._name in steering.drained

    def watch(self, attempt: Attempt) -> Steps[Trained | AttemptFailed | Stopped]:
        """Beat while the training makes progress; stop it when there is no use in it, while the
        run is paused, and when it is cancelled."""
        job = attempt.job
        result = paths.result(job.generation, job.member, attempt.retry)
        counter, done = 0, 0
        last_beat_s = yield from Now()
        halted = False
        while True:
            event = yield from Poll(self._beat_s)
            if isinstance(event, Progress):
                done = event.done
            elif isinstance(event, AttemptFailed) and (yield from self._asked_to_stop()):
                # What the task needs may have been ended by the same signals: it proves nothing.
                return Stopped(done)
            elif event is not None:
                return event
            useless = False
            now_s = yield from Now()
            if now_s - last_beat_s >= self._beat_s:
                counter, last_beat_s = counter + 1, now_s
                content = Heartbeat(counter, done, "training").encode()
                yield from WriteHeartbeat(paths.beat(attempt.slot, attempt.number), content)
                if not attempt.repair:
                    # One that cannot be read decides nothing: this attempt may have to fill it.
                    useless = isinstance((yield from Get(result)), bytes)
                steering = yield from self._controls.look(self._beat_s)
                useless = useless or steering.paused or steering.cancelled
            if not halted and (useless or (yield from Stopping())):
                halted = True
                yield from Halt()

    def _asked_to_stop(self) -> Steps[bool]:
        """Whether a stop is asked for, or is just on its way to all processes of a group."""
        if (yield from Stopping()):
            return True
        yield from Sleep(SIGNALS_S)
        return (yield from Stopping())

    def keep(self, *attempts: Attempt) -> Steps[None]:
        """Beat for attempts while what became of one of them waits for the disk."""
        self._kept += 1
        content = Heartbeat(self._kept, 0, "publishing").encode()
        for attempt in attempts:
            yield from WriteHeartbeat(paths.beat(attempt.slot, attempt.number), content)

    def record_failure(self, attempt: Attempt, event: AttemptFailed) -> Steps[None]:
        """Say and record why an attempt failed, and put aside what was damaged."""
        self.infra_in_a_row = self.infra_in_a_row + 1 if event.failure is Failure.INFRA else 0
        kind = event.failure.value
        yield from Say(f"{attempt}: {kind}: {last_line(event.text)}")
        if event.damaged is not None:
            yield from Quarantine(paths.checkpoint(attempt.job.generation - 1, event.damaged))
        yield from self.end(attempt, kind, event.failure.counted, event.text)

    def end(self, attempt: Attempt, kind: str, counted: bool, text: str) -> Steps[None]:
        """Give up the claim, and record how the attempt ended."""
        core = {"class": kind, "counted": counted, "text": text, "worker": self._name}
        core |= {"retry": attempt.retry} if attempt.retry else {}
        yield from self._claims.end(attempt.slot, attempt.number, core)
