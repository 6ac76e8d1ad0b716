"""What a training process does with signals: nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection


def leave_to_the_worker(signals: Collection[int]) -> None:
    """Go on when a signal to a whole group or cgroup asks to stop: the worker asks for a snapshot.

    They are caught and not ignored, since programs that a task starts would go on ignoring them;
    and forked processes begin with the defaults, so that a task can still end its own.
    """
    forking = threading.local()

    def nothing(number: int, frame: object) -> None:
        pass

    def hold() -> None:
        # What a process is sent in its first moment must meet the defaults.
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, signals)

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def begin_with_defaults() -> None:
        for number in signals:
            if signal.getsignal(number) is nothing:  # not one of the task's own
                signal.signal(number, signal.SIG_DFL)
        release()

    for number in signals:
        signal.signal(number, nothing)
        signal.siginterrupt(number, False)
    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=begin_with_defaults)
