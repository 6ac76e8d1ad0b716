"""Recovering lost checkpoints: the same job once more, and only the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pbtnas.engine.driver import drive
from pbtnas.protocol.attempts import (
    Attempt,
    AttemptFailed,
    AttemptMonitor,
    Failure,
    Halt,
    Poll,
    Start,
    Trained,
)
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.controls import Controls
from pbtnas.protocol.operations import Dead, MakeGeneration, Now, Say, Sleep, Stopping
from pbtnas.protocol.recovery import CheckpointRecovery
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.schema import Job, Manifest, Result
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore

RUN, BEAT_S = "run0", 5.0
POLLS = 4  # of a training, before it is done


class Workshop:
    """A run of two generations with one member, whose checkpoints are both lost."""

    def __init__(self, root: Path) -> None:
        (root / "generations").mkdir()
        self.store = PosixStore(root, "me")
        self.claims = Claims(RUN, {"worker": "me"}, lease_s=60, new_nonce=new_nonce)
        monitor = AttemptMonitor("me", self.claims, BEAT_S, Controls(RUN))
        self.recovery = CheckpointRecovery(RUN, self.claims, monitor)
        self.bits = {0: "g0", 1: "g1"}  # what training again comes to
        self.started: list[int] = []  # generations
        self.said: list[str] = []
        self.now_s = 0.0
        self._attempt: Attempt | None = None
        self._polls = 0
        for generation, inputs in ((0, ()), (1, ("g0",))):
            self.store.execute(MakeGeneration(generation))
            job = Job(generation, 0, (0,), inputs, 1, 1, 1)
            self._put(paths.manifest(generation), "manifest", Manifest(generation, "", 0, (job,)))
            result = Result(0, "ok", 0.5, {}, f"g{generation}")
            self._put(paths.result(generation, 0), "result", result)

    def _put(self, name: str, kind: str, content: Any) -> None:
        self.store.put(name, encode(Record(kind, RUN, content.to_json(), {}, new_nonce())))

    def core(self, name: str, kind: str) -> Any:
        record = self.store.record(name, kind)
        assert record is not None
        return record.core

    def recover(self, generation: int) -> None:
        drive(self.recovery.generation(generation), self._execute)

    def checkpoints(self) -> Mapping[int, list[str]]:
        return {g: self.store.names(paths.checkpoints(g)) for g in (0, 1)}

    def _execute(self, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Stopping() | Dead():
                return False
            case Say(text):
                self.said.append(text)
                return None
            case Start(attempt):
                assert attempt.repair
                self.started.append(attempt.job.generation)
                self._attempt, self._polls = attempt, POLLS
                return None
            case Sleep(seconds):
                self.now_s += seconds
                return None
            case Poll(seconds):
                self.now_s += seconds
                self._polls -= 1
                return self._trained() if self._polls == 0 else None
            case Halt():
                raise AssertionError("a repair is not useless because its result is known")
        return self.store.execute(operation)

    def _trained(self) -> Trained | AttemptFailed:
        assert self._attempt is not None
        job = self._attempt.job
        for checkpoint in job.inputs:
            if not self.store.exists(paths.checkpoint(job.generation - 1, checkpoint)):
                return AttemptFailed(Failure.INPUT, f"{checkpoint} is missing")
        digest = self.bits[job.generation]
        (self.store.root / ".tmp-trained").write_text(digest)
        return Trained(Result(0, "ok", 0.5, {}, digest), ".tmp-trained", {})


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.store.close()


def test_a_lost_checkpoint_is_computed_again_and_its_own_inputs_first(workshop: Workshop) -> None:
    """Once each, though its result is there all the time; then nothing is left to do."""
    workshop.recover(1)
    assert workshop.started == [1, 0], "what it starts from is missing, and comes first"
    workshop.recover(1)
    workshop.recover(1)

    assert workshop.started == [1, 0, 1]
    assert workshop.checkpoints() == {0: ["g0.safetensors"], 1: ["g1.safetensors"]}


def test_other_bits_are_never_published(workshop: Workshop) -> None:
    """Where training is not deterministic, the checkpoint stays lost, and that is said: its name
    must not hold anything else."""
    workshop.bits[0] = "other"
    workshop.recover(0)

    assert workshop.checkpoints() == {0: [], 1: []}
    assert "computed again with other bits" in workshop.said[-1]


def test_a_checkpoint_that_somebody_computes_is_left_to_them(workshop: Workshop) -> None:
    """Idle workers all find the same loss, and one of them repairs it."""
    other = Claims(RUN, {"worker": "other"}, lease_s=60, new_nonce=new_nonce)
    assert drive(other.take(paths.repair_slot(0, 0)), workshop._execute) == 1
    workshop.recover(0)

    assert workshop.started == []


def test_what_comes_out_with_other_bits_is_tried_less_and_less_often(workshop: Workshop) -> None:
    """The run waits for its user, and does not train for nothing meanwhile."""
    workshop.bits[1] = workshop.bits[0] = "other"
    manifest = Manifest.from_json(workshop.core(paths.manifest(1), "manifest"))
    for waited_s in range(300):
        drive(workshop.recovery.while_waiting(float(waited_s), manifest), workshop._execute)

    assert 0 < len(workshop.started) < 30
