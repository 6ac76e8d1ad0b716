"""Measures looks at a run in processes of their own: by its number of generations."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.made_history import make_run
from pbtnas.store.reader import RunReader

LOOKS, ROUNDS = ("status", "views"), 5


def looks(generations: list[int], members: int, directory: Path) -> dict[str, float]:
    """Processor seconds, memory and reads of each look, by the number of generations.

    The views are written before anything is measured, as a coordinator has done by then.
    """
    numbers: dict[str, float] = {}
    for number in generations:
        root = directory / f"{members}x{number}"
        make_run(root, members, number)
        _look("views", root)
        for what in LOOKS:
            name = f"{what}, {number:,} generations of {members}"
            for unit, value in _look(what, root).items():
                numbers[f"{name}, {unit}"] = round(value, 2)
    fewest, most = min(generations), max(generations)
    for what in LOOKS:
        now, few = (
            numbers[f"{what}, {number:,} generations of {members}, ms"] for number in (most, fewest)
        )
        numbers[f"{what}, {most:,} / {fewest:,} generations of {members}"] = round(now / few, 2)
    return numbers


def _look(what: str, root: Path) -> dict[str, float]:
    command = [sys.executable, "-P", "-m", "benchmarks.looks", what, str(root)]
    place = Path(__file__).parents[1]
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), str(place))))
    environment = {**os.environ, "PYTHONPATH": path}
    told = subprocess.check_output(command, env=environment, stderr=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(told)
    return found


def _status(root: Path) -> None:
    from pbtnas.monitoring.run_screen import render, status

    render(status(root, now=time.time()))


def _views(root: Path) -> None:
    from pbtnas.store.posix import PosixStore

    with PosixStore(root, "benchmark-1-c") as store:
        try:
            from pbtnas.engine.views import write_views
        except ImportError:  # of an older checkout
            _rewrite_views(store)
        else:
            write_views(store)


def _rewrite_views(store: object) -> None:
    """As coordinators did it before they added to what is there."""
    from pbtnas.analysis.history.run import History, metrics_lines
    from pbtnas.records import paths
    from pbtnas.store.posix import PosixStore

    assert isinstance(store, PosixStore)
    history = History.read(store.root)
    for member in sorted({job for generation in history.generations for job in generation.jobs}):
        lines = "".join(f"{line}\n" for line in metrics_lines(history, member))
        store.replace(paths.metrics(member), lines.encode())


def _measure(what: str, root: Path) -> None:
    """Print what a look takes, at best, after a first one that imports."""
    look = {"status": _status, "views": _views}[what]
    look(root)
    took_s = float("inf")
    for _ in range(ROUNDS):
        began_s = time.process_time()
        look(root)
        took_s = min(took_s, time.process_time() - began_s)
    reads = _counted()
    look(root)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"ms": 1e3 * took_s, "MB": used / 1024, "reads": reads.total()}))


def _counted() -> Counter[str]:
    """Counts what is asked of run directories from now on."""
    counts: Counter[str] = Counter()

    def counting(method: str) -> None:
        real = getattr(RunReader, method)

        def counted(self: RunReader, name: str) -> Any:
            counts[method] += 1
            return real(self, name)

        setattr(RunReader, method, counted)

    for method in ("get", "names", "published", "changed_s"):
        counting(method)
    return counts


if __name__ == "__main__":
    _measure(sys.argv[1], Path(sys.argv[2]))
