"""Addresses operations to the runs of a study, where one process serves many.

Who serves several runs yields `InRun(run, operation)` for what is to be done in the directory of
one run, and plain operations for what concerns the process: its clock, its sleep, the request to
stop, and the directory of the study.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from pbtnas.protocol.attempts import Poll
from pbtnas.protocol.operations import Operation, Sleep, Steps

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True)
class RunOfStudy:
    """One run of a study.

    Args:
        label: Name of its run directory; unique in the study.
        seed: Seed of the run.
    """

    label: str
    seed: int


@dataclass(frozen=True, slots=True)
class InRun(Operation[R]):
    """Carry out an operation in one run.  Replies what the operation does, or raises its error.

    Args:
        run: Label of the run.
        operation: Operation to carry out there.
        as_peer: Whether it is only a look from another run, which shows no sign of life there.
    """

    run: str
    operation: Operation[R]
    as_peer: bool = False


def in_run(
    run: str,
    steps: Steps[T],
    *,
    as_peer: bool = False,
    before_waiting: Operation[None] | None = None,
) -> Steps[T]:
    """Address the operations of a protocol to one run.

    Args:
        run: Label of the run.
        steps: Protocol of that run; what it has addressed to another run itself stays so.
        as_peer: Whether it only looks, on behalf of another run.
        before_waiting: Operation of the process to be carried out before each that takes time.
    """
    reply: Any = None
    with closing(steps):
        while True:
            try:
                operation = steps.send(reply)
            except StopIteration as stop:
                value: T = stop.value
                return value
            if before_waiting is not None and isinstance(operation, Poll | Sleep):
                yield from before_waiting
            if not isinstance(operation, InRun):
                operation = InRun(run, operation, as_peer)
            reply = yield operation
