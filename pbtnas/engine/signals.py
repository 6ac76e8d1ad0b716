"""Turns signals, and the end of the time that a scheduler gives, into a request to stop."""

from __future__ import annotations

import atexit
import math
import os
import select
import signal
import time
from collections.abc import Callable, Iterable

from pbtnas.protocol.operations import AskedToStop

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


TOGETHER_S = 2.0
"""Signals that come within this time are one request.

A process may be sent several for one: by the scheduler to each process of a group or cgroup, by
the trap of a shell, and by the process that started it.
"""

PASSED_ON = signal.SIGUSR2
"""What a process that was asked to stop sends to those that it has started.

It may come late, after a step that could not be interrupted, and they may have been asked by
somebody else long before; so it never counts as a later request.
"""

CANCELS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals of somebody who does not want this process to be started again by itself."""

LEAVE_S = 10.0
"""Before the end of its time, what a process takes to leave, the snapshot not counted."""


class StopRequest:
    """Notes whether this process was asked to stop, or has to because its time ends.

    A signal that comes later than `TOGETHER_S` after the first one ends the process at once.  When
    Python ends they are ignored: it takes handlers away long before the process is gone, and a
    signal in between would replace the exit code.

    Args:
        signals: The signals that ask to stop.
        clock: Seconds on a clock that never goes back.

    Attributes:
        asked_by_signal: Whether it was asked to stop, whatever its time.
        cancelled: Whether one of the signals in `CANCELS` was among them.
        waited_s: Seconds of its time that it has waited for a run to be started.
    """

    def __init__(
        self,
        signals: Iterable[signal.Signals] = STOP_SIGNALS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cancelled = False
        self.asked_by_signal = False
        self.waited_s = 0.0
        self._clock = clock
        self._first_s: float | None = None
        self._end_s = math.inf
        self._need_s = LEAVE_S
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in signals:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells set it
                signal.signal(number, self._ask)
                atexit.register(signal.signal, number, signal.SIG_IGN)

    @property
    def asked(self) -> bool:
        """Whether this process is to stop now."""
        return self.asked_by_signal or self.left_s <= 0

    @asked.setter
    def asked(self, asked: bool) -> None:
        self.asked_by_signal = asked

    @property
    def left_s(self) -> float:
        """Seconds until this process has to stop so that it has left when its time ends."""
        return self._end_s - self._need_s - self._clock()

    def end_in(self, seconds: float) -> None:
        """Stop so early that this process has left in so many seconds."""
        self._end_s = self._clock() + seconds

    def needs(self, snapshot_s: float) -> None:
        """Stop earlier, by what a snapshot may take."""
        self._need_s = snapshot_s + LEAVE_S

    def wait(self, seconds: float, *, or_readable: Iterable[int] = ()) -> bool:
        """Sleep, but wake for a signal or when one of the descriptors can be read.

        Returns whether one of the descriptors can.
        """
        watched = list(or_readable)
        if not self.asked:
            seconds = min(seconds, self.left_s)
        ready, _, _ = select.select([self._read, *watched], [], [], max(0.0, seconds))
        if self._read in ready:
            os.read(self._read, 1024)
        return any(fd in ready for fd in watched)

    def pause(self, seconds: float) -> None:
        """Sleep.  Raises `AskedToStop` as soon as this process is asked to stop."""
        self.wait(seconds)
        if self.asked:
            raise AskedToStop

    def _ask(self, number: int, frame: object) -> None:
        now_s = self._clock()
        if self._first_s is None:
            self._first_s = now_s
        elif now_s - self._first_s > TOGETHER_S and number != PASSED_ON:
            os._exit(128 + number)
        self.asked_by_signal = True
        self.cancelled = self.cancelled or number in CANCELS
        os.write(self._write, b"!")
