"""One worker and one job at a time: what it publishes in which order, and what failures mean."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import drive
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
from pbtnas.protocol.operations import List, Published, Put, PutBlob, Sync
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.schema import Manifest, Result
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import create, open_run
from tests.protocol.test_worker import Environment, Workplace, jobs

ABOUT = {"hash": "xxh3-128", "space": "s", "seed": 1, "task": "t", "created": "", "pbtnas": "0"}


class Workbench(Environment):
    """A worker's surroundings, with a training process that comes to what a test wants."""

    def __init__(self, store: PosixStore, stop: StopRequest) -> None:
        super().__init__(store, stop)
        self.done: list[Any] = []  # every operation
        self.blind = False  # whether listings miss everything, as they may
        self.event: Any = None  # what comes of a training in the end
        self.polls = 0  # before that
        self.errors = 0  # of the disk, before the next publish succeeds

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
            case PutBlob():
                return self.store.execute(operation)
        return super().execute(operation)


class Place(Workplace):
    """A run directory, and a worker of it that has one job after the other."""

    world: Workbench

    def next_attempt(self) -> Attempt | None:
        return drive(self.worker.next_attempt(), self.world.execute)

    def attend(self, event: Any, polls: int = 0) -> WorkerEnding | None:
        """Take a job and see it come to that, after so many looks without news."""
        attempt = self.next_attempt()
        assert attempt is not None
        self.world.event, self.world.polls = event, polls
        return drive(self.worker.attend(attempt), self.world.execute)

    def publish_last(self) -> None:
        drive(self.worker.publish_last(), self.world.execute)

    def ends(self) -> list[str]:
        """How attempts at the jobs of the first generation ended."""
        names = self.store.names(paths.claims(0))
        ends = sorted(name for name in names if name.endswith(".end.json"))
        records = [self.store.record(paths.within(paths.claims(0), n), "end") for n in ends]
        return [record.core["class"] for record in records if record is not None]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    create(tmp_path / "run", {}, about=ABOUT)
    run = open_run(tmp_path / "run").id
    with PosixStore(tmp_path / "run", "test") as store:
        claims = Claims(run, this_process("w"), lease_s=60, new_nonce=new_nonce)
        worker = Worker(run, "here-1-w-def", claims, Pace(1.0, 0.1, attempts=3))
        yield Place(store, run, worker, Workbench(store, StopRequest(())))


ERROR = AttemptFailed(Failure.ERROR, "ValueError: always")
LOST = AttemptFailed(Failure.INFRA, "killed")


def test_a_job_that_is_done_is_not_done_again(place: Place) -> None:
    """A listing may miss its result; the look after the claim does not."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    place.report(Result(0, "ok", 0.5, {}, "g0-0"))
    place.world.blind = True

    assert place.next_attempt() is None


def test_only_failures_of_the_job_count_against_it(place: Place) -> None:
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


def test_a_machine_whose_jobs_do_well_elsewhere_takes_no_more(place: Place) -> None:
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


def test_a_machine_that_loses_three_trainings_in_a_row_takes_no_more(place: Place) -> None:
    """Whatever it is, the jobs are better off elsewhere."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:3]))

    assert [place.attend(LOST) for _ in range(3)] == [None, None, WorkerEnding.QUARANTINED]


def test_a_worker_whose_task_does_not_fit_ends(place: Place) -> None:
    """Every other job would end the same way; neither its job nor its machine is to blame."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))

    ending = place.attend(AttemptFailed(Failure.TASK, "the task has another search space"))

    assert ending is WorkerEnding.TASK_UNFIT
    assert place.ends() == ["task"] and not Failure.TASK.counted


def test_a_training_is_seen_to_live(place: Place) -> None:
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


def test_a_training_whose_result_is_there_is_ended(place: Place) -> None:
    """Another worker, which took this one for dead, was quicker."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    attempt = place.next_attempt()
    assert attempt is not None
    place.report(Result(0, "ok", 0.5, {}, "g0-0"))
    place.world.event, place.world.polls = LOST, 100

    assert drive(place.worker.attend(attempt), place.world.execute) is None
    assert place.ends() == ["released"]
    assert place.world.polls < 0 < place.world.now_s < 10


def test_a_damaged_input_is_put_aside(place: Place) -> None:
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
    place: Place, errors: int
) -> None:
    """And for as long as the disk refuses, both are tried again."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    (place.store.root / ".tmp-trained").write_bytes(b"weights")
    place.attend(Trained(Result(0, "ok", 0.5, {}, "g0-0"), ".tmp-trained", {}))
    place.world.errors, place.world.done = errors, []
    place.publish_last()

    tried = [op.name for op in place.world.done if isinstance(op, Put | PutBlob)]
    checkpoint, result = paths.checkpoint(0, "g0-0"), paths.result(0, 0)
    assert tried == [checkpoint] * (errors + 1) + [result]
    assert (place.store.root / checkpoint).read_bytes() == b"weights"
    assert place.store.published(result)


def test_a_result_is_tried_again_while_the_disk_refuses(place: Place) -> None:
    """An I/O error is not a lost race: nobody else has this result."""
    place.publish(Manifest(0, "origin", 0, jobs(0)[:1]))
    place.attend(Trained(Result(0, "diverged", None, {}, None), None, {}))
    place.world.errors = 3
    place.publish_last()

    assert place.store.published(paths.result(0, 0))


def test_a_manifest_is_durable_before_anything_rests_on_it(place: Place) -> None:
    """Its directory is synced before the first claim, and again until the disk does so."""
    place.publish(Manifest(0, "origin", 0, jobs(0)))
    place.world.errors = 2
    assert place.next_attempt() is not None

    order = [op for op in place.world.done if isinstance(op, Put | Sync)]
    assert order[:-1] == [Sync(paths.generation(0))] * 3
    assert isinstance(order[-1], Put)
