"""What a worker does before it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pbtnas
from pbtnas.engine import worker
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.worker import WorkerDriver, wait_for, warn_of_other_version
from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Poll, Start
from pbtnas.records import paths
from pbtnas.records.heartbeat import Heartbeat, at_disk
from pbtnas.records.schema import Job
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import create
from pbtnas.store.study_directory import Study, create_study, is_study


@pytest.mark.parametrize(("version", "warnings"), [(pbtnas.__version__, 0), ("0.0.1", 1)])
def test_another_version_than_the_runs_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str, warnings: int
) -> None:
    """One line with both versions; the same version is not worth a word."""
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": version}

    warn_of_other_version(create(tmp_path / "run", {}, about=about))

    assert [record.levelname for record in caplog.records] == ["WARNING"] * warnings
    if warnings:
        assert f"pbtnas 0.0.1, this is {pbtnas.__version__}" in caplog.text


def test_a_study_that_is_made_while_a_worker_looks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether it is a study and the look for a run, it becomes one."""
    made: list[Study] = []

    def before_it_is_made(root: Path) -> bool:
        if made:
            return is_study(root)
        made.append(create_study(root, [], pbtnas="1"))
        return False

    monkeypatch.setattr(worker, "is_study", before_it_is_made)

    assert wait_for(tmp_path / "study", StopRequest(()), patience_s=60.0) == made[0]


class NoTraining:
    """Stands for a training process that is killed at whatever it is given."""

    waiting = hindered = ""

    def start(self, attempt: Attempt, root: Path) -> None:
        job = attempt.job
        directory = root / paths.attempt(job.generation, job.member, attempt.number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f".tmp-{attempt.number}").write_bytes(b"a snapshot, nearly")

    def news(self) -> AttemptFailed:
        return AttemptFailed(Failure.INFRA, "killed")


@pytest.mark.parametrize("worker_dies", [False, True])
def test_a_crash_loop_does_not_fill_the_disk(tmp_path: Path, worker_dies: bool) -> None:
    """Killed in the middle of each snapshot, alone or with its worker, a training process leaves
    one unfinished file at most."""
    (tmp_path / paths.WORKERS).mkdir()
    job = Job(0, 3, (0,), (), seed=1, epochs=1, threads=1)
    for number in range(1, 6):
        with PosixStore(tmp_path, f"w{number}") as store:
            driver = worker.WorkerDriver(store, StopRequest(()), NoTraining(), f"w{number}", 1.0)  # type: ignore[arg-type]
            driver.execute(Start(Attempt(job, paths.job_slot(0, 3), number)))
            if not worker_dies:
                driver.execute(Poll(0.0))

    left = [path.name for path in tmp_path.rglob(".tmp-*")]
    assert left == ([".tmp-5"] if worker_dies else [])


def test_a_worker_shows_that_its_training_waits_for_the_disk(tmp_path: Path) -> None:
    """In its sign of life, which `status` reads; of a full disk the trouble itself is shown."""
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": pbtnas.__version__}
    create(tmp_path / "run", {}, about=about)
    training: Any = SimpleNamespace(hindered=at_disk("writing the checkpoint"), waiting="")
    shown = []
    with PosixStore(tmp_path / "run", "w") as store:
        for trouble in ("", "/shared: No space left on device"):
            driver = WorkerDriver(store, StopRequest(()), training, "w", beat_s=1.0)
            driver.report(trouble)
            driver.sign_of_life()
            beat = Heartbeat.decode((store.root / paths.worker("w")).read_bytes())
            assert beat is not None
            shown.append(beat.phase)

    assert shown == [
        "waiting for the disk: writing the checkpoint",
        "waiting: /shared: No space left on device",
    ]
