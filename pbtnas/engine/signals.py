"""Turns signals into a request to stop."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable

from pbtnas.protocol.operations import AskedToStop

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


class StopRequest:
    """Notes whether this process was asked to stop.  A second signal ends it at once."""

    def __init__(self, signals: Iterable[signal.Signals] = STOP_SIGNALS) -> None:
        self.asked = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in signals:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and shells set it
                signal.signal(number, self._ask)

    def wait(self, seconds: float, *, or_readable: Iterable[int] = ()) -> bool:
        """Sleep, but wake for a signal or when one of the descriptors can be read.

        Returns whether one of the descriptors can.
        """
        watched = list(or_readable)
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
        if self.asked:
            os._exit(128 + number)
        self.asked = True
        os.write(self._write, b"!")
