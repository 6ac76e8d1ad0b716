"""Which job a worker takes first, and when it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pbtnas.attempts import Poll, Stopping, Trained
from pbtnas.drive import Executor, Stop, drive
from pbtnas.store import paths
from pbtnas.store.claims import Claims
from pbtnas.store.identity import this_process
from pbtnas.store.operations import MakeGeneration, Now, Sleep
from pbtnas.store.posix import PosixStore
from pbtnas.store.records import Record, encode
from pbtnas.store.run_directory import create, open_run, store_nonce
from pbtnas.store.schema import Job, Manifest, Result
from pbtnas.worker import EXTINCT_S, Ending, Pace, Worker

MEMBERS = 8


class Training(Executor):
    """A training process that is done at once; a checkpoint's digest is its member's name.

    Time passes only while somebody sleeps.
    """

    member = -1
    now_s = 0.0
    stop_at_s = float("inf")

    def execute(self, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                self.now_s += seconds
                return None
            case Poll():
                made = f"g0-{self.member}"
                return Trained(Result(self.member, "ok", 0.0, {}, made), None, {})
            case Stopping():
                return self.now_s > self.stop_at_s
        return super().execute(operation)


def jobs(generation: int) -> tuple[Job, ...]:
    return tuple(
        Job(generation, m, (0,), (f"g{generation - 1}-{m}",) * generation, m, 1, 1)
        for m in range(MEMBERS)
    )


@dataclass
class Workplace:
    """A run directory, and a worker of it."""

    store: PosixStore
    run: str
    worker: Worker
    training: Training

    def publish(self, manifest: Manifest) -> None:
        self.store.execute(MakeGeneration(manifest.generation))
        self._put(paths.manifest(manifest.generation), "manifest", manifest.to_json())

    def report(self, result: Result) -> None:
        self._put(paths.result(0, result.member), "result", result.to_json())

    def _put(self, name: str, kind: str, core: Mapping[str, Any]) -> None:
        self.store.put(name, encode(Record(kind, self.run, core, {}, store_nonce())))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    about = {"hash": "xxh3-128", "space": "s", "seed": 1, "task": "t", "created": "", "pbtnas": "0"}
    create(tmp_path / "run", {}, about=about)
    run = open_run(tmp_path / "run").id
    store = PosixStore(tmp_path / "run", "test")
    claims = Claims(run, this_process("w"), lease_s=60, new_nonce=store_nonce)
    worker = Worker(run, "w1", claims, Pace(1.0, 0.1, attempts=3))
    yield Workplace(store, run, worker, Training(store, Stop(())))
    store.close()


def test_a_worker_prefers_the_members_it_has_trained(place: Workplace) -> None:
    """A member's replay buffer is on the machine that trained it: it goes on there if it can."""
    worker, training = place.worker, place.training
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    trained = []
    for _ in range(3):
        attempt = drive(worker.next_attempt(), training.execute)
        assert attempt is not None
        training.member = attempt.job.member
        drive(worker.attend(attempt), training.execute)
        drive(worker.publish_last(), training.execute)
        trained.append(attempt.job.member)
    place.publish(Manifest(1, "selection", 0, jobs(1)))

    taken = [drive(worker.next_attempt(), training.execute) for _ in range(MEMBERS)]

    members = [attempt.job.member for attempt in taken if attempt is not None]
    assert set(members[:3]) == set(trained)
    assert sorted(members) == list(range(MEMBERS)), "it takes the others' too"


def test_a_worker_leaves_a_run_that_cannot_go_on(place: Workplace) -> None:
    """When all members failed, no GPU is kept waiting for a generation that never comes."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    for member in range(MEMBERS):
        outcome = "failed" if member % 2 else "diverged"
        place.report(Result(member, outcome, None, {}, None))

    assert drive(place.worker.work(), place.training.execute) is Ending.EXTINCT
    assert place.training.now_s > EXTINCT_S, "the coordinator speaks first"


def test_a_worker_waits_for_the_next_generation(place: Workplace) -> None:
    """As long as one member has a score there will be one, however late the coordinator is."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    for member in range(MEMBERS - 1):
        place.report(Result(member, "failed", None, {}, None))
    place.report(Result(MEMBERS - 1, "ok", 0.5, {}, None))
    place.training.stop_at_s = 10 * EXTINCT_S

    assert drive(place.worker.work(), place.training.execute) is Ending.STOPPED
