"""Watches a run or a study until it ends: as a live screen on a terminal, elsewhere as lines.

It only reads, so that whoever stops to watch leaves the run alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pbtnas.errors import PbtnasError
from pbtnas.monitoring.frames import PAUSE_S, SHARE, Frame, Frames
from pbtnas.monitoring.live_screen import Canvas, canvas, drawn, drawn_study
from pbtnas.monitoring.progress import Status
from pbtnas.monitoring.run_screen import progress_line
from pbtnas.monitoring.study_screen import StudyStatus, study_status
from pbtnas.monitoring.text import at_clock, printable
from pbtnas.store.run_directory import NotYetARun
from pbtnas.store.study_directory import is_study, open_study

RESIZED_S = 0.1  # between two looks at the size of the terminal


class Watched(Protocol):
    """What can be watched."""

    over: bool

    def look(self) -> None:
        """Look at it as it is now."""

    def drawn(self, on: Canvas) -> Text:
        """The last look as a screen."""

    def lines(self) -> list[str]:
        """What is new in the last look, as lines."""


class WatchedRun:
    """A run, which need not exist yet."""

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.time) -> None:
        self.over = False
        self._place = run_dir
        self._frames = Frames(run_dir, clock)
        self._frame: Frame | None = None
        self._told: set[str] = set()
        self._last = ""

    @property
    def status(self) -> Status | None:
        """What the last look has found; None if there was no run yet."""
        return None if self._frame is None else self._frame.status

    def look(self) -> None:
        try:
            self._frame = self._frames.look()
            self.over = self._frame.status.over
        except NotYetARun:
            self._frame = None

    def drawn(self, on: Canvas) -> Text:
        return Text(self._not_yet) if self._frame is None else drawn(self._frame, on)

    def lines(self) -> list[str]:
        """Events, and how far the run is whenever that has changed."""
        if self._frame is None:
            found, now = [], self._not_yet
        else:
            events = ((f"{at_clock(e.at)} {e.line}", e.line) for e in self._frame.events)
            found = [printable(text) for text, line in events if line not in self._told]
            self._told.update(event.line for event in self._frame.events)
            now = progress_line(self._frame.status, 1000)
        changed = now.partition(", about ")[0] != self._last.partition(", about ")[0]
        self._last = now
        return [*found, *([now] if changed else [])]

    @property
    def _not_yet(self) -> str:
        return f"{printable(str(self._place))}: no run has been started here yet"


class WatchedStudy:
    """A study."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self.over = False
        self._study = open_study(directory)
        self._clock = clock
        self._status: StudyStatus | None = None
        self._last = ""

    def look(self) -> None:
        self._status = study_status(self._study, now=self._clock())
        self.over = self._status.over

    def drawn(self, on: Canvas) -> Text:
        return Text("") if self._status is None else drawn_study(self._status, on)

    def lines(self) -> list[str]:
        status = self._status
        if status is None:
            return []
        done = f"{len(status.finished)} of {status.runs} runs finished"
        runs = [f"{r.label} in generation {r.generation}, {r.done} done" for r in status.open]
        now = ", ".join([f"{int(100 * status.progress)} % of the network-epochs", done, *runs])
        found = [] if now == self._last else [now]
        self._last = now
        return found


def watched(directory: Path) -> Watched:
    """The study in a directory, or the run that is there or will be."""
    return WatchedStudy(directory) if is_study(directory) else WatchedRun(directory)


def watch(what: Watched, console: Console, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Show it until it is over: live where the console is a terminal, else in lines.

    An error of a later look, as of a disk that is away, is shown, and the next look comes.  Raises
    what the first look raises.
    """
    what.look()
    live = console.is_terminal and not console.is_dumb_terminal
    with screen(console) if live else nullcontext(_lines(console)) as show:
        show(what, "")
        while not what.over:
            began_s = time.monotonic()
            trouble = _look(what)
            show(what, trouble)
            rest_s = max(PAUSE_S, SHARE * (time.monotonic() - began_s))
            size = console.size
            for _ in range(round(rest_s / RESIZED_S)):
                wait(RESIZED_S)
                if live and console.size != size:
                    size = console.size
                    show(what, trouble)


def _look(what: Watched) -> str:
    """Look; a sentence if that cannot be done now."""
    try:
        what.look()
    except (PbtnasError, OSError) as error:
        return f"cannot be read now: {error}"
    return ""


Show = Callable[[Watched, str], None]


@contextmanager
def screen(console: Console, *, lines: int | None = None) -> Iterator[Show]:
    """Draws on a terminal, which shows what it did before when the context is left.

    Args:
        console: Console on the terminal.
        lines: How many lines below what was printed before; None for the whole terminal.
    """
    whole = lines is None
    with Live(console=console, screen=whole, transient=not whole, auto_refresh=False) as live:

        def show(what: Watched, trouble: str) -> None:
            on = canvas(console)
            on = replace(on, lines=min(on.lines, lines or on.lines))
            below = Text(f"\n{printable(trouble)}", "red") if trouble else Text()
            room = replace(on, lines=on.lines - bool(trouble))
            live.update(Text.assemble(what.drawn(room), below, no_wrap=True), refresh=True)

        yield show


def _lines(console: Console) -> Show:
    """Lines one below the other, as for a file or a pipe."""

    def show(what: Watched, trouble: str) -> None:
        for line in [*what.lines(), *([printable(trouble)] if trouble else [])]:
            console.out(line, highlight=False)

    return show
