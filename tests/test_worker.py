"""Which job a worker takes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pbtnas.attempts import Poll, Stopping, Trained
from pbtnas.drive import Executor, Stop, drive
from pbtnas.store import paths
from pbtnas.store.claims import Claims
from pbtnas.store.identity import this_process
from pbtnas.store.operations import MakeGeneration
from pbtnas.store.posix import PosixStore
from pbtnas.store.records import Record, encode
from pbtnas.store.run_directory import create, open_run, store_nonce
from pbtnas.store.schema import Job, Manifest, Result
from pbtnas.worker import Pace, Worker

MEMBERS = 8


class Training(Executor):
    """A training process that is done at once; a checkpoint's digest is its member's name."""

    member = -1

    def execute(self, operation: Any) -> Any:
        match operation:
            case Poll():
                made = f"g0-{self.member}"
                return Trained(Result(self.member, "ok", 0.0, {}, made), None, {})
            case Stopping():
                return False
        return super().execute(operation)


def publish(store: PosixStore, run: str, manifest: Manifest) -> None:
    store.execute(MakeGeneration(manifest.generation))
    record = Record("manifest", run, manifest.to_json(), {}, store_nonce())
    store.put(paths.manifest(manifest.generation), encode(record))


def jobs(generation: int) -> tuple[Job, ...]:
    return tuple(
        Job(generation, m, (0,), (f"g{generation - 1}-{m}",) * generation, m, 1, 1)
        for m in range(MEMBERS)
    )


def test_a_worker_prefers_the_members_it_has_trained(tmp_path: Path) -> None:
    """A member's replay buffer is on the machine that trained it: it goes on there if it can."""
    about = {"hash": "xxh3-128", "space": "s", "seed": 1, "task": "t", "created": "", "pbtnas": "0"}
    create(tmp_path / "run", {}, about=about)
    run = open_run(tmp_path / "run").id
    store = PosixStore(tmp_path / "run", "test")
    claims = Claims(run, this_process("w"), lease_s=60, new_nonce=store_nonce)
    worker = Worker(run, "w1", claims, Pace(1.0, 0.1, attempts=3))
    training = Training(store, Stop())
    publish(store, run, Manifest(0, "origin", 0, jobs(0)))
    trained = []
    for _ in range(3):
        attempt = drive(worker.next_attempt(), training.execute)
        assert attempt is not None
        training.member = attempt.job.member
        drive(worker.attend(attempt), training.execute)
        drive(worker.publish_last(), training.execute)
        trained.append(attempt.job.member)
    publish(store, run, Manifest(1, "selection", 0, jobs(1)))

    taken = [drive(worker.next_attempt(), training.execute) for _ in range(MEMBERS)]

    members = [attempt.job.member for attempt in taken if attempt is not None]
    assert set(members[:3]) == set(trained)
    assert sorted(members) == list(range(MEMBERS)), "it takes the others' too"
    store.close()
