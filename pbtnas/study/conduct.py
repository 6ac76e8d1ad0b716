"""Conducts a study: makes its runs, coordinates them and keeps workers, until all are over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

import pbtnas
from pbtnas.config import PlannedRun, difference, from_json, to_json
from pbtnas.engine.driver import drive
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.supervisor import Supervised, end
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.protocol.study_coordinator import StudyOutcomes
from pbtnas.records import paths
from pbtnas.store.identity import this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.run_directory import best_primitive
from pbtnas.store.study_directory import Study, create_study
from pbtnas.study.coordinators import CoordinatorsDriver, coordinator_of
from pbtnas.training.prepared_tasks import PreparedTasks

LOOK_S = 0.1  # longest wait between two looks at the workers


class ChangedStudy(PbtnasError):
    """The study given is not the one the directory was made for."""

    exit_code = ExitCode.USAGE


class StudyHeld(PbtnasError):
    """Another process of this machine conducts the study."""

    exit_code = ExitCode.HELD


def make_study(root: Path, planned: Sequence[PlannedRun]) -> Study:
    """Make a study's directory, or adopt the study in it if it has these very runs.

    Raises `ChangedStudy` naming what differs, `NotARun` when the directory holds something else.
    """
    runs = [{"name": r.name, "seed": r.seed, "config": to_json(r.config)} for r in planned]
    study = create_study(root, runs, pbtnas=pbtnas.__version__)
    given = {root / paths.study_run(run.name, run.seed): run.config for run in planned}
    stored = {run.root: from_json(run.config, run.label) for run in study.runs}
    lines = [f"{path.name}: not in the stored study" for path in given.keys() - stored.keys()]
    lines += [f"{path.name}: only in the stored study" for path in stored.keys() - given.keys()]
    for path in stored.keys() & given.keys():
        lines += [f"{path.name}: {line}" for line in difference(stored[path], given[path])]
    if lines:
        shown = [f"  {line}" for line in sorted(lines)[:8]]
        more = [f"  and {len(lines) - 8} more"] if len(lines) > 8 else []
        raise ChangedStudy(
            "\n".join([f"{root}: was started with another study:", *shown, *more])
            + "\ngive the same study again, or use a new directory"
        )
    return study


def conduct(
    study: Study,
    tasks: PreparedTasks,
    workers: Sequence[Sequence[str]],
    *,
    open_seeds: int,
) -> tuple[StudyOutcomes, list[int]]:
    """Coordinate a study, with these workers on this machine, until it is over.

    Args:
        study: The study.
        tasks: Prepared tasks, for the coordinators.
        workers: Command line of each worker; it is restarted when it dies.
        open_seeds: How many seeds are in work at once.

    Returns what became of the runs, and, if the study is not over, the exit codes of the workers.
    Raises `StudyHeld`.
    """
    lock = FileLock(study.root / paths.STUDY_LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyHeld(f"{study.root}: another process conducts this study") from None
    stop = StopRequest()
    supervised = [Supervised(f"worker {i}", list(arguments)) for i, arguments in enumerate(workers)]

    def sleep(seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while True:
            for worker in supervised:
                worker.poll()
            if supervised and all(worker.code not in (None, ExitCode.OK) for worker in supervised):
                stop.asked = True  # none of them can work here
            rest_s = until_s - time.monotonic()
            if rest_s <= 0 or stop.asked:
                return
            stop.wait(min(rest_s, LOOK_S))

    name = this_process("s")["worker"]
    try:
        with (
            PosixStore(study.root, name, primitive=best_primitive(study.root)) as store,
            closing(CoordinatorsDriver(study, store, stop, tasks, sleep)) as driver,
        ):
            outcomes = drive(coordinator_of(study, open_seeds).coordinate(), driver.execute)
    finally:
        codes = [worker.code for worker in supervised if worker.code is not None] + end(supervised)
        lock.release()
    return outcomes, [] if outcomes.over else codes
