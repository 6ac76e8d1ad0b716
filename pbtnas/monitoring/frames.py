"""Looks at a run again and again, and reads only what is new: the data of the live screens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation, read_generation
from pbtnas.monitoring.events import Event, events
from pbtnas.monitoring.progress import Status, detailed
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.records.schema import Selected
from pbtnas.store.opening import open_files

GENERATIONS = 100  # the newest ones, which a frame has: as many as a wide terminal has room for
EVENTS = 100  # the latest ones
PAUSE_S = 1.0  # at least, between two looks
SHARE = 20  # looks may take one second in so many


@dataclass(frozen=True)
class Cell:
    """A member in one generation.

    Args:
        state: Outcome: ok, diverged or failed; before that: pending, in work or put back.
        score: Score; None unless ok.
        born: Whether it was born into this generation.
    """

    state: str
    score: float | None = None
    born: bool = False


@dataclass(frozen=True)
class Frame:
    """A run at one moment.

    Args:
        status: Its status.
        cells: Cells by member of the newest generations, by generation, the oldest first.
        events: What happened in the two newest generations, the latest last.
    """

    status: Status
    cells: Mapping[int, Mapping[int, Cell]]
    events: tuple[Event, ...]


class Frames:
    """Makes frames of one run; what was read of generations that are over is kept.

    Args:
        run_dir: Run directory, which need not exist yet.
        clock: Time in seconds since the epoch, as that of files is.
    """

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self._root = run_dir
        self._clock = clock
        self._forget("")

    def _forget(self, run: str) -> None:
        self._run = run
        self._selected: dict[int, Selected] = {}
        self._before: Generation | None = None
        self._times: dict[Name, float] = {}

    def look(self) -> Frame:
        """The run as it is now.  Raises what `progress.status` raises, and `OSError`."""
        found = detailed(self._root, now=self._clock())
        if found.status.run != self._run:
            self._forget(found.status.run)
        if found.current is None:
            return Frame(found.status, {}, ())
        with open_files(self._root) as reader:
            files = RecordFiles(reader, self._run or None)
            current = found.current
            first = max(0, current.number + 1 - GENERATIONS)
            for number in range(first, current.number):
                self._read(files, number)
            cells = {
                number: self._over(number, self._selected[number])
                for number in range(first, current.number)
                if number in self._selected
            }
            cells[current.number] = self._in_work(current, found.states)
            happened = self._events(files, current)
        return Frame(found.status, cells, tuple(happened[-EVENTS:]))

    def _read(self, files: RecordFiles, number: int) -> None:
        if number not in self._selected:
            record = files.read(paths.selection(number), "selection")
            if record is not None:
                self._selected[number] = Selected.from_json(record.core)

    def _born(self, number: int) -> set[int]:
        before = self._selected.get(number - 1)
        return set() if before is None else {birth.member for birth in before.births}

    def _over(self, number: int, selected: Selected) -> dict[int, Cell]:
        born = self._born(number)
        return {r.member: Cell(r.outcome, r.score, r.member in born) for r in selected.results}

    def _in_work(self, current: Generation, states: Mapping[int, str]) -> dict[int, Cell]:
        born = self._born(current.number)
        cells = {member: Cell(state, None, member in born) for member, state in states.items()}
        for member, reported in current.results.items():
            result = reported.result
            cells[member] = Cell(result.outcome, result.score, member in born)
        return cells

    def _events(self, files: RecordFiles, current: Generation) -> list[Event]:
        number = current.number - 1
        if self._before is None or self._before.number != number:
            self._before = read_generation(files, number, True, ()) if number >= 0 else None

        def when(name: Name) -> float | None:
            at = self._times.get(name) or files.time(name)
            if at is not None:
                self._times[name] = at
            return at

        earlier = [] if self._before is None else events(self._before, when)
        return [*earlier, *events(current, when)]


def frames(
    run_dir: Path,
    *,
    clock: Callable[[], float] = time.time,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Frame]:
    """A frame about every second until the run is over, whose frame is the last.

    A look that takes long is followed by a longer pause.  Raises what `Frames.look` raises.
    """
    looks = Frames(run_dir, clock)
    while True:
        began_s = time.monotonic()
        frame = looks.look()
        yield frame
        if frame.status.over:
            return
        wait(max(PAUSE_S, SHARE * (time.monotonic() - began_s)))
