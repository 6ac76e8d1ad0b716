"""System calls of a member-step, by the process that makes them.

    python benchmarks/system_calls.py [--workers 2] [--megabytes 0.1] [--before CHECKOUT]

strace counts the calls of two runs of 24 members that differ by four generations, so that start and
end drop out; with `--before`, those of another checkout of pbtnas too.  Tracing makes processes
slow, and whoever waits looks again and again: the calls of worker and coordinator include their
looks for what is not there yet, which grow with the load of the machine.  So the medians of the
longer run are printed too: of the calls from one job to the next, which leave the waiting out.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median

from coordination import Setting, commands
from processes import busy, started

GENERATIONS = (4, 8)
ROLES = ("coordinator", "worker", "training process")
SHOWN = ("all", "failing", "fsync", "new files", "renames", "unlinks")
_CALL = re.compile(r"(\w+)\(")
MESSAGES = {"worker": 'result\\": {', "training process": 'job\\": {'}  # one for each job


def traced(
    setting: Setting, place: Path, checkout: Path
) -> tuple[dict[str, Counter[str]], dict[str, float]]:
    """The calls of a whole run, and the median of those from one job to the next, by role."""
    place.mkdir()
    lines = [
        ["strace", "-ff", "-qq", "-s", "200", "-e", "signal=none"]
        + ["-o", str(place / f"trace-{number}"), *line]
        for number, line in enumerate(commands(setting, place / "run"))
    ]
    with started(lines, {"PYTHONPATH": str(checkout)}) as processes:
        for process in processes:
            if process.wait() != 0:
                raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
    found = {role: Counter[str]() for role in ROLES}
    gaps: dict[str, list[int]] = {role: [] for role in MESSAGES}
    for trace in sorted(place.glob("trace-*")):
        text = trace.read_text(errors="replace").splitlines()
        role = _role(trace.name, text)
        found[role].update(counted(text))
        if role in gaps:
            gaps[role] += between_jobs(text, MESSAGES[role])
    return found, {role: median(calls) for role, calls in gaps.items()}


def between_jobs(lines: list[str], message: str) -> list[int]:
    """How many calls come from each received message of that kind to the next."""
    at = [n for n, line in enumerate(lines) if line.startswith("recvfrom(") and message in line]
    return [following - number for number, following in pairwise(at)]


def _role(name: str, text: list[str]) -> str:
    if "pbtnas.training" in next((line for line in text if line.startswith("execve")), ""):
        return "training process"
    return "coordinator" if name.startswith("trace-0.") else "worker"


def counted(lines: list[str]) -> Counter[str]:
    """The calls in a trace: all, those that fail, and those that change the disk."""
    found = Counter[str]()
    for line in lines:
        call = _CALL.match(line)
        if call is None:
            continue
        name = call[1]
        fails = " = -1 " in line
        found["all"] += 1
        found["failing"] += fails
        if not fails:
            found["fsync"] += name == "fsync"
            found["new files"] += name == "openat" and ("O_EXCL" in line or "O_TRUNC" in line)
            found["renames"] += name.startswith("rename")
            found["unlinks"] += name.startswith("unlink")
    return found


def main() -> None:
    """Trace, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--megabytes", type=float, default=0.1)
    parser.add_argument("--before", type=Path, help="another checkout of pbtnas")
    options = parser.parse_args()
    sides = {"now": Path(__file__).resolve().parents[1]}
    if options.before:
        sides = {"before": options.before.resolve(), **sides}
    setting = Setting(options.megabytes, options.workers)
    print(f"{busy()}\n\n| | process | {' | '.join(SHOWN)} |\n{'|---' * (len(SHOWN) + 2)}|")
    for side, checkout in sides.items():
        with tempfile.TemporaryDirectory(prefix="system-calls-") as name:
            (short, _), (long, medians) = (
                traced(replace(setting, generations=number), Path(name) / str(number), checkout)
                for number in GENERATIONS
            )
        steps = setting.members * (GENERATIONS[1] - GENERATIONS[0])
        total = Counter[str]()
        for role in ROLES:
            total.update(long[role])
            total.subtract(short[role])
            row = [f"{(long[role][kind] - short[role][kind]) / steps:.1f}" for kind in SHOWN]
            print(f"| {side} | {role} | {' | '.join(row)} |")
        row = [f"{total[kind] / steps:.1f}" for kind in SHOWN]
        print(f"| {side} | together | {' | '.join(row)} |")
        print(f"{side}, median calls from one job to the next: {medians}", flush=True)


if __name__ == "__main__":
    main()
