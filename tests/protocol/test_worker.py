"""Which job a worker takes first, and when it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import Driver, drive
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import MakeGeneration, Now, Sleep, Stopping
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.protocol.worker import EXTINCT_S, Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Job, Manifest, Result
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import create, open_run

MEMBERS = 8


class Environment(Driver):
    """A worker's surroundings, in which time passes only while somebody sleeps."""

    now_s = 0.0
    stop_at_s = float("inf")

    def execute(self, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                self.now_s += seconds
                return None
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
    world: Environment

    def publish(self, manifest: Manifest) -> None:
        self.store.execute(MakeGeneration(manifest.generation))
        self._put(paths.manifest(manifest.generation), "manifest", manifest.to_json())

    def report(self, result: Result, worker: str = "") -> None:
        self.store.execute(MakeGeneration(0))
        meta = {"worker": worker}
        self._put(paths.result(0, result.member), "result", result.to_json(), meta)

    def _put(
        self, name: str, kind: str, core: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> None:
        self.store.put(name, encode(Record(kind, self.run, core, meta or {}, new_nonce())))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    about = {"hash": "xxh3-128", "space": "s", "seed": 1, "task": "t", "created": "", "pbtnas": "0"}
    create(tmp_path / "run", {}, about=about)
    run = open_run(tmp_path / "run").id
    store = PosixStore(tmp_path / "run", "test")
    claims = Claims(run, this_process("w"), lease_s=60, new_nonce=new_nonce)
    worker = Worker(run, "here-1-w-def", claims, Pace(1.0, 0.1, attempts=3))
    yield Workplace(store, run, worker, Environment(store, StopRequest(())))
    store.close()


def test_a_worker_prefers_the_members_of_its_machine(place: Workplace) -> None:
    """A member's replay buffer is on the machine that trained it, and any worker there may use
    it; those of other machines have a moment to take their own."""
    here = {0, 3, 5}
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    for member in range(MEMBERS):
        host = "here" if member in here else "there"
        result = Result(member, "ok", 0.5, {}, f"g0-{member}")
        place.report(result, worker=f"{host}-7-w-abc")
    place.publish(Manifest(1, "selection", 0, jobs(1)))

    def take() -> list[int]:
        taken = []
        while (attempt := drive(place.worker.next_attempt(), place.world.execute)) is not None:
            taken.append(attempt.job.member)
        return taken

    assert set(take()) == here
    place.world.now_s += 1.0
    assert set(take()) == set(range(MEMBERS)) - here, "it takes the others' too"


def test_a_worker_leaves_a_run_that_cannot_go_on(place: Workplace) -> None:
    """When all members failed, no GPU is kept waiting for a generation that never comes."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    for member in range(MEMBERS):
        outcome = "failed" if member % 2 else "diverged"
        place.report(Result(member, outcome, None, {}, None))

    assert drive(place.worker.work(), place.world.execute) is WorkerEnding.EXTINCT
    assert place.world.now_s > EXTINCT_S, "the coordinator speaks first"


def test_a_worker_waits_for_the_next_generation(place: Workplace) -> None:
    """As long as one member has a score there will be one, however late the coordinator is."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    for member in range(MEMBERS - 1):
        place.report(Result(member, "failed", None, {}, None))
    place.report(Result(MEMBERS - 1, "ok", 0.5, {}, None))
    place.world.stop_at_s = 10 * EXTINCT_S

    assert drive(place.worker.work(), place.world.execute) is WorkerEnding.STOPPED
