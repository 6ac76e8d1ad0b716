"""Each place that writes to a directory waits while it cannot be written, for the same errors."""

from __future__ import annotations

import errno
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pbtnas.config import load, to_json
from pbtnas.determinism import as_in_the_search
from pbtnas.engine import coordinator, evaluation, post_search, worker
from pbtnas.engine.coordinator import OpenCoordinator, open_coordinator
from pbtnas.engine.evaluator import Evaluator
from pbtnas.engine.run_setup import start_run
from pbtnas.engine.signals import StopRequest
from pbtnas.protocol.postsearch import GetReady
from pbtnas.protocol.study import OpenRun
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.records import paths
from pbtnas.records.schema import Job
from pbtnas.store import posix
from pbtnas.store.patience import FORBIDDEN, UNWRITABLE
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import NotARun, open_run
from pbtnas.store.study_directory import create_study
from pbtnas.study import conduct
from pbtnas.study import worker as study_worker
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.preparing import Prepared
from pbtnas.training import trainer
from pbtnas.training.channel import Channel
from pbtnas.training.context import JobContext
from tests.system.site import TASK, Site

_FAILING: dict[str, Any] = {}
_STORE = str(Path(posix.__file__))  # where such errors come from: a task's own count against it
exec(compile("def fail(error):\n    raise error\n", _STORE, "exec"), _FAILING)


class Flaky:
    """Stands before a call and fails a few times with an error before it lets it through."""

    def __init__(self, call: Callable[..., Any], number: int, times: int = 2) -> None:
        self.call = call
        self.number = number
        self.left = times

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if self.left:
            self.left -= 1
            _FAILING["fail"](OSError(self.number, os.strerror(self.number)))
        return self.call(*arguments, **options)


def faulty() -> Any:
    return load_task("FaultyTask", {}, task_file=TASK)


def training_writes(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """A training process that writes a checkpoint or a snapshot."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        context = JobContext(
            Job(0, 0, (0,), (), seed=1, epochs=1, threads=1),
            Channel(theirs),
            device="cpu",
            scratch=site.directory,
            directory=site.run_dir,
            snapshot=lambda done: None,
            snapshot_s=0.0,
        )
        flaky = Flaky(lambda: "digest", number)
        assert context.patiently(flaky, "writing the checkpoint") == "digest"
        told = ours.recv(1 << 16).decode()
    assert f'"waiting": "{site.run_dir}: {os.strerror(number)}"' in told
    assert told.startswith('{"disk": "writing the checkpoint"}\n')
    assert told.endswith('"waiting": ""}\n{"disk": ""}\n')
    return [flaky]


def evaluation_begins(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """`pbtnas evaluate` that prepares its task."""
    config, task = load(site.config), faulty()
    run = start_run(site.run_dir, config, task.space)
    flaky = Flaky(task.prepare, number)
    monkeypatch.setattr(task, "prepare", flaky)
    with PosixStore(site.run_dir, "e") as store:
        evaluator = Evaluator(
            store, StopRequest(()), run, config, task, "e", "cpu", site.directory / "scratch"
        )
        assert evaluator.execute(GetReady())
    return [flaky]


def coordinator_begins(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """A coordinator that makes its run, opens it and prepares the task."""
    task = faulty()
    ready = Prepared(task, {})
    steps = [
        Flaky(start_run, number),
        Flaky(PosixStore, number),
        Flaky(lambda store: ready, number),
    ]
    monkeypatch.setattr(coordinator, "start_run", steps[0])
    monkeypatch.setattr(coordinator, "open_store", steps[1])
    with open_coordinator(
        site.run_dir, load(site.config), task, steps[2], stop=StopRequest(())
    ) as opened:
        assert isinstance(opened, OpenCoordinator)
    return steps


def evaluation_opens(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """`pbtnas evaluate` that opens a run, which has not come to its end."""
    task = faulty()
    start_run(site.run_dir, load(site.config), task.space)
    flaky = Flaky(open_run, number)
    monkeypatch.setattr(post_search, "open_run", flaky)
    with pytest.raises(NotARun, match="not finished"):
        evaluation.evaluate(site.run_dir, task, device="cpu", scratch=site.directory)
    return [flaky]


def worker_begins(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """`pbtnas worker` that looks for a run and opens it."""
    run = start_run(site.run_dir, load(site.config), faulty().space)
    steps = [Flaky(worker.open_run, number), Flaky(PosixStore, number)]
    monkeypatch.setattr(worker, "open_run", steps[0])
    monkeypatch.setattr(worker, "open_store", steps[1])
    stop = StopRequest(())
    assert worker.wait_for(site.run_dir, stop, patience_s=0.0) == run

    def stopped(*_: Any) -> None:
        stop.asked = True

    monkeypatch.setattr(worker.TrainingProcess, "warm_up", stopped)
    ending = worker.work(
        site.run_dir, run, stop=stop, device="cpu", scratch=site.directory, task_file=TASK
    )
    assert ending is WorkerEnding.STOPPED
    return steps


def training_begins(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """A training process that gets ready for a run, and then for a job."""
    start_run(site.run_dir, load(site.config), faulty().space)
    steps = [Flaky(trainer.open_run, number), Flaky(trainer.check_products, number)]
    monkeypatch.setattr(trainer, "open_run", steps[0])
    monkeypatch.setattr(trainer, "check_products", steps[1])
    ours, theirs = socket.socketpair()
    with ours, theirs, as_in_the_search(threads=1):
        setting = trainer.Setting(str(site.run_dir), "w1", TASK, "cpu", str(site.directory))
        job = Job(1, 0, (0, 0, 0), ("a" * 32,), seed=1, epochs=2, threads=1)
        told = trainer.Trainer(setting, Channel(theirs)).carry_out(site.run_dir, job, attempt=1)
        assert told["failure"] == "input"  # there is none
        said = ours.recv(1 << 16).decode()
    assert f'"waiting": "{site.run_dir}: {os.strerror(number)}"' in said
    return steps


def study_begins(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """`pbtnas study` that finds out how its file system publishes."""
    study = create_study(site.run_dir, [], pbtnas="1")
    flaky = Flaky(conduct.best_primitive, number)
    monkeypatch.setattr(conduct, "best_primitive", flaky)
    conduct.conduct(study, _no_tasks(), [], {}, open_seeds=1, stop=StopRequest(()))
    return [flaky]


def study_ends(site: Site, number: int, monkeypatch: pytest.MonkeyPatch) -> list[Flaky]:
    """`pbtnas study` that records how its runs ended."""
    study = create_study(site.run_dir, [], pbtnas="1")
    flaky = Flaky(PosixStore.put, number)
    monkeypatch.setattr(
        PosixStore, "put", lambda *arguments, **options: flaky(*arguments, **options)
    )
    assert conduct.conduct(study, _no_tasks(), [], {}, open_seeds=1, stop=StopRequest(()))[1] == []
    assert study.ended() == {}
    return [flaky]


def _no_tasks() -> Any:
    return None


PLACES: Sequence[Callable[[Site, int, pytest.MonkeyPatch], list[Flaky]]] = (
    training_writes,
    evaluation_begins,
    coordinator_begins,
    study_ends,
)

BEGINNINGS = (evaluation_opens, worker_begins, training_begins, study_begins)


@pytest.mark.parametrize("number", UNWRITABLE, ids=os.strerror)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_directory_that_cannot_be_written_is_waited_for(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: Callable[[Site, int, pytest.MonkeyPatch], list[Flaky]],
    number: int,
) -> None:
    """Full, failing, stale or unreachable: the trouble is said, and the work goes on after it.

    Only a coordinator that begins where it has no permission is told so at once.
    """
    caplog.set_level(logging.WARNING)
    if place is coordinator_begins and number in FORBIDDEN:
        with pytest.raises(OSError, match=os.strerror(number)):
            place(site, number, monkeypatch)
        return

    assert not any(flaky.left for flaky in place(site, number, monkeypatch))
    if place is not training_writes:  # which tells its worker
        named = site.run_dir / paths.STUDY_ENDED if place is study_ends else site.run_dir
        assert f"waiting: {named}: {os.strerror(number)}" in caplog.text
        assert "writing works again" in caplog.text


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO], ids=os.strerror)
@pytest.mark.parametrize("place", BEGINNINGS, ids=lambda place: place.__name__)
def test_what_is_waited_for_later_is_waited_for_at_the_start(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: Callable[[Site, int, pytest.MonkeyPatch], list[Flaky]],
    number: int,
) -> None:
    """A process that is started while the server is away does its work when it is back."""
    caplog.set_level(logging.WARNING)

    assert not any(flaky.left for flaky in place(site, number, monkeypatch))
    if place is not training_begins:  # which tells its worker
        assert f"waiting: {site.run_dir}: {os.strerror(number)}" in caplog.text


def test_a_worker_that_is_asked_to_stop_leaves_a_dead_server(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its patience with a coordinator."""
    stop = StopRequest(())

    def stale(root: Path) -> None:
        stop.asked = True
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(worker, "open_run", stale)
    assert worker.wait_for(site.run_dir, stop, patience_s=600.0) is None


def test_a_run_of_a_study_that_cannot_be_reached_is_opened_later(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its worker goes on with the other runs, and says why not with this one."""
    planned = {"name": "a", "seed": 1, "config": to_json(load(site.config))}
    study = create_study(site.directory / "study", [planned], pbtnas="1")
    start_run(study.runs[0].root, load(site.config), faulty().space)
    machine = study_worker.Machine("cpu", site.directory, TASK)
    monkeypatch.setattr(study_worker, "open_run", Flaky(open_run, errno.ESTALE, times=1))
    monkeypatch.setattr(worker.TrainingProcess, "warm_up", lambda self: None)
    monkeypatch.setattr(worker.TrainingProcess, "ready", True)
    with PosixStore(study.root, "w1") as store:
        driver = study_worker.StudyWorkerDriver(study, store, StopRequest(()), "w1", machine)
        replies = [driver.execute(OpenRun("a-s1")) for _ in range(2)]
        driver.close("stopped")

    assert replies[0] is None and replies[1] is not None
    assert f"a-s1: waiting: {study.runs[0].root}: {os.strerror(errno.ESTALE)}" in caplog.text


def test_a_coordinator_that_is_asked_to_stop_leaves_a_full_disk(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the run is even made, with the ending of any other stop."""
    stop = StopRequest(())

    def full(*_: Any, **__: Any) -> None:
        stop.asked = True
        raise OSError(UNWRITABLE[0], os.strerror(UNWRITABLE[0]))

    monkeypatch.setattr(coordinator, "start_run", full)
    with open_coordinator(
        site.run_dir,
        load(site.config),
        faulty(),
        lambda store: Prepared(faulty(), {}),
        stop=stop,
    ) as opened:
        assert opened is CoordinatorEnding.STOPPED


def test_a_study_that_is_asked_to_stop_leaves_a_full_disk(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has not ended then: the same command goes on with it."""
    study, stop = create_study(site.run_dir, [], pbtnas="1"), StopRequest(())

    def full(*_: Any, **__: Any) -> None:
        stop.asked = True
        raise OSError(UNWRITABLE[0], os.strerror(UNWRITABLE[0]))

    monkeypatch.setattr(PosixStore, "put", full)
    conduct.conduct(study, _no_tasks(), [], {}, open_seeds=1, stop=stop)

    assert study.ended() is None
