"""A worker's hold on its training process: warm, supervised, and never left behind."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pbtnas.config import load
from pbtnas.engine.run_setup import search_of, start_run
from pbtnas.engine.training_process import TrainingProcess
from pbtnas.protocol.attempts import (
    Attempt,
    AttemptFailed,
    Failure,
    Progress,
    Stopped,
    Trained,
)
from pbtnas.protocol.generations import first_manifest
from pbtnas.records import paths
from pbtnas.records.schema import Job, last_line
from pbtnas.tasks.loading import load_task
from tests.system.site import TASK, Site, other_task, wait_until

Make = Callable[..., TrainingProcess]


@pytest.fixture
def jobs(site: Site, monkeypatch: pytest.MonkeyPatch) -> tuple[Job, ...]:
    """The first jobs of a run that was made, but has no coordinator."""
    monkeypatch.setenv("PBTNAS_TEST_FAULTS", site.environment["PBTNAS_TEST_FAULTS"])
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    start_run(site.run_dir, config, task.space)
    for name in ("", *(f"/{name}" for name in paths.GENERATION_DIRECTORIES)):
        (site.run_dir / (paths.generation(0) + name)).mkdir()
    return first_manifest(search_of(config, task.space)).jobs


@pytest.fixture
def make(site: Site) -> Iterator[Make]:
    made: list[TrainingProcess] = []

    def make(**changed: Any) -> TrainingProcess:
        setting = {
            "root": str(site.run_dir),
            "writer": "w1",
            "task_file": changed.pop("task_file", TASK),
            "device": changed.pop("device", "cpu"),
            "scratch": str(site.directory),
        }
        log = changed.pop("log", site.directory / "training.log")
        limits = {"start_s": 100.0, "hang_s": 60.0, "grace_s": 30.0, **changed}
        made.append(TrainingProcess(setting, log, {"OMP_NUM_THREADS": "1"}, **limits))
        return made[-1]

    yield make
    for training in made:
        training.discard()


def an_attempt(job: Job, number: int = 1) -> Attempt:
    return Attempt(job, paths.job_slot(job.generation, job.member), number)


def end_of(training: TrainingProcess) -> Trained | AttemptFailed | Stopped:
    """Wait for what comes of a job."""

    def news() -> Trained | AttemptFailed | Stopped | None:
        event = training.news()
        return None if isinstance(event, Progress) else event

    found: Trained | AttemptFailed | Stopped = wait_until(news, "the end of a job")
    return found


def test_one_process_does_one_job_after_the_other_until_one_fails(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """It stays warm, gives the same bits for the same job, and is replaced, with all that it
    has started, after a failure.  What a task logs is in its log, with the time."""
    training = make(hang_s=2.0)
    site.plan(0, 2, "descendants")
    results, processes = [], []
    for job in (jobs[0], jobs[1], jobs[0]):
        training.start(an_attempt(job), site.run_dir)
        event = end_of(training)
        assert isinstance(event, Trained), event
        assert event.file is not None and (site.run_dir / event.file).exists()
        results.append(event.result)
        processes.append(site.training_processes())
    training.start(an_attempt(jobs[2]), site.run_dir)
    hung = end_of(training)

    assert results[0] == results[2] != results[1]
    assert len(processes[0]) == 1 and processes[0] == processes[1] == processes[2]
    assert isinstance(hung, AttemptFailed) and hung.failure is Failure.HANG
    assert hung.text.splitlines()[-1] == "no progress for 2 s"
    assert site.processes() == []
    said = (site.directory / "training.log").read_text().splitlines()
    assert [line for line in said if re.fullmatch(r"\d\d:\d\d:\d\d faulty: 960 bytes .*", line)]


def test_one_that_does_not_hand_back_in_time_is_ended(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """Asked to stop, a job that never ticks has its grace and no more."""
    training = make(grace_s=0.5)
    site.plan(0, 0, "hang")
    training.start(an_attempt(jobs[0]), site.run_dir)
    log = site.run_dir / paths.attempt(0, 0, 1) / "log.jsonl"
    wait_until(lambda: training.news() or log.exists(), "the job to begin")
    training.halt()

    assert isinstance(end_of(training), Stopped)
    assert site.training_processes() == []


def test_one_that_never_gets_ready_is_the_machines_fault(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """Too slow to import is told apart from a job that hangs; a log that cannot be written is
    no reason to fail."""
    training = make(start_s=0.05, log=site.directory / "missing" / "training.log")
    training.start(an_attempt(jobs[0]), site.run_dir)
    event = end_of(training)

    assert event == AttemptFailed(Failure.INFRA, "not ready to train after 0.05 s")


def test_one_that_cannot_load_its_task_says_why(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """The sentence reaches the worker, and counts neither against a job nor the machine."""
    training = make(task_file="missing.py:FaultyTask")
    training.start(an_attempt(replace(jobs[0], member=1)), site.run_dir)
    event = end_of(training)

    assert isinstance(event, AttemptFailed) and event.failure is Failure.TASK
    assert not event.failure.counted
    assert "--task missing.py:FaultyTask: there is no file" in event.text


def test_other_code_than_the_runs_does_not_train(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """A worker whose task file was changed since says so, instead of training another network."""
    other = other_task(site.directory)
    training = make(task_file=other)
    training.start(an_attempt(jobs[0]), site.run_dir)
    event = end_of(training)

    assert event == AttemptFailed(
        Failure.TASK,
        f"{site.run_dir}: the task {other} here has another search space than the one the run "
        "was started with; use the task as it was then, or start a new run",
    )


def test_a_device_that_does_not_compute_is_told_before_any_job(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """Without torch's CUDA, driver or that GPU, one line says so, and no member is blamed."""
    training = make(device="cuda:99")
    training.start(an_attempt(jobs[0]), site.run_dir)
    event = end_of(training)

    assert isinstance(event, AttemptFailed) and event.failure is Failure.INFRA
    assert event.text.startswith("cuda:99 cannot be used: torch says: ")
    assert len(event.text.splitlines()) == 1
    assert not (site.run_dir / paths.attempt(0, 0, 1)).exists()


def test_after_an_error_of_the_gpu_the_process_is_another(
    site: Site, jobs: tuple[Job, ...], make: Make
) -> None:
    """Its CUDA context is not to be trusted; and only what kernels can cause is the job's fault."""
    training = make()
    faults = {
        "assert on the GPU": (Failure.ERROR, "CUDA error: device-side assert triggered"),
        "ECC of the GPU": (Failure.INFRA, "CUDA error: uncorrectable ECC error encountered"),
    }
    site.plan(0, 0, *faults)
    for fault, (failure, words) in faults.items():
        training.start(an_attempt(jobs[0]), site.run_dir)
        event = end_of(training)

        assert isinstance(event, AttemptFailed) and event.failure is failure, (fault, event)
        assert last_line(event.text) == words and "Traceback" in event.text
        assert site.training_processes() == []


def test_a_remark_of_the_training_process_is_said_once(
    site: Site, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """By its worker, however often the process is started again."""
    process = make()
    for _ in range(2):
        assert process._understand({"remark": "the last bits may differ"}) is None

    assert caplog.messages == ["the last bits may differ"]


def test_a_message_is_received_by_one_call_and_asks_the_kernel_nothing_more(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has just spoken lives: of ten messages within a second, only the first has it looked
    up whether the process is there, and none is followed by a call that receives nothing."""
    training, received, judged = make(), [], []
    ours, theirs = socket.socketpair()

    class Counted:
        def recv(self, most: int) -> bytes:
            received.append(ours.recv(most))
            return received[-1]

        def close(self) -> None:
            ours.close()

    def judge() -> None:
        judged.append(training.unread)
        training._judged_s = time.monotonic()

    training._socket, training._busy = Counted(), True  # type: ignore[assignment]
    monkeypatch.setattr(training, "_judge", judge)
    for number in range(10):
        theirs.sendall(f'{{"disk": "{number}"}}\n'.encode())
        assert training.news() is None
    theirs.close()
    assert training.news() is None

    assert len(received) == 11 and received[-1] == b""
    assert len(judged) == 2, "at the first message, and at the end of the connection"


def test_discarding_what_has_ended_or_never_began_is_harmless(make: Make) -> None:
    """Twice, and before the first job."""
    training = make()
    training.discard()
    training.warm_up()
    assert training.news() is None
    training.discard()
    training.discard()
    assert training.descriptor() is None
