"""Runs the protocol: a loop carries out its operations one after the other."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.operations import Dead, Now, Say, Sleep, Steps, Stopping
from pbtnas.store.identity import provably_dead
from pbtnas.store.opening import Store
from pbtnas.store.patience import FORBIDDEN, patiently

T = TypeVar("T")
log = logging.getLogger("pbtnas")

# Counts while the machine is suspended, where there is such a clock.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def drive(steps: Steps[T], execute: Callable[[Any], Any]) -> T:
    """Carry out the operations of a piece of protocol, and return its result.

    An error of an operation is raised inside the protocol, where the operation was asked for.
    """
    try:
        operation = next(steps)
        while True:
            try:
                reply = execute(operation)
            except Exception as error:  # noqa: BLE001  (what the protocol lets pass is raised here)
                operation = steps.throw(error)
            else:
                operation = steps.send(reply)
    except StopIteration as stop:
        value: T = stop.value
        return value


class Trouble:
    """Says that a directory cannot be used, once for each reason, and that it can again.

    Args:
        label: The label of the run, put before each message where there are several.
    """

    def __init__(self, label: str = "") -> None:
        self._label = f"{label}: " if label else ""
        self._reason = ""

    def __call__(self, trouble: str) -> None:
        reason = trouble.rpartition(": ")[2]  # one full disk hinders every publish
        if reason != self._reason:
            what = f"waiting: {trouble}" if trouble else "writing works again"
            log.warning("%s%s", self._label, what)
        self._reason = reason


def once_reachable(step: Callable[[], T], root: Path, stop: StopRequest, label: str = "") -> T:
    """What a step returns as soon as the directory can be used: at its start, a process waits for
    the same troubles as later.

    Raises `AskedToStop` while it waits, and at once what a wrong directory says (no permission).
    """
    return patiently(step, root, wait=stop.pause, report=Trouble(label), refuse=FORBIDDEN)


class Driver:
    """Carries out what worker and coordinator have in common: storage, time, words.

    Args:
        store: Directory of the run or of the study.
        stop: Request to stop, which wakes a sleep.
        label: Label of the run, said before everything that is told; "" where there is only one.
    """

    def __init__(self, store: Store, stop: StopRequest, label: str = "") -> None:
        self.store = store
        self.stop = stop
        self.label = f"{label}: " if label else ""
        self._trouble = Trouble(label)
        store.trouble = self.report

    def report(self, trouble: str) -> None:
        """Say that the directory cannot be used, and that it can again."""
        self._trouble(trouble)

    def execute(self, operation: Any) -> Any:
        """Carry out one operation and reply."""
        match operation:
            case Now():
                return time.clock_gettime(_CLOCK)
            case Sleep(seconds):
                self.store.settle(time.monotonic() + seconds)
                self.stop.wait(seconds)
            case Say(text):
                log.info("%s%s", self.label, text)
            case Dead(holder):
                return provably_dead(holder)
            case Stopping():
                return self.stop.asked
            case _:
                return self.store.execute(operation)
        return None
