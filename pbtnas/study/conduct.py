"""Conducts a study: makes its runs, coordinates them and keeps workers, until all are over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from filelock import Timeout

from pbtnas.config import PlannedRun, TaskConfig, from_json, to_json
from pbtnas.engine.driver import drive, once_reachable
from pbtnas.engine.fork_server import workers_beside
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.supervisor import Supervised, end
from pbtnas.engine.task_defaults import Complete, whole_difference
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.protocol.operations import AskedToStop
from pbtnas.protocol.study_coordinator import StudyOutcomes
from pbtnas.records import paths
from pbtnas.store.identity import this_process
from pbtnas.store.opening import Store, beside, open_store
from pbtnas.store.private_files import sweep
from pbtnas.store.quick_lock import quick_lock
from pbtnas.store.run_directory import best_primitive
from pbtnas.store.study_directory import Study, create_study
from pbtnas.study.coordinators import CoordinatorsDriver, coordinator_of
from pbtnas.training.prepared_tasks import PreparedTasks
from pbtnas.version import __version__

log = logging.getLogger("pbtnas")

LOOK_S = 0.1  # longest wait between two looks at the workers


class ChangedStudy(PbtnasError):
    """The study given is not the one the directory was made for."""

    exit_code = ExitCode.USAGE


class StudyHeld(PbtnasError):
    """Another process of this machine conducts the study."""

    exit_code = ExitCode.HELD


def make_study(
    root: Path, planned: Sequence[PlannedRun], complete: Callable[[TaskConfig], Complete]
) -> Study:
    """Make a study's directory, or adopt the study in it if it has these very runs.

    Engine settings decide no outcome: where they differ, those of the study in it hold.

    Args:
        root: Directory of the study.
        planned: Runs, of which a study that is there has to have the same.
        complete: Function that writes out the defaults of a task, for each section `task`.

    Raises `ChangedStudy` naming what differs, `NotARun` when the directory holds something else.
    """
    runs = [
        {
            "name": run.name,
            "seed": run.seed,
            "config": to_json(run.config),
            "options": complete(run.config.task)(run.config.task.options),
        }
        for run in planned
    ]
    study = create_study(root, runs, pbtnas=__version__)
    given = {beside(root, paths.study_run(run.name, run.seed)): run.config for run in planned}
    stored = {
        run.root: from_json(run.config, run.label, recorded=run.options) for run in study.runs
    }
    lines = [f"{path.name}: not in the stored study" for path in given.keys() - stored.keys()]
    lines += [f"{path.name}: only in the stored study" for path in stored.keys() - given.keys()]
    engine = set()  # the same lines for every run of a study
    for path in stored.keys() & given.keys():
        config = given[path]
        for line in whole_difference(stored[path], config, complete(config.task)):
            if line.startswith("engine."):
                engine.add(line)
            else:
                lines.append(f"{path.name}: {line}")
    for line in sorted(engine):
        log.info("%s: the study goes on with what is stored", line)
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
    environment: Mapping[str, str],
    *,
    open_seeds: int,
    stop: StopRequest,
) -> tuple[StudyOutcomes, list[int]]:
    """Coordinate a study, with these workers on this machine, until it is over.

    Args:
        study: The study.
        tasks: Tasks of its runs, for the coordinators.
        workers: Command line of each worker; a worker that dies is restarted.
        environment: What the libraries of their training processes are told.
        open_seeds: Number of seeds in work at once.
        stop: Request to stop.

    Returns what became of the runs, and, if the study is not over, the exit codes of the workers.
    Raises `StudyHeld`; `AskedToStop` before anything was begun.
    """
    try:
        path = beside(study.root, paths.STUDY_LOCK)
        lock = once_reachable(lambda: quick_lock(path), study.root, stop)
    except Timeout:
        raise StudyHeld(f"{study.root}: another process conducts this study") from None
    helpers = workers_beside(workers, environment)
    outcomes = StudyOutcomes()
    try:
        with (
            _opened(study, stop) as store,
            closing(_driver(study, store, stop, tasks, helpers)) as driver,
        ):
            outcomes = drive(coordinator_of(study, open_seeds).coordinate(), driver.execute)
    except AskedToStop:
        pass  # before anything was begun; the same command goes on from here
    finally:
        end(helpers)
        lock.close()
    codes = [helper.code for helper in helpers if helper.code is not None]
    return outcomes, [] if outcomes.over else codes


def _opened(study: Study, stop: StopRequest) -> Store:
    """The study's directory to write to, however full it is at first.

    Raises `AskedToStop` while it waits for that.
    """
    name = this_process("s")["worker"]

    def opened() -> Store:
        return open_store(study.root, name, primitive=best_primitive(study.root))

    sweep(study.root)
    return once_reachable(opened, study.root, stop)


def _driver(
    study: Study,
    store: Store,
    stop: StopRequest,
    tasks: PreparedTasks,
    helpers: Sequence[Supervised],
) -> CoordinatorsDriver:
    """A driver that restarts the workers while the coordinators sleep, and ends without any."""

    def sleep(seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while True:
            for helper in helpers:
                helper.poll()
            if helpers and all(helper.code not in (None, ExitCode.OK) for helper in helpers):
                stop.asked = True  # none of them can work here
            rest_s = until_s - time.monotonic()
            if rest_s <= 0 or stop.asked:
                return
            stop.wait(min(rest_s, LOOK_S))

    return CoordinatorsDriver(study, store, stop, tasks, sleep)
