"""Processes of a benchmark: started, watched through /proc, and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 600.0


@contextmanager
def started(
    lines: Sequence[Sequence[str]],
    changes: Mapping[str, str] | None = None,
    *,
    stdout: int | None = None,
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that are ended, with all they started, when they are not needed any more.

    Args:
        lines: Their command lines.
        changes: Variables of their environment.
        stdout: Where what they print goes, as `subprocess` takes it.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(changes or {})}
    processes = [subprocess.Popen(line, env=environment, stdout=stdout) for line in lines]
    try:
        yield processes
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in processes:
            process.wait()


def wait_for(path: Path, processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for a file, looking rarely enough to take no CPU from what is measured.

    Raises `RuntimeError` when a process that should bring it has failed.
    """
    until_s = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > until_s:
            raise TimeoutError(f"{path} did not appear within {PATIENCE_S:g} s")
        for process in processes:
            if process.poll():
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        time.sleep(0.01)


def cpu_of_families(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """CPU seconds so far of processes and all that descend from them and are alive."""
    return sum(cpu_s(pid) for process in processes for pid in family(process.pid))


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found = [pid]
    for member in found:
        found += parents.get(member, [])
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, of all its threads that are alive, to the nanosecond."""
    spent = (path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, spent)) / 1e9


def busy() -> str:
    """How much else this machine does: processes that run or want to, and how long these wait."""
    load = Path("/proc/loadavg").read_text().split()[0]
    waiting = Path("/proc/pressure/cpu").read_text().split()[1].removeprefix("avg10=")
    return f"load {load}; some process waited for a core {waiting} % of the last ten seconds"
