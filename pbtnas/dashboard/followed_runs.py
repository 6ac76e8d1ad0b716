"""Follows several runs: those that are named one by one, and those of studies."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.analysis.compare.gathering import gather, settings_of
from pbtnas.analysis.compare.observations import curve
from pbtnas.analysis.compare.outcomes import Curve
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import NothingToShow
from pbtnas.analysis.plots.mean_curves import mean_curve
from pbtnas.analysis.plots.style import looks
from pbtnas.dashboard.followed_run import FollowedRun
from pbtnas.dashboard.json_text import to_text
from pbtnas.errors import PbtnasError
from pbtnas.monitoring.study_screen import study_status, to_json
from pbtnas.store.run_directory import NotYetARun, check_format
from pbtnas.store.study_directory import Study, is_study, open_study

PAUSE_S = 5.0  # at least, between two looks at all runs
SHARE = 10  # a look may take one second in so many


@dataclass(frozen=True)
class Listed:
    """A run in the list of the page.

    Args:
        label: Name for people.
        root: Run directory.
        study: Index of the study it belongs to; None for one that is named by itself.
    """

    label: str
    root: Path
    study: int | None


class FollowedRuns:
    """The runs that the page shows, by their numbers in the list.  Threads may share it.

    Args:
        directories: Runs and studies; a run need not exist yet.
        now: Clock of file times, in seconds since the epoch.

    Raises `NotARun` and `RecordError` for directories that are neither.
    """

    def __init__(self, directories: Sequence[Path], now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._next_s = float("-inf")
        self._data = ""
        self._studies: list[Study] = []
        self._directories = tuple(directories)
        self.listed: list[Listed] = []
        for directory in directories:
            if is_study(directory):
                study = open_study(directory)
                number = len(self._studies)
                self._studies.append(study)
                self.listed += [Listed(run.label, run.root, number) for run in study.runs]
            else:
                _check(directory)
                self.listed.append(Listed(directory.resolve().name, directory, None))
        self._runs = [FollowedRun(listed.root, now) for listed in self.listed]

    def run(self, number: int) -> FollowedRun | None:
        """The run of that number in the list; None if there is none."""
        return self._runs[number] if 0 <= number < len(self._runs) else None

    def data(self) -> str:
        """The list with how far each run is, the studies, and their comparison, as JSON."""
        with self._lock:
            begun_s = time.monotonic()
            if begun_s < self._next_s:
                return self._data
            self._data = to_text(self._look())
            ended_s = time.monotonic()
            self._next_s = ended_s + max(PAUSE_S, SHARE * (ended_s - begun_s))
            return self._data

    def _look(self) -> dict[str, Any]:
        several = len(self._runs) > 1
        if several:
            for run in self._runs:
                # Of a run that is over there is nothing new.
                if run.status is None or not run.status.over:
                    run.look()
        return {
            "runs": [
                _summary(listed, run) for listed, run in zip(self.listed, self._runs, strict=True)
            ],
            "studies": [self._study(study) for study in self._studies],
            "comparison": self._comparison() if several else {"figures": [], "sentence": ""},
        }

    def _study(self, study: Study) -> dict[str, Any]:
        name = study.root.resolve().name
        try:
            return {"name": name, "status": to_json(study_status(study, now=self._now()))}
        except (PbtnasError, OSError) as error:
            return {"name": name, "status": None, "sentence": str(error)}

    def _comparison(self) -> dict[str, Any]:
        """Mean curves of runs that differ in their seeds only, a figure for each task."""
        by_root = {run.root: run for run in self._runs}
        begun = {root for root, run in by_root.items() if run.history is not None}

        def read(root: Path) -> History:
            history = by_root[root].history
            if history is None:
                raise NotYetARun(f"{root}: not read yet")
            return history

        wanted = [d for d in self._directories if d in begun or d not in by_root]
        try:
            runs = gather(wanted, read=read).runs if wanted else ()
            figures = []
            for label, alike in settings_of(runs).items():
                curves = []
                for run in alike:
                    try:
                        curves.append(curve(run.history, algorithm=run.name))
                    except NothingToShow:
                        continue  # no generation yet
                figures.append({"title": label, "curves": _mean_curves(curves)})
            return {"figures": figures, "sentence": ""}
        except (PbtnasError, OSError) as error:
            return {"figures": [], "sentence": str(error)}


def _mean_curves(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """The mean of each name, of curves that have a score."""
    groups: dict[str, list[Curve]] = {}
    for each in curves:
        if any(map(math.isfinite, each.scores)):
            groups.setdefault(each.algorithm, []).append(each)
    found = []
    for name, look in looks(groups).items():
        mean = mean_curve(groups[name])
        found.append(
            {
                "name": name,
                "colour": look.colour,
                "seeds": len(groups[name]),
                "epochs": mean.epochs.tolist(),
                "mean": mean.mean.tolist(),
                "std": None if mean.std is None else mean.std.tolist(),
            }
        )
    return found


def _check(directory: Path) -> None:
    """Refuse what is no run; one that is still to come is followed."""
    try:
        check_format(directory)
    except NotYetARun:
        return


def _summary(listed: Listed, run: FollowedRun) -> dict[str, Any]:
    seen = run.status
    return {
        "label": listed.label,
        "study": listed.study,
        "state": None if seen is None else seen.state,
        "generation": None if seen is None else seen.generation,
        "generations": None if seen is None else seen.generations,
        "progress": None if seen is None else seen.progress,
        "best": None if seen is None or seen.best_ever is None else seen.best_ever.score,
        "sentence": run.sentence,
    }
