"""Measures the time that another process had for its own code.

A job hangs if its process is silent for long although it could go on.  Time in which it could not
is not counted:

- It waits for the disk: it has said so, or its main thread sleeps in the kernel (state D).
- It is stopped, by SIGSTOP or by a debugger (states T and t).
- It wants a processor (state R) that others have: no more counts than the CPU time that it got.
- Nobody looked.  Looks come every second while a job is watched.  If the last one was much longer
  ago, this process was itself stopped or waited for the disk, or the machine was suspended, and
  nothing is known of the other one.  So a look accounts for `MOST_S` seconds before it at most.

What remains is an endless loop or a deadlock in the code of the task.  A task that waits for the
disk in another of its threads or processes is taken for one that hangs: it has to tick meanwhile.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from pbtnas.store.identity import process_stat

MOST_S = 2.0
"""Longest time before a look that the look accounts for."""

DISK = "the task reads or writes"  # as far as the kernel tells
_STATES = {
    "D": DISK,
    "T": "stopped by a signal",
    "t": "stopped by a debugger",
}
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Seen:
    """What the kernel says of a process.

    Args:
        state: Letter of its state; "" if the kernel says nothing.
        cpu_s: CPU time that it has used so far, in seconds.
    """

    state: str = ""
    cpu_s: float = 0.0

    @property
    def hindrance(self) -> str:
        """Why the process cannot go on, in words; "" if it can."""
        return _STATES.get(self.state, "")


class OwnTime:
    """Sums up the time between looks, as far as it counts."""

    def __init__(self) -> None:
        self._cpu_s = 0.0
        self.restart()

    def restart(self) -> None:
        """Begin at 0 seconds."""
        self._seconds = 0.0
        self._looked_s = time.monotonic()

    def look(self, process: Seen | None = None, *, hindered: bool = False) -> float:
        """The seconds that counted so far.

        Args:
            process: What is seen of the process now.
            hindered: Whether it cannot go on, so that the time since the last look does not count.
        """
        now_s = time.monotonic()
        passed_s = min(now_s - self._looked_s, MOST_S)
        self._looked_s = now_s
        if process is not None:
            if process.state == "R":
                # Less than before: it is another process.
                passed_s = min(passed_s, max(0.0, process.cpu_s - self._cpu_s))
            self._cpu_s = process.cpu_s
        if not hindered:
            self._seconds += passed_s
        return self._seconds


def see(pid: int) -> Seen:
    """What the kernel says of a process; nothing where there is no /proc."""
    stat = process_stat(pid)
    if stat is None:
        return Seen()
    return Seen(stat[0], (int(stat[11]) + int(stat[12])) * _TICK_S)
