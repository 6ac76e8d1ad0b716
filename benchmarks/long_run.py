"""What commands that look at a run take, by its number of generations.

    python -m benchmarks.long_run [--generations 100 300 1000] [--members 100] [--directory DIR]

Runs are made without being run (`made_history.py`), and their views are written before anything is
measured, as a coordinator has done by then.  Runs that are in the directory are used again, for to
make 1,000 generations of 100 members takes a minute of processor time and 340,000 files.  Printed
is the processor time of each command in seconds, user and system together, imports included; "page"
is the first answer of `pbtnas dashboard`, in a process that has imported what it needs.  A command
is repeated as often as it is told to, and the least is what counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.made_history import make_run
from pbtnas.engine.views import write_views
from pbtnas.records import paths
from pbtnas.store.posix import PosixStore

COMMANDS = ("status", "members", "plot", "report")
PAGE = (
    "import sys, time; from pathlib import Path\n"
    "from pbtnas.dashboard.followed_run import FollowedRun\n"
    "began_s = time.process_time(); run = FollowedRun(Path(sys.argv[1]))\n"
    "run.look(now=True); run.data('', 0); print(time.process_time() - began_s)"
)


def made(directory: Path, members: int, generations: int) -> Path:
    """The run of that size, made unless it is there."""
    root = directory / f"{members}x{generations}"
    if not (root / paths.manifest(generations - 1)).exists():
        make_run(root, members, generations)
    with PosixStore(root, "views", primitive="link") as store:
        write_views(store)
    return root


def cost(command: str, root: Path, rounds: int) -> tuple[float, float]:
    """Seconds of processor time and megabytes of a command, the least of some rounds."""
    if command == "page":
        line = [sys.executable, "-c", PAGE, str(root)]
        return min(float(subprocess.check_output(line)) for _ in range(rounds)), 0.0
    line = [sys.executable, "-m", "pbtnas", command, str(root)]
    found = []
    with tempfile.TemporaryDirectory() as place:
        if command in ("plot", "report"):
            line += ["-o", f"{place}/made"]
        for _ in range(rounds):
            process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise RuntimeError(f"{line} ended with {process.returncode}")
            found.append((used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))
    return min(found)


def measure(directory: Path, members: int, generations: Sequence[int], rounds: int) -> None:
    """Print a line for each command and each length."""
    print(f"load {os.getloadavg()[0]:.1f}\n\n| command | generations of {members} | CPU s | MB |")
    print("|---|---|---|---|", flush=True)
    for number in generations:
        root = made(directory, members, number)
        for command in (*COMMANDS, "page"):
            seconds, megabytes = cost(command, root, rounds)
            told = f"{megabytes:.0f}" if megabytes else ""
            print(f"| {command} | {number:,} | {seconds:.2f} | {told} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Make the runs, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--generations", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where runs are made, and kept")
    given = parser.parse_args()
    if given.directory is not None:
        given.directory.mkdir(parents=True, exist_ok=True)
        measure(given.directory, given.members, given.generations, given.rounds)
        return
    with tempfile.TemporaryDirectory(prefix="long-run-") as name:
        measure(Path(name), given.members, given.generations, given.rounds)


if __name__ == "__main__":
    main()
