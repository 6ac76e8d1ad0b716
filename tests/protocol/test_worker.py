"""Which job a worker takes first, and when it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import Driver, drive
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.attempts import (
    Attempt,
    AttemptFailed,
    Failure,
    Halt,
    Poll,
    Start,
    Stopped,
    Trained,
)
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import (
    List,
    MakeGeneration,
    Now,
    Published,
    Put,
    PutBlob,
    Sleep,
    Stopping,
    Sync,
)
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

    def __init__(self, store: PosixStore, stop: StopRequest) -> None:
        super().__init__(store, stop)
        self.done: list[Any] = []  # every operation

    now_s = 0.0
    stop_at_s = float("inf")
    blind = False  # whether listings miss everything, as they may
    event: Any = None  # what comes of a training in the end
    polls = 0  # before that
    errors = 0  # of the disk, before the next publish succeeds

    def execute(self, operation: Any) -> Any:
        self.done.append(operation)
        match operation:
            case Put() | PutBlob() | Sync() if self.errors:
                self.errors -= 1
                return Published.ERROR
            case List() if self.blind:
                return set()
            case Start():
                return None
            case Poll(seconds):
                self.now_s += seconds
                self.polls -= 1
                return self.event if self.polls < 0 else None
            case Halt():
                self.event, self.polls = Stopped(3), 0
                return None
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

    def next_attempt(self) -> Attempt | None:
        return drive(self.worker.next_attempt(), self.world.execute)

    def attend(self, event: Any, polls: int = 0) -> WorkerEnding | None:
        """Take a job and see it come to that, after so many looks without news."""
        attempt = self.next_attempt()
        assert attempt is not None
        self.world.event, self.world.polls = event, polls
        return drive(self.worker.attend(attempt), self.world.execute)

    def ends(self) -> list[str]:
        """How attempts at the jobs of the first generation ended."""
        names = self.store.names(paths.claims(0))
        ends = sorted(name for name in names if name.endswith(".end.json"))
        records = [self.store.record(paths.within(paths.claims(0), n), "end") for n in ends]
        return [record.core["class"] for record in records if record is not None]

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


# -- one job at a time -----------------------------------------------------------------------------

ERROR = AttemptFailed(Failure.ERROR, "ValueError: always")
LOST = AttemptFailed(Failure.INFRA, "killed")


def test_a_job_that_is_done_is_not_done_again(place: Workplace) -> None:
    """A listing may miss its result; the look after the claim does not."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    place.report(Result(0, "ok", 0.5, {}, "g0-0"))
    place.world.blind = True

    assert place.next_attempt() is None


def test_only_failures_of_the_job_count_against_it(place: Workplace) -> None:
    """After three of them it is recorded as failed; what befell the machine, and inputs that
    were missing, count for nothing."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    for event in (LOST, ERROR, AttemptFailed(Failure.INPUT, "missing"), ERROR, LOST, LOST):
        place.attend(event)
        place.world.now_s += 1000.0
    place.attend(AttemptFailed(Failure.HANG, "no progress"))

    assert place.next_attempt() is None
    record = place.store.record(paths.result(0, 0), "result")
    assert record is not None
    assert Result.from_json(record.core) == Result(0, "failed", None, {}, None)


def test_a_machine_whose_jobs_do_well_elsewhere_takes_no_more(place: Workplace) -> None:
    """Three that failed here and nowhere else: it is the machine."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:3]))
    for _ in range(3):
        assert place.attend(ERROR) is None
    for member in range(3):
        place.report(Result(member, "ok", 0.5, {}, f"g0-{member}"), worker="there-7-w-abc")
    place.publish(Manifest(1, "selection", 0, jobs(1)[:3]))
    assert place.next_attempt() is None, "for a moment they are the other machine's"
    place.world.now_s += 1000.0

    assert place.attend(ERROR) is WorkerEnding.QUARANTINED


def test_a_machine_that_loses_three_trainings_in_a_row_takes_no_more(place: Workplace) -> None:
    """Whatever it is, the jobs are better off elsewhere."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:3]))

    assert [place.attend(LOST) for _ in range(3)] == [None, None, WorkerEnding.QUARANTINED]


def test_a_training_is_seen_to_live(place: Workplace) -> None:
    """Its heartbeat changes as long as it runs, however long it makes no progress."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    beats = set()
    execute = place.world.execute

    def noting(operation: Any) -> Any:
        if isinstance(operation, Poll):
            beats.add(place.store.get(paths.beat(paths.job_slot(0, 0), 1)))
        return execute(operation)

    place.world.execute = noting  # type: ignore[method-assign]
    place.attend(Trained(Result(0, "diverged", None, {}, None), None, {}), polls=5)

    assert len(beats - {None}) == 5


def test_a_training_whose_result_is_there_is_ended(place: Workplace) -> None:
    """Another worker, which took this one for dead, was quicker."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    attempt = place.next_attempt()
    assert attempt is not None
    place.report(Result(0, "ok", 0.5, {}, "g0-0"))
    place.world.event, place.world.polls = LOST, 100

    assert drive(place.worker.attend(attempt), place.world.execute) is None
    assert place.ends() == ["released"]
    assert place.world.polls < 0 < place.world.now_s < 10


def test_a_damaged_input_is_put_aside(place: Workplace) -> None:
    """So that its job is done again, and nobody else trips over it."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    place.publish(Manifest(1, "selection", 0, jobs(1)[:1]))
    damaged = place.store.root / paths.checkpoint(0, "g0-0")
    damaged.write_bytes(b"damaged")
    place.attend(AttemptFailed(Failure.INPUT, "another digest", damaged="g0-0"))

    assert not damaged.exists()
    assert [path.read_bytes() for path in damaged.parent.iterdir()] == [b"damaged"]


@pytest.mark.parametrize("errors", [0, 1, 3])
def test_a_checkpoint_is_published_before_the_result_that_names_it(
    place: Workplace, errors: int
) -> None:
    """And for as long as the disk refuses, both are tried again."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    (place.store.root / ".tmp-trained").write_bytes(b"weights")
    place.attend(Trained(Result(0, "ok", 0.5, {}, "g0-0"), ".tmp-trained", {}))
    place.world.errors, place.world.done = errors, []
    drive(place.worker.publish_last(), place.world.execute)

    tried = [op.name for op in place.world.done if isinstance(op, Put | PutBlob)]
    checkpoint, result = paths.checkpoint(0, "g0-0"), paths.result(0, 0)
    assert tried == [checkpoint] * (errors + 1) + [result]
    assert (place.store.root / checkpoint).read_bytes() == b"weights"
    assert place.store.published(result)


def test_a_result_is_tried_again_while_the_disk_refuses(place: Workplace) -> None:
    """An I/O error is not a lost race: nobody else has this result."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    place.attend(Trained(Result(0, "diverged", None, {}, None), None, {}))
    place.world.errors = 3
    drive(place.worker.publish_last(), place.world.execute)

    assert place.store.published(paths.result(0, 0))


def test_a_manifest_is_durable_before_anything_rests_on_it(place: Workplace) -> None:
    """Its directory is synced before the first claim, and again until the disk does so."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    place.world.errors = 2
    assert place.next_attempt() is not None

    order = [op for op in place.world.done if isinstance(op, Put | Sync)]
    assert order[:-1] == [Sync(paths.generation(0))] * 3
    assert isinstance(order[-1], Put)
