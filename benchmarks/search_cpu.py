"""What a whole search of the digits costs: processor time of all its processes.

    OMP_NUM_THREADS=1 python benchmarks/search_cpu.py [--against CHECKOUT] [--rounds 5]

With `--against`, another checkout of pbtnas makes the same search; they take turns, so that
whatever else the machine does meets both.  Counted is processor time, start-up included.  Both
must come to the same best members, checkpoint by checkpoint: a search that is cheaper by being
another one does not count.  (Fingerprints hold more than the outcome, and differ between versions.)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parents[1]


def search(checkout: Path, population: int, generations: int) -> tuple[float, str]:
    """Processor seconds of a search with the code of a checkout, and the best that it found: ever,
    and in its last generation, with the digests of their checkpoints."""
    sets = {"search.population": population, "search.generations": generations}
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-m", "pbtnas", "--quiet", "run"]
        command += [str(checkout / "configs" / "digits.yaml"), str(run), "--workers", "1"]
        command += [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
        before = _spent_s()
        environment = {**os.environ, "PYTHONPATH": str(checkout)}
        subprocess.run(command, check=True, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
        final = json.loads((run / "final.json").read_text())["core"]
        best = json.dumps([final["best_ever"], final["best_last"]], sort_keys=True)
        return _spent_s() - before, best


def _spent_s() -> float:
    """Processor seconds of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Make the searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--against", type=Path, help="another checkout of pbtnas")
    parser.add_argument("--rounds", type=int, default=5, help="searches of each (default 5)")
    parser.add_argument("--population", type=int, default=12)
    parser.add_argument("--generations", type=int, default=21)
    told = parser.parse_args()
    checkouts = {"here": HERE} | ({"against": told.against.resolve()} if told.against else {})
    found: dict[str, list[float]] = {name: [] for name in checkouts}
    for _ in range(told.rounds):
        outcomes = set()
        for name, checkout in checkouts.items():
            spent_s, outcome = search(checkout, told.population, told.generations)
            found[name].append(spent_s)
            outcomes.add(outcome)
            print(f"{name:8} {spent_s:7.1f} s  load {os.getloadavg()[0]:.1f}", flush=True)
        if len(outcomes) > 1:
            sys.exit(f"not the same search: {' and '.join(sorted(outcomes))}")
    for name, seconds in found.items():
        print(f"{name:8} median {statistics.median(seconds):7.1f} s")
    if told.against:
        ratios = [a / b for a, b in zip(found["here"], found["against"], strict=True)]
        middle = statistics.median(ratios)
        print(f"ratio    median {middle:7.2f}, {min(ratios):.2f} to {max(ratios):.2f}")


if __name__ == "__main__":
    main()
