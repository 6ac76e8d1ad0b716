"""What a run of a study takes over from another, and what it must not."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints.digests import hasher
from pbtnas.engine.driver import Driver, drive
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.addressed import InRun
from pbtnas.protocol.attempts import Attempt, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import MakeGeneration
from pbtnas.protocol.reuse import Peer, ReadKind, Reuse, TakeCheckpoint
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Job, Manifest, Outcome, Result
from pbtnas.records.task_code import SourceFile, TaskCode
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.run_directory import Run, create, open_run
from pbtnas.study.reuse import kind_of, take_checkpoint

JOB = Job(0, 3, (1, 0), (), seed=99, epochs=2, threads=1)
WEIGHTS = headers.encode(headers.lay_out({"live/w": ("U8", (7,))}), {}) + b"network"
META = {"device": "cpu", "torch": "2.0", "worker": "w9", "train_s": 4.0}


@dataclass
class Made:
    """A run directory made by hand, with one job."""

    root: Path
    task: Mapping[str, Any] = field(default_factory=lambda: {"name": "digits"})
    job: Job = JOB
    product: bytes = b"statistics"
    options: Mapping[str, Any] | None = None
    code: TaskCode | None = None

    def __post_init__(self) -> None:
        about = {"hash": "xxh3-128", "space": "s", "seed": 1, "task": "t", "created": ""}
        about |= {"pbtnas": "0"}
        create(self.root, {"task": self.task}, about=about, options=self.options, code=self.code)
        self.store = PosixStore(self.root, "test")
        self.store.execute(MakeGeneration(0))
        Products(self.store, self.root).publish("features", self.product)
        manifest = Manifest(0, "origin", 0, (self.job,))
        self._put(paths.manifest(0), "manifest", manifest.to_json())

    @property
    def run(self) -> Run:
        return open_run(self.root)

    def claims(self) -> Claims:
        return Claims(self.run.id, this_process("w"), lease_s=60, new_nonce=new_nonce)

    def finish(self, outcome: Outcome = "ok", meta: Mapping[str, Any] = META) -> Path:
        """Publish the job's result; returns where its checkpoint lies."""
        digest = hasher("xxh3-128")
        digest.update(WEIGHTS)
        path = self.root / paths.checkpoint(0, digest.hexdigest())
        path.write_bytes(WEIGHTS)
        score, checkpoint = (1.5, digest.hexdigest()) if outcome == "ok" else (None, None)
        result = Result(3, outcome, score, {}, checkpoint)
        self._put(paths.result(0, 3), "result", result.to_json(), meta)
        return path

    def _put(
        self, name: str, kind: str, core: Mapping[str, Any], meta: Mapping[str, Any] | None = None
    ) -> None:
        record = Record(kind, self.run.id, core, meta or {}, new_nonce())
        self.store.put(name, encode(record, name))


@pytest.fixture
def stop() -> StopRequest:
    return StopRequest(signals=())


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path / "mine")
    yield made
    made.store.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Made]:
    made = Made(tmp_path / "other")
    yield made
    made.store.close()


@dataclass
class Here:
    """A worker's view of some runs: what the first of them takes over from the others."""

    mine: Made
    others: tuple[Made, ...]
    stop: StopRequest
    device: str

    def __post_init__(self) -> None:
        self.runs = {made.root.name: made for made in (self.mine, *self.others)}
        peers = [Peer(label, made.run.id, made.claims()) for label, made in self.runs.items()]
        self.reuse = Reuse(peers[0], lambda: peers, self.device)

    def find(self, attempt: Attempt) -> Trained | None:
        return drive(self.reuse.find(attempt), self.execute)

    def should_wait(self, job: Job) -> bool:
        return drive(self.reuse.should_wait(job), self.execute)

    def execute(self, operation: Any) -> Any:
        """As the driver of a study's worker does."""
        assert isinstance(operation, InRun)
        made = self.runs[operation.run]
        match operation.operation:
            case ReadKind():
                return kind_of(made.run, made.store)
            case TakeCheckpoint(source, job, checkpoint):
                return take_checkpoint(
                    self.runs[source].root,
                    made.root,
                    job,
                    checkpoint,
                    algorithm=made.run.hash,
                    writer="w1",
                )
            case inner:
                return Driver(made.store, self.stop).execute(inner)


def reuse(mine: Made, *others: Made, stop: StopRequest, device: str = "cpu") -> Here:
    return Here(mine, others, stop, device)


def attempt(job: Job = JOB) -> Attempt:
    return Attempt(job, paths.job_slot(0, 3), 1)


def test_an_equal_job_is_taken_over_with_its_checkpoint(
    mine: Made, other: Made, stop: StopRequest
) -> None:
    """The result is the other's, the checkpoint lies in a private file of ours, and the meta says
    where both are from."""
    other.finish()
    found = reuse(mine, other, stop=stop).find(attempt())

    assert isinstance(found, Trained) and found.file is not None
    assert (mine.root / found.file).read_bytes() == WEIGHTS
    assert not found.file.endswith(".tmp-w1-m03"), "training opens that, and may write to it"
    assert found.result.score == 1.5
    assert found.meta == {"device": "cpu", "torch": "2.0", "reused_from": "other"}


def test_what_was_taken_over_names_who_trained_it(
    mine: Made, other: Made, stop: StopRequest
) -> None:
    """From hand to hand, the run that did the work stays known."""
    other.finish(meta={**META, "reused_from": "first"})
    found = reuse(mine, other, stop=stop).find(attempt())

    assert found is not None and found.meta["reused_from"] == "first"


@pytest.mark.parametrize("links", [True, False], ids=["linked", "copied"])
@pytest.mark.parametrize("spoil", ["gone", "damaged", "flipped"])
def test_a_checkpoint_that_is_not_as_it_should_be_is_not_taken(
    mine: Made,
    other: Made,
    stop: StopRequest,
    spoil: str,
    links: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Collected as garbage, damaged, or with one flipped bit: the job is trained, and nothing is
    left behind, whether the file would be linked or copied."""
    checkpoint = other.finish()
    if spoil == "gone":
        checkpoint.unlink()
    else:
        flipped = WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1])
        checkpoint.write_bytes(b"something else" if spoil == "damaged" else flipped)
    if not links:
        monkeypatch.setattr(os, "link", _no_hard_links)
    found = reuse(mine, other, stop=stop).find(attempt())

    assert found is None
    assert not list(mine.root.rglob(".tmp-*"))


def _no_hard_links(*names: object, **options: object) -> None:
    raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))


def test_a_peers_checkpoint_is_never_written_to(
    mine: Made, other: Made, stop: StopRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When reading the linked file fails, the job is trained, and no link is left that training
    could open for writing: it would be the peer's published file."""
    checkpoint = other.finish()

    def fail(path: Path, algorithm: str) -> None:
        raise OSError("I/O error")

    monkeypatch.setattr("pbtnas.study.reuse.OnePass", fail)
    found = reuse(mine, other, stop=stop).find(attempt())

    assert found is None
    assert checkpoint.stat().st_nlink == 1


def test_the_next_best_copy_is_taken(
    mine: Made, other: Made, tmp_path: Path, stop: StopRequest
) -> None:
    """One run that lost its checkpoint does not hide another that has it."""
    third = Made(tmp_path / "third")
    other.finish().unlink()
    third.finish()
    found = reuse(mine, other, third, stop=stop).find(attempt())
    third.store.close()

    assert found is not None and found.meta["reused_from"] == "third"


@pytest.mark.parametrize(
    "changed",
    [
        {"task": {"name": "digits", "images": 500}},
        {"product": b"other statistics"},
        {"job": replace(JOB, epochs=3)},
        {"job": replace(JOB, architecture=(1, 1))},
        {"job": replace(JOB, seed=98)},
        {"job": replace(JOB, inputs=("d",))},
        {"options": {"side": 32}},
        {"code": TaskCode("own.py", {"own.py": SourceFile("0" * 64, "")})},
    ],
    ids=str,
)
def test_another_job_or_task_is_never_mistaken_for_this_one(
    mine: Made, tmp_path: Path, stop: StopRequest, changed: dict[str, Any]
) -> None:
    """Everything that decides the bits of a result must be equal."""
    other = Made(tmp_path / "other", **changed)
    other.finish()
    found = reuse(mine, other, stop=stop).find(attempt())
    other.store.close()

    assert found is None


def test_another_kind_of_device_gives_other_bits(
    mine: Made, other: Made, stop: StopRequest
) -> None:
    """A GPU takes nothing over from a CPU, nor from a worker that did not say what it has."""
    other.finish()

    assert reuse(mine, other, stop=stop, device="cuda:0").find(attempt()) is None


def test_a_diverged_job_is_taken_over_and_a_failed_one_tried_again(
    mine: Made, other: Made, tmp_path: Path, stop: StopRequest
) -> None:
    """Divergence is a function of the job; a failure may be the fault of a machine."""
    third = Made(tmp_path / "third")
    other.finish("failed")
    failed = reuse(mine, other, stop=stop).find(attempt())
    third.finish("diverged")
    diverged = reuse(mine, other, third, stop=stop).find(attempt())
    third.store.close()

    assert failed is None
    assert diverged is not None
    assert (diverged.result.outcome, diverged.file) == ("diverged", None)


def test_a_repair_is_computed(mine: Made, other: Made, stop: StopRequest) -> None:
    """What was lost here may be the very file that is shared with the other run."""
    other.finish()

    assert reuse(mine, other, stop=stop).find(replace(attempt(), repair=True)) is None


def test_a_job_waits_while_its_equal_is_in_work(mine: Made, other: Made, stop: StopRequest) -> None:
    """Only from the claim to the result, and only while somebody holds the claim."""
    slot = paths.job_slot(0, 3)
    execute = Driver(other.store, stop).execute
    claims = other.claims()
    here = reuse(mine, other, stop=stop)
    seen = [here.should_wait(JOB)]
    number = drive(claims.take(slot), execute)
    assert number is not None
    seen.append(here.should_wait(JOB))
    drive(claims.end(slot, number, {"class": "released"}), execute)
    seen.append(here.should_wait(JOB))
    drive(claims.take(slot), execute)
    other.finish()
    seen.append(here.should_wait(JOB))

    assert seen == [False, True, False, False]
