"""Which job a worker takes first, and when it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import Driver, drive
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Halt, Poll, Start, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import (
    MakeGeneration,
    Now,
    Published,
    Put,
    PutBlob,
    Sleep,
    Steps,
    Stopping,
    WriteHeartbeat,
)
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.protocol.worker import EXTINCT_S, Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.records.names import Digest
from pbtnas.records.schema import Job, Manifest, Result
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import create, open_run

MEMBERS = 8


class Environment(Driver):
    """A worker's surroundings, in which time passes only while somebody sleeps."""

    now_s = 0.0
    stop_at_s = float("inf")
    full_until_s = float("-inf")
    event: Trained | AttemptFailed | None = None  # what comes of every attempt

    def __init__(self, store: PosixStore, stop: StopRequest) -> None:
        super().__init__(store, stop)
        self.beats: list[str] = []

    def execute(self, operation: Any) -> Any:
        match operation:
            case Start() | Halt():
                return None
            case Poll(seconds):
                self.now_s += seconds
                return self.event
            case PutBlob() | Put(durable=True) if self.now_s < self.full_until_s:
                return Published.ERROR
            case PutBlob():
                return Published.WON
            case WriteHeartbeat(name):
                self.beats.append(name)
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
        self.store.put(name, encode(Record(kind, self.run, core, meta or {}, new_nonce()), name))


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


class TrainedAtOnce(Environment):
    """Surroundings in which each job is trained at once, and its checkpoint is published badly."""

    replies: list[Published]
    beaten: list[str]

    def execute(self, operation: Any) -> Any:
        match operation:
            case Start(attempt):
                self.attempt = attempt
                return None
            case Poll():
                result = Result(self.attempt.job.member, "ok", 0.5, {}, Digest("ab"))
                return Trained(result, ".tmp-file", {})
            case PutBlob():
                return self.replies.pop(0)
            case WriteHeartbeat(name):
                self.beaten.append(name)
        return super().execute(operation)


def published_badly(place: Workplace, *replies: Published) -> TrainedAtOnce:
    """Have a worker do one job of two and start the other, with such replies of the disk."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:2]))
    world = TrainedAtOnce(place.store, StopRequest(()))
    world.replies, world.beaten = list(replies), []

    def first_job() -> Steps[None]:
        attempts = []
        for _ in range(2):
            attempts.append((yield from place.worker.next_attempt()))
            yield from place.worker.start(attempts[-1])
            world.beaten.clear()
            yield from place.worker.publish_last()
            if len(attempts) == 1:
                yield from place.worker.attend(attempts[0])

    drive(first_job(), world.execute)
    return world


def test_a_worker_whose_checkpoint_was_tidied_away_publishes_no_result(place: Workplace) -> None:
    """It had been silent for too long, and another attempt is in work: the result comes with that
    one's checkpoint.  The claim is given back."""
    published_badly(place, Published.LOST)

    assert place.store.names(paths.results(0)) == []
    (ended,) = [name for name in place.store.names(paths.claims(0)) if ".end." in name]
    end = place.store.record(paths.within(paths.claims(0), ended), "end")
    assert end is not None
    assert (end.core["class"], end.core["counted"]) == ("released", False)


def test_a_worker_holds_its_claims_while_the_disk_is_full(place: Workplace) -> None:
    """Neither the job that is done nor the one in work is taken away from it meanwhile."""
    world = published_badly(place, Published.ERROR, Published.ERROR, Published.WON)

    names = place.store.names(paths.claims(0))
    beats = {paths.within(paths.claims(0), name) for name in names if name.endswith(".beat")}
    assert len(beats) == 2
    assert sorted(world.beaten) == sorted([*beats, *beats])
    assert len(place.store.names(paths.results(0))) == 1


@pytest.mark.parametrize("late_s", [-1.0, 0.3])
def test_a_failure_while_all_are_asked_to_stop_proves_nothing(
    place: Workplace, late_s: float
) -> None:
    """What a task has started may get the same signals, a moment before the worker does: the job
    is handed back, and nothing is held against it."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    place.world.event = AttemptFailed(Failure.ERROR, "DataLoader worker is killed by signal")
    place.world.stop_at_s = 1.0 + late_s  # the failure comes after one second

    assert drive(place.worker.work(), place.world.execute) is WorkerEnding.HANDED_BACK
    (end,) = (place.store.root / paths.claims(0)).glob("*.end.json")
    core = decode(end.read_bytes(), str(end.relative_to(place.store.root)), kind="end").core
    assert (core["class"], core["counted"]) == ("released", False)


def test_claims_are_kept_while_a_result_waits_for_the_disk(place: Workplace) -> None:
    """That of the job which waits to be published, and that of the next, which trains already."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))

    def attempt() -> Attempt:
        found = drive(place.worker.next_attempt(), place.world.execute)
        assert found is not None
        drive(place.worker.start(found), place.world.execute)
        return found

    trained = attempt()
    place.world.event = Trained(Result(trained.job.member, "ok", 0.5, {}, "digest"), "file", {})
    drive(place.worker.attend(trained), place.world.execute)
    training = attempt()
    place.world.beats.clear()
    place.world.full_until_s = place.world.now_s + 60.0
    drive(place.worker.publish_last(), place.world.execute)

    assert {paths.beat(a.slot, a.number) for a in (trained, training)} == set(place.world.beats)
    assert place.store.get(paths.result(0, trained.job.member)) is not None
