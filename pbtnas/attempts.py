"""Attempts at a job: how the worker speaks to its training process, as data.

The three operations `Start`, `Poll` and `Halt` are yielded by `worker` and carried
out by `worker_host` (or by a simulation); the events are what `Poll` replies.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.store.schema import Job, Result


class Failure(enum.Enum):
    """Why an attempt brought no result.  Only the counted ones are held against the job."""

    INFRA = "infra"  # a signal, a full disk, a lost training process
    INPUT = "input"  # a checkpoint to start from is missing or damaged
    ERROR = "error"  # an exception of the task
    CRASH = "crash"  # a segmentation fault or the like
    OOM = "oom"  # out of memory
    HANG = "hang"  # no progress for too long

    @property
    def counted(self) -> bool:
        return self not in (Failure.INFRA, Failure.INPUT)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claim on a job, and so the right to try.

    With `repair`, only the lost checkpoint is wanted: the result is known.
    """

    job: Job
    slot: str
    number: int
    repair: bool = False

    def __str__(self) -> str:
        return f"generation {self.job.generation} member {self.job.member} attempt {self.number}"


@dataclass(frozen=True, slots=True)
class Start:
    """Start training.  Replies nothing; what comes of it is polled."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Poll:
    """Wait up to so long for news of the training.  Replies one of the events, or None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Halt:
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
class Broke:
    """Event: the attempt ended without a result.

    `damaged` is the digest of an input whose content does not match it.
    """

    failure: Failure
    text: str
    damaged: str | None = None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Event: the training stopped after so many steps, as it was asked to; its last snapshot is
    safe."""

    done: int


def last_line(text: str) -> str:
    """What a traceback comes to."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no message"
