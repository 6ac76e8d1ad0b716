"""The whole protocol with a stand-in for training, to see what a generation border costs.

    protocol.py coordinator ROOT     makes the run and coordinates it
    protocol.py worker ROOT          waits for the run and works on it
    protocol.py borders ROOT         prints the seconds of each border, when the run is finished

A border is from the last result of a generation to the first claim of the next, by the change
times of the records, as the file system (a server's, on NFS) stamped them.  A job takes 0.3 s.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import Any

from pbtnas.config import SearchConfig
from pbtnas.engine.driver import Driver, drive
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Halt, Poll, Start, Trained
from pbtnas.protocol.children import Mix, Mixed, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import EmptyTrash
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import digest, store_nonce
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Result
from pbtnas.search import SearchSpace, layer
from pbtnas.search.algorithms import pbtnas
from pbtnas.store.identity import this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader

RUN, JOB_S, LEASE_S, BEAT_S, POLL_S = "nfs", 0.3, 60.0, 2.0, 1.0
SEARCH = Search(
    space=SearchSpace([layer(f"layer{i}", ("a", "b", "c")) for i in range(3)]),
    algorithm=pbtnas,
    selection=SearchConfig(population=4, generations=6, epochs=1).selection(),
    seed=7,
    population=4,
    generations=6,
    epochs=1,
    first_epochs=1,
    skip_selection=frozenset(),
    threads=1,
    origin=digest("nfs"),
)


class StandIn(Driver):
    """Carries out everything for real but training and mixing, whose outcome is a digest."""

    def __init__(self, store: PosixStore, writer: str) -> None:
        super().__init__(store, StopRequest(()))
        self._writer = writer
        self._attempt: Attempt | None = None
        self._until_s = 0.0

    def execute(self, operation: Any) -> Any:
        match operation:
            case Start(attempt):
                self._attempt, self._until_s = attempt, time.monotonic() + JOB_S
            case Poll(seconds):
                return self._poll(seconds)
            case Mix(generation=generation, birth=birth):
                overlay = digest([birth.architecture, birth.seed])
                private = self._private(generation, birth.member, overlay)
                return Mixed(private, overlay, {})
            case Halt() | EmptyTrash() | WriteViews():
                return None
            case _:
                return super().execute(operation)
        return None

    def _poll(self, seconds: float) -> Any:
        left_s = self._until_s - time.monotonic()
        self.stop.wait(max(0.0, min(left_s, seconds)))
        if left_s > seconds or self._attempt is None:
            return None
        job, self._attempt = self._attempt.job, None
        for checkpoint in job.inputs:
            if not self.store.exists(paths.checkpoint(job.generation - 1, checkpoint)):
                return AttemptFailed(Failure.INPUT, f"{checkpoint} is missing")
        made = digest([job.architecture, job.inputs, job.seed])
        score = int(made[:8], 16) / 2**32
        private = self._private(job.generation, job.member, made)
        return Trained(Result(job.member, "ok", score, {}, made), private, {})

    def _private(self, generation: int, member: int, content: Digest) -> str:
        name = f"{paths.checkpoints(generation)}/.tmp-{self._writer}-{member}"
        (self.store.root / name).write_text(content)
        return name


def coordinate(root: Path) -> None:
    """Make the run and coordinate it."""
    for directory in paths.TOP_DIRECTORIES:
        (root / directory).mkdir(parents=True, exist_ok=True)
    identity = this_process("c")
    with PosixStore(root, identity["worker"]) as store:
        store.put(paths.FORMAT, paths.FORMAT_TEXT)
        claims = Claims(RUN, identity, lease_s=LEASE_S, new_nonce=store_nonce)
        protocol = Coordinator(RUN, SEARCH, claims, beat_s=BEAT_S, poll_s=POLL_S)
        print(drive(protocol.coordinate(), StandIn(store, identity["worker"]).execute).value)


def work(root: Path) -> None:
    """Wait for the run and work on it."""
    while not begun(root):
        time.sleep(0.05)
    identity = this_process("w")
    with PosixStore(root, identity["worker"]) as store:
        claims = Claims(RUN, identity, lease_s=LEASE_S, new_nonce=store_nonce)
        worker = Worker(RUN, identity["worker"], claims, Pace(BEAT_S, POLL_S, attempts=3))
        print(drive(worker.work(), StandIn(store, identity["worker"]).execute).value)


def begun(root: Path) -> bool:
    """Whether there is a run to work on."""
    try:
        with RunReader(root) as reader:
            return reader.published(paths.FORMAT)
    except FileNotFoundError:
        return False


def borders(root: Path) -> None:
    """Print what each border took, and the whole run."""
    took = []
    for generation in range(SEARCH.generations - 1):
        last = max(times(root, paths.results(generation)))
        took.append(min(times(root, paths.claims(generation + 1))) - last)
    first = min(times(root, paths.claims(0)))
    whole_s = (root / paths.FINAL).stat().st_ctime - first
    print(f"{root}: {whole_s:.1f} s; borders", *(f"{each:.2f}" for each in took), flush=True)


def times(root: Path, directory: Name) -> list[float]:
    """When the records of a directory got their names."""
    return [path.stat().st_ctime for path in (root / directory).glob("m*.json")]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    roles = {"coordinator": coordinate, "worker": work, "borders": borders}
    roles[sys.argv[1]](Path(sys.argv[2]))
