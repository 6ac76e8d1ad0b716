"""What a worker does before it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pbtnas
from pbtnas.config import load, to_json
from pbtnas.engine import worker
from pbtnas.engine.other_versions import warn_of_other_versions
from pbtnas.engine.run_setup import search_of, start_run
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.supervisor import FINAL_CODES
from pbtnas.engine.worker import TaskDoesNotFit, WorkerDriver, wait_for
from pbtnas.errors import ExitCode
from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Poll, Start, Trained
from pbtnas.protocol.generations import first_manifest
from pbtnas.protocol.operations import MakeGeneration
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import Heartbeat, at_disk
from pbtnas.records.schema import Job, Result
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import create, open_run
from pbtnas.store.study_directory import Study, create_study, is_study
from pbtnas.study.worker import work_on_study
from pbtnas.tasks.loading import load_task
from tests.system.site import TASK, Site, other_task


@pytest.mark.parametrize(("version", "warnings"), [(pbtnas.__version__, 0), ("0.0.1", 1)])
def test_another_version_than_the_runs_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str, warnings: int
) -> None:
    """One line with both versions; the same version is not worth a word."""
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": version}

    warn_of_other_versions(create(tmp_path / "run", {}, about=about))

    assert [record.levelname for record in caplog.records] == ["WARNING"] * warnings
    if warnings:
        assert f"pbtnas 0.0.1 ({pbtnas.__version__} here)" in caplog.text


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


@pytest.mark.parametrize("silent", [True, False])
def test_only_a_worker_without_a_coordinator_beside_it_says_that_it_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, silent: bool
) -> None:
    """Who starts a run is not told to wait ten minutes for what is refused, or begins, at once."""
    caplog.set_level("INFO", "pbtnas")

    class Asked(StopRequest):
        def wait(self, *_: Any, **__: Any) -> bool:
            self.asked = True
            return True

    assert wait_for(tmp_path / "none", Asked(()), patience_s=600.0, silent=silent) is None
    assert ("waiting up to 600 s" in caplog.text) is not silent


class NoTraining:
    """Stands for a training process that is killed at whatever it is given."""

    waiting = hindered = ""
    unread = True

    def start(self, attempt: Attempt, root: Path) -> None:
        job = attempt.job
        directory = root / paths.attempt(job.generation, job.member, attempt.number)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f".tmp-{attempt.number}").write_bytes(b"a snapshot, nearly")

    def descriptor(self) -> None:
        return None

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


@pytest.mark.parametrize(
    ("result", "meta", "words"),
    [
        (Result(3, "ok", 0.5, {}, "d"), {"wall_s": 2.25}, "w: g0000 m03: score 0.5, 2.2 s"),
        (
            Result(3, "diverged", None, {}, None),
            {"diverged": "the score is nan"},
            "w: g0000 m03: diverged: the score is nan",
        ),
    ],
)
def test_every_score_and_cause_is_in_the_log_as_it_comes(
    result: Result,
    meta: dict[str, Any],
    words: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Who watches a run sees what its members are worth, not just that they began."""
    (tmp_path / paths.WORKERS).mkdir()
    training: Any = NoTraining()
    training.news = lambda: Trained(result, None, meta)
    job = Job(0, 3, (0,), (), seed=1, epochs=1, threads=1)
    with PosixStore(tmp_path, "w") as store, caplog.at_level("INFO"):
        driver = WorkerDriver(store, StopRequest(()), training, "w", 1.0)
        driver.execute(Start(Attempt(job, paths.job_slot(0, 3), 1)))
        driver.execute(Poll(0.0))

    assert words in caplog.messages


@pytest.fixture
def with_jobs(site: Site) -> Path:
    """A run that has jobs, and nobody who works on them."""
    config = load(site.config)
    task = load_task(config.task.name, config.task.options, task_file=TASK)
    run = start_run(site.run_dir, config, task.space)
    with PosixStore(site.run_dir, "test") as store:
        store.execute(MakeGeneration(0))
        manifest = first_manifest(search_of(config, task.space, run.config)).to_json()
        record = Record("manifest", run.id, manifest, {}, "nonce")
        store.put(paths.manifest(0), encode(record, paths.manifest(0)))
    return site.run_dir


def test_a_worker_whose_task_does_not_fit_claims_nothing(with_jobs: Path, tmp_path: Path) -> None:
    """It is told at once, as a mistake of its command line; the run has no trace of a failure."""
    with pytest.raises(TaskDoesNotFit, match="has another search space than the one") as raised:
        worker.work(
            with_jobs,
            open_run(with_jobs),
            stop=StopRequest(()),
            device="cpu",
            scratch=tmp_path / "scratch",
            task_file=other_task(tmp_path),
        )

    assert raised.value.exit_code == ExitCode.USAGE and raised.value.exit_code in FINAL_CODES
    assert list((with_jobs / paths.claims(0)).iterdir()) == []


def test_so_does_the_worker_of_a_study(site: Site, tmp_path: Path) -> None:
    """Without the file of its task, for example."""
    planned = {"name": "a", "seed": 1, "config": to_json(load(site.config))}
    study = create_study(tmp_path / "study", [planned], pbtnas="1")
    space = load_task("FaultyTask", {}, task_file=TASK).space
    start_run(study.runs[0].root, load(site.config), space)

    with pytest.raises(TaskDoesNotFit, match="unknown task 'FaultyTask'.*needs --task FILE"):
        work_on_study(
            study,
            stop=StopRequest(()),
            device="cpu",
            scratch=tmp_path / "scratch",
            task_file=None,
            reuse=True,
        )
