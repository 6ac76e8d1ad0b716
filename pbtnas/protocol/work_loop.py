"""Orders the states of a worker: of a run (`worker`) as of a study (`study`)."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from pbtnas.protocol.operations import AskedToStop, Steps

A = TypeVar("A")


class WorkerEnding(enum.Enum):
    """How a worker ends."""

    FINISHED = "the run is finished"
    STOPPED = "stopped"
    HANDED_BACK = "stopped, its job handed back unfinished"
    QUARANTINED = "stopped after three failures of this machine in a row"
    TASK_UNFIT = "stopped: its task does not fit the run"
    CANCELLED = "the run was cancelled"
    DRAINED = "drained: it leaves as an operator asked, with nothing in hand"
    EXTINCT = "no member has a score, so the run cannot go on"


class WorkLoop(ABC, Generic[A]):
    """Runs a worker: `work` is the order of its states, the other five methods are the states.

    `A` is an attempt, and whatever else a worker must know of it.
    """

    def work(self) -> Steps[WorkerEnding]:
        """Work until there is nothing left to do, somebody says stop, or this machine is unfit."""
        try:
            while True:
                attempt = yield from self.next_attempt()
                if attempt is not None:
                    yield from self.start(attempt)
                # Publishing comes after the next start: making a checkpoint durable takes as
                # long as the disk wants, and the training process need not wait for it.
                yield from self.publish_last()
                ending = yield from (self.wait() if attempt is None else self.attend(attempt))
                if ending is not None:
                    yield from self.publish_last()
                    return ending
        except AskedToStop:  # while the disk was full
            return WorkerEnding.HANDED_BACK

    @abstractmethod
    def next_attempt(self) -> Steps[A | None]:
        """Claim a job, if there is one to take."""

    @abstractmethod
    def start(self, attempt: A) -> Steps[None]:
        """Have a claimed job trained."""

    @abstractmethod
    def publish_last(self) -> Steps[None]:
        """Publish the job finished last, if there is one."""

    @abstractmethod
    def attend(self, attempt: A) -> Steps[WorkerEnding | None]:
        """Watch a started attempt to its end; returns an ending if this worker ends with it."""

    @abstractmethod
    def wait(self) -> Steps[WorkerEnding | None]:
        """Pass some time without work; returns an ending if there is no use in waiting."""
