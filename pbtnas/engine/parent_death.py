"""Ends a process when the process that started it ends, however that one ends.

Only Linux can do it; elsewhere such processes are left to themselves, which costs time and no more.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def end_with_parent(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent dies."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def stop_with_parent(parent: int) -> None:
    """Be asked to stop, as by SIGTERM, when the process that started this one dies."""
    end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)  # it has died in the meantime
