"""Shows a forked process with its own command line to those who look at a list of processes.

The kernel shows the memory in which the arguments of the program were when it began; who writes
there is shown with what he writes, as far as there is room.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from pbtnas.store.identity import process_stat

_FIRST, _END = 45, 46  # of the fields of /proc/PID/stat from the state on: arg_start, arg_end


def show_as(command: Sequence[str]) -> None:
    """Be shown as that command; without effect where the kernel does not tell where it looks."""
    stat = process_stat(os.getpid())
    if stat is None or len(stat) <= _END:
        return
    first, end = int(stat[_FIRST]), int(stat[_END])
    room = end - first
    if first <= 0 or room <= 1:
        return
    title = b"\0".join(map(os.fsencode, command))[: room - 1]
    ctypes.memmove(first, title.ljust(room, b"\0"), room)
