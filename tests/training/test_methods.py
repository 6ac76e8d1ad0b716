"""Jobs of every method with shared weights in a training process that is stopped and replaced."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from pbtnas.config import load
from pbtnas.determinism import as_in_the_search
from pbtnas.engine.run_setup import start_run
from pbtnas.protocol.operations import MakeGeneration
from pbtnas.records import paths
from pbtnas.records.schema import Job
from pbtnas.store.posix import PosixStore
from pbtnas.supernet.methods import METHODS
from pbtnas.tasks.loading import load_task
from pbtnas.training import context
from pbtnas.training.channel import Channel
from pbtnas.training.trainer import Setting, Trainer
from tests.tasks.test_methods import TINY

LOOKS = 5
"""Looks at the worker after which it says "halt": in the second or third of four steps."""


class Halting(Channel):
    """A worker that says "halt" at a certain look, and nothing else."""

    looks = 0

    def waiting(self, longest_s: float = 0.0) -> bool:
        self.looks += 1
        return self.looks >= LOOKS


def carried_out(root: Path, job: Job, attempt: int, kind: type[Channel] = Channel) -> Any:
    """What a new training process says of an attempt at a job."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        trainer = Trainer(Setting(str(root), "w1", None, "cpu", str(root.parent)), kind(theirs))
        return trainer.carry_out(root, job, attempt)


@pytest.mark.parametrize("method", METHODS)
def test_a_stopped_job_of_a_method_has_the_result_of_a_whole_one(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Score, metrics and the checkpoint's digest, in the job that continues a checkpoint."""
    monkeypatch.setattr(context, "_TICK_S", 0)
    root = tmp_path / "run"
    options = TINY | {"method": method}
    file = tmp_path / "config.yaml"
    search = {"algorithm": "random-search", "population": 1, "generations": 2, "epochs": 1}
    file.write_text(json.dumps({"task": {"name": "supernet", **options}, "search": search}))
    run = start_run(root, load(file), load_task("supernet", options).space)
    store = PosixStore(root, "test", primitive=run.primitive)
    for generation in (0, 1):
        store.execute(MakeGeneration(generation))
    store.close()
    first = Job(0, 0, (0,), (), seed=7, epochs=1, threads=1)

    with as_in_the_search(threads=1):
        began = carried_out(root, first, 1)
        digest = began["result"]["checkpoint"]
        Path(root / began["file"]).rename(root / paths.checkpoint(0, digest))
        job = Job(1, 0, (0,), (digest,), seed=8, epochs=1, threads=1)
        whole = carried_out(root, job, 1)
        stopped = carried_out(root, job, 2, Halting)
        again = carried_out(root, job, 3)

    assert stopped == {"interrupted": True}
    assert again["result"] == whole["result"]
    assert whole["result"]["checkpoint"] != digest
