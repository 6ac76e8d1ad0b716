"""What grows with the population and with what is done already: counts, and ratios of times.

    python -m benchmarks.growth [--before CHECKOUT]

    discards   how often a coordinator clears a generation in a run of 1,000 whose best score rises
               in every generation: in all, and of one generation at most
    idle       reads a second, listings counted too, of a worker that has waited for long while
               others have members in work: half of the population
    looks      processor time, memory and reads of `pbtnas status`, and of the views that a
               coordinator writes now and then, by the number of generations; runs of a few
               members are made on disk for it (a memory disk as TMPDIR is faster)
    claim      processor time and reads of a claim, by population; and what a worker reads when a
               generation begins

Counts are exact: the protocol runs on a directory in memory, on a clock of its own.  Times are the
cheapest of some rounds.  With `--before`, the same is measured in another checkout, in a process of
its own, and printed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.looks import looks
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import KEPT_GENERATIONS
from pbtnas.protocol.operations import (
    Dead,
    Get,
    Has,
    List,
    Now,
    Published,
    Put,
    ReadHeartbeat,
    Sleep,
    Stopping,
)
from pbtnas.protocol.retention import Retention
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected

RUN, LEASE_S, BEAT_S, POLL_S = "run0", 60.0, 5.0, 1.0
NONE = Digest("")  # nothing here follows a chain
READS = (Get, Has, List, ReadHeartbeat)
SETTLED_S, WATCHED_S = 90.0, 240.0  # of waiting: before reads are counted, and while
GENERATIONS, LOOKED_AT = [10, 1000], 4  # and members
POPULATIONS = ((24, 8), (200, 64), (1000, 500))  # members, and how many are in work elsewhere


class Directory:
    """A run directory in memory, with members done, in work by workers that live, and open.

    Args:
        population: Number of members.
        in_work: Number of members that other workers train.
        done: Number of members with a result.
        generation: Number of the generation in work; the one before is done.
    """

    def __init__(
        self, population: int, *, in_work: int = 0, done: int = 0, generation: int = 0
    ) -> None:
        self.now_s = 0.0
        self.counts: Counter[type] = Counter()
        self._files: dict[str, bytes] = {}
        self._leaves: dict[str, set[str]] = {}
        self.put(paths.HEAD, b"%d\n" % generation)
        for number in range(max(0, generation - 1), generation + 1):
            before = number < generation
            jobs = tuple(
                Job(number, m, (0,) * 30, (_checkpoint(number - 1, m),) * number, m, 1, 1)
                for m in range(population)
            )
            results = tuple(
                Result(m, "ok", m / 7, {}, _checkpoint(number, m)) for m in range(population)
            )
            for result in results if before else results[in_work : in_work + done]:
                meta = {"worker": _worker(result.member)}
                self._record(paths.result(number, result.member), "result", result, meta)
            for member in range(population if before else in_work + done):
                holder = {"holder": {"worker": _worker(member)}}
                self._record(paths.claim(paths.job_slot(number, member), 1), "claim", holder)
            told = {"trained_by": {str(m): _worker(m) for m in range(population)}} if number else {}
            self._record(paths.manifest(number), "manifest", Manifest(number, NONE, 0, jobs), told)
            if before:
                ranking = tuple(reversed(range(population)))
                selected = Selected(number, NONE, ranking, (), results)
                self._record(paths.selection(number), "selection", selected)

    def put(self, name: str, data: bytes) -> None:
        self._files[name] = data
        parent, _, leaf = name.rpartition("/")
        self._leaves.setdefault(parent, set()).add(leaf)

    def _record(self, name: str, kind: str, content: Any, meta: Any = None) -> None:
        core = content if isinstance(content, dict) else content.to_json()
        self.put(name, encode(Record(kind, RUN, core, meta or {}, "n")))

    def reads(self) -> int:
        return sum(self.counts[kind] for kind in READS)

    def execute(self, operation: Any) -> Any:
        self.counts[type(operation)] += 1
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                self.now_s += seconds
                return None
            case Stopping() | Dead():
                return False
            case Get(name):
                return self._files.get(name)
            case Has():
                return True
            case Put(name, data):
                self.put(name, data)
            case List(directory):
                return set(self._leaves.get(directory, ()))
            case ReadHeartbeat():
                return Heartbeat(int(self.now_s / BEAT_S), 1, "training").encode()
        return Published.WON


def _checkpoint(generation: int, member: int) -> Any:
    return f"{generation:032d}{member:032d}"


def _worker(member: int) -> str:
    """Who has trained a member: one of the machine of `new_worker`."""
    return f"here-{member}-w-x"


def new_worker() -> Worker:
    """A worker with the default pace."""
    nonces = count()
    claims = Claims(
        RUN, {"worker": "here-1-w-def"}, lease_s=LEASE_S, new_nonce=lambda: str(next(nonces))
    )
    return Worker(RUN, "here-1-w-def", claims, Pace(BEAT_S, POLL_S, attempts=3))


def reads_a_second(population: int, in_work: int) -> float:
    """Reads and listings of a worker that has been idle for long; all other members are done."""
    directory = Directory(population, in_work=in_work, done=population - in_work)
    life, reply = new_worker().work(), None
    while directory.now_s < SETTLED_S:
        reply = directory.execute(life.send(reply))
    directory.counts.clear()
    while directory.now_s < SETTLED_S + WATCHED_S:
        reply = directory.execute(life.send(reply))
    life.close()
    return directory.reads() / WATCHED_S


def discards(generations: int) -> Counter[int]:
    """How often each generation of a run is discarded, if the best score rises in all of them."""
    retention, tidied = Retention(), 0
    made: Counter[int] = Counter()
    for generation in range(generations):
        checkpoint = _checkpoint(generation, 0)
        manifest = Manifest(generation, NONE, 0, (Job(generation, 0, (0,), (), 0, 1, 1),))
        results = (Result(0, "ok", float(generation), {}, checkpoint),)
        best = Champion(generation, 0, float(generation), (0,), checkpoint)
        retention.add(best, manifest, Selected(generation, NONE, (0,), (), results))
        beyond = max(tidied, generation - KEPT_GENERATIONS)
        made.update(retention.collectable(range(tidied, beyond)))
        tidied = beyond
    return made


def claims(population: int, number: int = 20) -> tuple[float, float, int]:
    """Milliseconds of processor and reads of a claim; and reads when a generation begins."""
    cheapest, first, each = float("inf"), 0, 0.0
    for _ in range(5):
        directory, worker = Directory(population, generation=1), new_worker()
        _claim(worker, directory)
        first = directory.reads()
        directory.counts.clear()
        began_s = time.process_time()
        for _ in range(number):
            _claim(worker, directory)
        cheapest = min(cheapest, time.process_time() - began_s)
        each = directory.reads() / number
    return 1e3 * cheapest / number, each, first


def _claim(worker: Worker, directory: Directory) -> None:
    steps, reply = worker.next_attempt(), None
    try:
        while True:
            reply = directory.execute(steps.send(reply))
    except StopIteration as stop:
        assert stop.value is not None, "there is a job for every claim"


def looked_at() -> dict[str, float]:
    """What looks at a run take, early and late."""
    with TemporaryDirectory() as directory:
        return looks(GENERATIONS, LOOKED_AT, Path(directory))


def measured() -> dict[str, float]:
    """Every number by its name, in the order in which they are printed."""
    numbers: dict[str, float] = {}
    made = discards(1000)
    numbers["discards in 1,000 generations"] = sum(made.values())
    numbers["discards of one generation, at most"] = max(made.values())
    for population, in_work in POPULATIONS:
        name = f"reads a second, idle, {in_work} of {population} members in work"
        numbers[name] = round(reads_a_second(population, in_work), 2)
    found = {population: claims(population) for population, _ in POPULATIONS}
    for population, (milliseconds, each, first) in found.items():
        numbers[f"claim among {population} members, ms"] = round(milliseconds, 3)
        numbers[f"claim among {population} members, reads"] = each
        numbers[f"first claim of a generation of {population}, reads"] = first
    fewest, most = min(found), max(found)
    numbers[f"claim, {most} / {fewest} members"] = round(found[most][0] / found[fewest][0], 2)
    return numbers | looked_at()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--json", action="store_true", help="print the numbers of this one only")
    given = parser.parse_args()
    if given.json:
        print(json.dumps(measured()))
        return
    here, before = measured(), {}
    if given.before is not None:
        # Parts of this benchmark that it lacks are those beside this file.
        places = (str(given.before.resolve()), str(Path(__file__).parents[1]))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places)}
        command = [sys.executable, __file__, "--json"]
        before = json.loads(subprocess.check_output(command, env=environment))
    print(f"load {os.getloadavg()[0]:.1f}")
    print("| | before | now |\n|---|---|---|" if before else "| | now |\n|---|---|")
    for name, number in here.items():
        print(
            f"| {name} | {before[name]:g} | {number:g} |" if before else f"| {name} | {number:g} |"
        )


if __name__ == "__main__":
    main()
