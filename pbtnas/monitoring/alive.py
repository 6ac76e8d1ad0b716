"""Tells whether a worker shows signs of life, by a heartbeat that changes and by no clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import open_run
from pbtnas.store.study_directory import is_study, open_study

LOOK_S = 0.5  # between two looks at a heartbeat


def shows_life(
    root: Path,
    worker: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether the heartbeat of a worker changes, of a study in one of its runs.

    Answers with the next heartbeat, after `engine.beat_s` as a rule, and after `engine.lease_s` if
    there is none.  A worker that was never there, or has said that it left, shows none.  Raises
    what `open_run` and `open_study` raise, and `OSError` when the directory cannot be read.
    """
    if is_study(root):
        study = open_study(root)
        roots = [run.root for run in study.runs if run.has(paths.RUN)]
        engines = [run.config.get("engine", {}) for run in study.runs]
    else:
        roots, engines = [root], [open_run(root).config["engine"]]
    lease_s = max((float(engine["lease_s"]) for engine in engines if engine), default=60.0)
    before = _beats(roots, worker)
    until_s = clock() + lease_s
    while any(not beat.left for beat in before.values()) and clock() < until_s:
        sleep(LOOK_S)
        now = _beats(roots, worker)
        if any(not beat.left and beat != before.get(place) for place, beat in now.items()):
            return True
        before = now
    return False


def _beats(roots: list[Path], worker: str) -> Mapping[Path, Heartbeat]:
    """The heartbeats of a worker that can be read now, by run."""
    found = {}
    for root in roots:
        with open_files(root) as files:
            try:
                beat = Heartbeat.decode(files.get(paths.worker(worker)) or b"")
            except UnreadableRecord:
                continue
        if beat is not None:
            found[root] = beat
    return found
