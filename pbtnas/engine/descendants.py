"""Ends all processes that a process has started, and what these have started in turn.

On Linux a process that calls `adopt_orphans` becomes the parent of every process below it that
loses its own.  So all of them stay below it, in whatever session they are, and can be found in
/proc.  Elsewhere only the children are known.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from pbtnas.store.identity import process_stat

_LIBC = ctypes.CDLL(None)
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.01


def adopt_orphans() -> None:
    """Become the parent of all processes below this one whose parent dies."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> dict[int, int]:
    """The statuses of the children that have ended since the last call, by process id."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def kill_descendants(children: set[int], within_s: float) -> dict[int, int]:
    """Kill everything below this process, and what is started meanwhile; the statuses of the
    children.

    Gives up after `within_s`: the kernel does not end a process before a system call on a dead disk
    returns, nor one of another user.
    """
    until_s = time.monotonic() + within_s
    ended: dict[int, int] = {}
    while True:
        below = below_this_process() | (children - ended.keys())
        for pid in below:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended |= reap()
        # Zombies are in the list until they are reaped, so an empty one is the end.
        if not below or time.monotonic() > until_s:
            return ended
        time.sleep(_LOOK_S)


def below_this_process() -> set[int]:
    """The ids of this process's children, and of theirs."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*"):
        stat = process_stat(int(path.name))
        if stat is not None:  # else it has just ended, or is somebody else's
            parents[int(path.name)] = int(stat[1])
    found: set[int] = set()
    newest = {os.getpid()}
    while newest:
        newest = {pid for pid, parent in parents.items() if parent in newest} - found
        found |= newest
    return found
