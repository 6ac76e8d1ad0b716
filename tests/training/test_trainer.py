"""What a training process makes of a file system that fails while it reads."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from pbtnas.config import load
from pbtnas.determinism import as_in_the_search
from pbtnas.engine.run_setup import start_run
from pbtnas.records.schema import Job
from pbtnas.tasks.loading import load_task
from pbtnas.training import trainer as training
from pbtnas.training.channel import Channel
from pbtnas.training.trainer import Setting, Trainer
from tests.system.site import TASK, Site

JOB = Job(1, 0, (0, 0, 0), ("a" * 32,), seed=1, epochs=2, threads=1)


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ESTALE, "input"),
        (errno.ETIMEDOUT, "infra"),
        (errno.ENOTCONN, "infra"),
        (errno.EIO, "infra"),
        (errno.EINVAL, "error"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_no_fault_of_the_job(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int, failure: str
) -> None:
    """Stale, it is as good as missing; a server that does not answer is the machine's trouble."""

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))  # as `readinto` does, without the name

    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    monkeypatch.setattr(training, "read_verified", fail)
    ours, theirs = socket.socketpair()
    setting = Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory))

    with ours, theirs, as_in_the_search(threads=1):
        told = Trainer(setting, Channel(theirs)).carry_out(Path(site.run_dir), JOB, attempt=1)

    assert told["failure"] == failure, told
    assert os.strerror(number) in told["text"]
