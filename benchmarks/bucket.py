"""Requests to an object store: of a member-step, and of a minute in which nothing happens.

    OMP_NUM_THREADS=1 python -m benchmarks.bucket [--minutes 2] [--set engine.beat_s=30]

A coordinator, a worker at a job that takes long, and a worker without one, with the engine
settings that a run has by default or those given, each count their requests to the S3 of moto's
server.  Then a whole search of short jobs is counted.  Needs requirements-dev.txt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.store.object_store import Faults, environment_of, moto, proxy
from tests.system.site import TASK

CONFIG = """\
task: {{name: FaultyTask}}
run: {{seed: 5}}
search: {{population: {population}, generations: {generations}, epochs: 2, tau: 0.34}}
"""


class Searching:
    """Processes of a search in a bucket, each with a proxy of its own that counts."""

    def __init__(self, directory: Path, upstream: str, url: str, held: ExitStack) -> None:
        self._directory, self._upstream, self._url, self._held = directory, upstream, url, held
        self.counted: dict[str, Faults] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: str, *before: str, step_s: float, more: Sequence[str] = ()
    ) -> None:
        self.counted[name] = Faults()
        endpoint = self._held.enter_context(proxy(self._upstream, self.counted[name]))
        words = [command, *before, self._url, "--task", TASK, "--machine", name]
        words += ["--cache", str(self._directory / name)]
        words += ["--scratch", str(self._directory / "scratch")]
        words += more
        words += ["--device", "cpu"] if command == "worker" else []
        told = {**os.environ, **environment_of(endpoint), "PBTNAS_TEST_STEP_S": str(step_s)}
        told["PBTNAS_TEST_FAULTS"] = str(self._directory / "faults")
        log = (self._directory / f"{name}.txt").open("wb")
        self.processes[name] = self._held.enter_context(
            subprocess.Popen([sys.executable, "-m", "pbtnas", *words], env=told, stderr=log)
        )

    def says(self, name: str, words: str) -> None:
        while words not in (self._directory / f"{name}.txt").read_text():
            assert self.processes[name].poll() is None, f"{name} has ended"
            time.sleep(0.2)

    def requests(self) -> dict[str, Counter[str]]:
        return {name: Counter(faults.requests) for name, faults in self.counted.items()}


def told(counts: Counter[str], by: float) -> str:
    """Requests of each sort, divided by a number."""
    return ", ".join(f"{n / by:.1f} {sort}" for sort, n in sorted(counts.items())) or "none"


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=2.0, help="Of a job, and of waiting.")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    minutes, sets = asked.minutes, [word for each in asked.sets for word in ("--set", each)]
    with ExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory()))
        upstream = held.enter_context(moto())
        config = directory / "config.yaml"

        config.write_text(CONFIG.format(population=2, generations=1))
        long = Searching(directory, upstream, "s3://runs/long", held)
        long.start("coordinator", "coordinator", str(config), step_s=60 * minutes, more=sets)
        for name in ("first", "second"):
            long.start(name, "worker", step_s=60 * minutes)
        for name in ("first", "second"):
            long.says(name, "training g0000")
        long.start("idle", "worker", step_s=60 * minutes)
        long.says("idle", "working on")
        time.sleep(30)
        before = long.requests()
        time.sleep(60 * minutes)
        after = long.requests()
        print(f"a minute, over {minutes:g} minutes in which jobs go on:")
        for name in ("coordinator", "first", "idle"):
            print(f"  {name}: {told(after[name] - before[name], minutes)}")
        for process in long.processes.values():
            process.kill()

        config.write_text(CONFIG.format(population=6, generations=4))
        short = Searching(directory, upstream, "s3://runs/short", held)
        short.start("head", "coordinator", str(config), step_s=0.1, more=sets)
        short.start("hand", "worker", step_s=0.1)
        for process in short.processes.values():
            process.wait()
        found = short.requests()
        print("a member-step, of 24 that take 1 s each, start and end included:")
        for name in ("head", "hand"):
            print(f"  {name}: {told(found[name], 24)}")


if __name__ == "__main__":
    main()
