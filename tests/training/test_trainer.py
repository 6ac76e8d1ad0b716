"""What a training process makes of a file system that fails while it reads."""

from __future__ import annotations

import errno
import json
import os
import socket
from dataclasses import replace
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch

from pbtnas.config import load
from pbtnas.data.images import DataMissing, DataTrouble
from pbtnas.determinism import as_in_the_search
from pbtnas.engine import run_setup
from pbtnas.engine.run_setup import start_run
from pbtnas.errors import MachineTrouble, PbtnasError
from pbtnas.processor import Processor
from pbtnas.records import paths
from pbtnas.records.schema import Job
from pbtnas.state import State
from pbtnas.store import task_code
from pbtnas.store.run_directory import open_run
from pbtnas.store.task_code import OtherCode, check_code
from pbtnas.tasks.base import Task, TaskError
from pbtnas.tasks.checking.rehearsal import RehearsalProducts
from pbtnas.tasks.code import code_of
from pbtnas.tasks.gan import GanTask
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.preparing import prepare
from pbtnas.training import snapshots, trainer
from pbtnas.training.channel import Channel
from pbtnas.training.trainer import Setting, Trainer, cannot_begin
from tests.system.site import TASK, Site

JOB = Job(1, 0, (0, 0, 0), ("a" * 32,), seed=1, epochs=2, threads=1)


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ESTALE, "input"),
        (errno.ETIMEDOUT, "infra"),
        (errno.ENOTCONN, "infra"),
        (errno.EIO, "input"),
        (errno.EINVAL, "error"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_no_fault_of_the_job(
    site: Site, monkeypatch: pytest.MonkeyPatch, number: int, failure: str
) -> None:
    """Stale, it is as good as missing; on a bad sector, as good as damaged; a server that does not
    answer is the machine's trouble."""
    kept = site.run_dir / paths.checkpoint(0, JOB.inputs[0])
    preadv = os.preadv

    def fail(fd: int, *more: Any) -> int:
        if os.path.samestat(os.fstat(fd), kept.stat()):
            raise OSError(number, os.strerror(number))
        return preadv(fd, *more)

    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"whatever")
    monkeypatch.setattr(os, "preadv", fail)
    ours, theirs = socket.socketpair()
    setting = Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory))

    with ours, theirs, as_in_the_search(threads=1):
        told = Trainer(setting, Channel(theirs)).carry_out(Path(site.run_dir), JOB, attempt=1)

    assert told["failure"] == failure, told
    assert os.strerror(number) in told["text"]
    assert told.get("damaged") == (JOB.inputs[0] if number == errno.EIO else None)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (URLError("Name or service not known"), "unable"),
        (ConnectionResetError("Connection reset by peer"), "unable"),
        (IncompleteRead(b""), "unable"),
        (MachineTrouble("the mirror is down"), "unable"),
        (DataTrouble("/data needs 154 MB free but has 3 MB"), "unable"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "labels.csv"), "failure"),
        (KeyError("labels"), "failure"),
        (TaskError("set task.path"), "failure"),
        (DataMissing("get it with `pbtnas data get`"), "failure"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_trouble_of_the_machine_while_preparing_is_no_misfit(
    tmp_path: Path, error: Exception, message: str
) -> None:
    """A failed download or a full disk may be over soon and is tried again, as other failures of
    the machine; what the user has to mend ends the worker."""

    class Own(GanTask):
        def load_images(self) -> Any:
            raise error

    with pytest.raises(PbtnasError) as caught:
        prepare(Own(), RehearsalProducts(tmp_path), threads=1)

    told = cannot_begin(caught.value)
    assert list(told) == ([message] if message == "unable" else ["failure", "text"])
    assert told.get("failure") == (None if message == "unable" else "task")
    assert str(error) in str(told)


def test_what_a_killed_predecessor_was_writing_is_in_nobodys_way(site: Site) -> None:
    """A training process that was killed while it published a product is simply started again."""
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    for number in range(3):
        (site.run_dir / paths.PRODUCTS / f".tmp-w1-training-{number}").write_bytes(b"half")
    ours, theirs = socket.socketpair()

    with ours, theirs, as_in_the_search(threads=1):
        Trainer(Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory)), Channel(theirs))

    assert (site.run_dir / paths.product("points")).exists()


def test_a_job_whose_snapshot_was_tidied_away_is_handed_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else does it by now: that is no failure of the job, and none of this machine."""
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    for name in ("", *(f"/{name}" for name in paths.GENERATION_DIRECTORIES)):
        (site.run_dir / (paths.generation(0) + name)).mkdir()

    def tidied(*_: Any, **__: Any) -> None:
        raise snapshots.Superseded

    monkeypatch.setattr(snapshots, "save", tidied)
    monkeypatch.setenv("PBTNAS_TEST_STEP_S", "0.15")  # longer than between two looks at the worker
    job = replace(JOB, generation=0, inputs=())
    ours, theirs = socket.socketpair()
    with ours, theirs, as_in_the_search(threads=1):
        trainer = Trainer(
            Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory)), Channel(theirs)
        )
        ours.sendall(b'{"halt": true}\n')
        told = trainer.carry_out(Path(site.run_dir), job, attempt=1)

    assert told == {"interrupted": True}


def test_other_instructions_than_the_runs_are_told_to_the_worker(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process that computes, before its first job."""
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    monkeypatch.setattr(run_setup, "this_processor", lambda: Processor("Other CPU", "AVX1024"))
    start_run(site.run_dir, config, task.space)
    ours, theirs = socket.socketpair()

    with ours, theirs, as_in_the_search(threads=1):
        Trainer(Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory)), Channel(theirs))
        said = [json.loads(line) for line in ours.recv(1 << 16).splitlines()]

    (sentence,) = (message["remark"] for message in said if "remark" in message)
    assert sentence.startswith("the run was started with AVX1024 instructions (Other CPU), here ")


def test_other_code_than_that_of_the_run_is_not_trained_with(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is refused before its task prepares anything; one that has begun, when other code
    was accepted meanwhile; told to accept what it has, it goes on."""
    file = tmp_path / "edited.py"
    file.write_text(Path(TASK.partition(":")[0]).read_text())
    named = f"{file}:FaultyTask"
    config = load(site.config)

    def loaded() -> Task:
        return load_task(config.task.name, config.task.options, task_file=named)

    def trainer(accept: bool) -> Trainer:
        place, directory = str(site.run_dir), str(site.directory)
        return Trainer(Setting(place, "w1", named, "cpu", directory, accept), Channel(theirs))

    start_run(site.run_dir, config, loaded().space, code=code_of(loaded()))
    file.write_text(f"{file.read_text()}\nEDITED = 1\n")
    ours, theirs = socket.socketpair()
    with ours, theirs, as_in_the_search(threads=1):
        with pytest.raises(OtherCode, match="EDITED"):
            trainer(accept=False)
        assert not (site.run_dir / paths.product("points")).exists()
        begun = trainer(accept=True)
        assert code_of(loaded()) == open_run(site.run_dir).codes.in_force
        begun._for_a_job(site.run_dir)
        file.write_text(f"{file.read_text()}\nEDITED = 2\n")
        check_code(site.run_dir, open_run(site.run_dir), code_of(loaded()), accept=True)
        monkeypatch.setattr(task_code, "LOOK_S", 0.0)  # a second later
        told = begun.carry_out(Path(site.run_dir), JOB, attempt=1)

    assert told["failure"] == "task"
    assert "-EDITED = 2" in told["text"]
    assert "other code was accepted since this process began; start it again" in told["text"]


def test_a_state_that_does_not_fit_accepted_code_ends_the_worker_and_not_the_members(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All members would fail and end the run for good; so it goes on when the code is put back."""
    file = tmp_path / "edited.py"
    file.write_text(Path(TASK.partition(":")[0]).read_text())
    named = f"{file}:FaultyTask"
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=named)
    start_run(site.run_dir, config, task.space, code=code_of(task))
    for name in ("", *(f"/{name}" for name in paths.GENERATION_DIRECTORIES)):
        (site.run_dir / (paths.generation(0) + name)).mkdir()
    monkeypatch.setattr(
        Trainer, "_begin", lambda self, job, found, trainee, context: self._load(trainee, State({}))
    )
    setting = Setting(str(site.run_dir), "w1", named, "cpu", str(site.directory), True)

    told = []
    for edit in ("", "\nEDITED = 1\n"):
        file.write_text(file.read_text() + edit)
        ours, theirs = socket.socketpair()
        with ours, theirs, as_in_the_search(threads=1):
            trainer = Trainer(setting, Channel(theirs))
            job = replace(JOB, generation=0, inputs=())
            told.append(trainer.carry_out(Path(site.run_dir), job, attempt=1))

    assert [message["failure"] for message in told] == ["error", "task"]
    assert "does not fit the code that was accepted later: ValueError" in told[1]["text"]
    assert "put the code back that made it, with --accept-code-change" in told[1]["text"]


@pytest.mark.parametrize(("crowded", "failure"), [(True, "infra"), (False, "oom")])
def test_memory_of_a_shared_gpu_is_no_fault_of_the_member(
    site: Site, monkeypatch: pytest.MonkeyPatch, crowded: bool, failure: str
) -> None:
    """What another process on the GPU holds is the machine's trouble, and counts against nobody."""
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    monkeypatch.setattr(trainer, "taken_by_others", lambda words, device: crowded)

    def out_of_memory(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Trainer, "_train", out_of_memory)
    job = replace(JOB, generation=0, inputs=())
    ours, theirs = socket.socketpair()
    setting = Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory))

    with ours, theirs, as_in_the_search(threads=1):
        told = Trainer(setting, Channel(theirs)).carry_out(Path(site.run_dir), job, attempt=1)

    assert told["failure"] == failure
    assert ("other processes hold memory" in told["text"]) is crowded
