"""Follows one run: keeps what was read of it, so that a look reads only what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pbtnas.analysis.compare.observations import evolution, work
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation, read_generation
from pbtnas.analysis.history.outline import outline
from pbtnas.analysis.history.run import History
from pbtnas.analysis.history.summary import LATEST
from pbtnas.analysis.plots.evolution import (
    Evolution,
    NothingToShow,
    finite_scores,
    lowest_shade,
    next_order,
)
from pbtnas.dashboard.columns import evolved, population
from pbtnas.dashboard.json_text import to_text
from pbtnas.dashboard.previews import PreviewsSeen
from pbtnas.errors import PbtnasError
from pbtnas.monitoring.everybody import RECENT, worker_lines
from pbtnas.monitoring.progress import Status, status
from pbtnas.monitoring.run_screen import to_json
from pbtnas.records import paths
from pbtnas.store.opening import open_files

PAUSE_S = 1.0  # at least, between two looks
SHARE = 10  # a look may take one second in so many


class FollowedRun:
    """A run as the page shows it.  Threads may share it.

    Args:
        root: Run directory, which need not exist yet.
        now: Clock of file times, in seconds since the epoch.
    """

    def __init__(self, root: Path, now: Callable[[], float] = time.time) -> None:
        self.root = root
        self._now = now
        self._lock = threading.Lock()
        self._next_s = float("-inf")
        self._forget()

    def _forget(self) -> None:
        self.status: Status | None = None
        self.sentence = ""
        """Why there is nothing new to show; "" if all is well."""
        self._history: History | None = None
        self._evolution: Evolution | None = None
        self._orders: list[list[int]] = []
        self._columns: list[tuple[int, str]] = []  # with the look at which each was last new
        # A page that outlives this process knows earlier looks: later ones have higher numbers.
        self._looks = int(1000 * self._now())
        self._previews = PreviewsSeen()
        self._over: dict[int, Generation] = {}
        self._workers: list[dict[str, Any]] = []
        self._shade: float | None = None
        self._opened: float | None = None

    @property
    def history(self) -> History | None:
        """What the last look has found; None if there is no run yet."""
        return self._history

    @property
    def evolution(self) -> Evolution | None:
        """The generations that were selected; None before the first one."""
        return self._evolution

    def look(self, *, now: bool = False) -> None:
        """Read what is new, unless it was just read; with `now`, in any case.

        What cannot be read of the run as a whole is told by `sentence`, beside what was there.
        """
        with self._lock:
            begun_s = time.monotonic()
            if begun_s < self._next_s and not now:
                return
            try:
                self._look()
                self.sentence = ""
            except (PbtnasError, OSError) as error:
                self.sentence = str(error)
            ended_s = time.monotonic()
            self._next_s = ended_s + max(PAUSE_S, SHARE * (ended_s - begun_s))

    def _look(self) -> None:
        found = outline(self.root, self._history)
        if self._history is not None and self._history.run != found.run:
            self._forget()
        before, self._history = self._history, found
        drawn = 0 if self._evolution is None else len(self._evolution.generations)
        self._evolve(found)
        self._draw(found, () if before is None else before.generations, drawn)
        seen = status(self.root, now=self._now())
        problems = dict.fromkeys((*seen.problems, *found.problems))
        self.status = replace(seen, problems=tuple(problems))
        lines = worker_lines(seen.workers, self._recent(found))
        self._workers = [line.to_json() for line in lines]

    def _evolve(self, found: History) -> None:
        before = self._evolution
        try:
            seen = evolution(found, tuple(found.space or ()), before=before)
        except NothingToShow:
            self._evolution, self._orders, self._shade = None, [], None
            return
        del self._orders[len(seen.generations) :]
        for standings in seen.generations[len(self._orders) :]:
            self._orders.append(next_order(self._orders[-1] if self._orders else None, standings))
        if before is None or len(before.generations) != len(seen.generations):
            scores = [s for standings in seen.generations for s in finite_scores(standings)]
            self._shade = lowest_shade(scores)
        self._evolution = seen

    def _draw(self, found: History, known: Sequence[Generation], drawn: int) -> None:
        """Make the columns of generations that have changed since they were known and drawn."""
        selected = () if self._evolution is None else self._evolution.generations
        spent = work(found, len(selected))
        self._looks += 1
        del self._columns[len(found.generations) :]
        with open_files(self.root) as files:
            self._opened = files.changed_s(paths.manifest(0))
            self._previews.look(files, len(found.generations), self._looks)
            for number, generation in enumerate(found.generations):
                same = number < len(known) and known[number] is generation
                if same and (number < drawn or number >= len(selected)):
                    continue
                column = population(found, number)
                if self._evolution is not None and number < len(selected):
                    order = self._orders[number]
                    column |= evolved(self._evolution, number, order, spent[number])
                    column["ended"] = files.changed_s(paths.selection(number))
                self._replace(number, to_text(column))

    def _replace(self, number: int, text: str) -> None:
        if number == len(self._columns):
            self._columns.append((self._looks, text))
        elif self._columns[number][1] != text:
            self._columns[number] = self._looks, text

    def _recent(self, found: History) -> list[Generation]:
        """The newest generations first, with their attempts; those that are over are read once."""
        count = len(found.generations)
        recent = []
        with open_files(self.root) as reader:
            files = RecordFiles(reader, found.run or None)
            for number in range(count - 1, max(-1, count - 1 - RECENT), -1):
                generation = self._over.get(number)
                if generation is None:
                    generation = read_generation(
                        files, number, found.over(number, count), found.generations[:number]
                    )
                if number < count - LATEST:
                    self._over[number] = generation
                recent.append(generation)
        self._over = {n: g for n, g in self._over.items() if n >= count - RECENT}
        return recent

    def data(self, run: str, since: int) -> str:
        """What is new for a page, as JSON.

        Args:
            run: Id of the run that the page shows; "" for none.
            since: Look of which the page has everything.
        """
        with self._lock:
            found, shown = self._history, self.status
            if found is None:
                return to_text({"sentence": self.sentence, "run": ""})
            since = since if run == found.run else 0
            head = {
                "run": found.run,
                "look": self._looks,
                "sentence": self.sentence,
                "status": None if shown is None else to_json(shown),
                "workers": self._workers,
                "recent": RECENT,
                "count": len(self._columns),
                "shade": self._shade,
                "opened": self._opened,
                "pictures": self._previews.since(since),
            }
            if not since:
                head["variables"] = [
                    {"name": v.name, "options": [str(option) for option in v.options]}
                    for v in found.space or ()
                ]
            columns = [text for look, text in self._columns if look > since]
            return f'{to_text(head)[:-1]},"columns":[{",".join(columns)}]}}'
