"""Keeps a live screen of a run below the log of `pbtnas run`, where that is a terminal.

What this process and those that it starts say goes through a pipe to a thread, the only writer to
the terminal: it puts log lines above the panel, and draws that anew.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pbtnas.errors import PbtnasError

PAUSE_S = 1.0  # at least, between two looks at the run
SHARE = 20  # a look may take one second in so many
LOW = 16  # lines of a terminal that has room for one line of progress only
CLEAR = b"\r\x1b[J"
LAST_WORDS_S = 5.0  # for processes that keep the pipe open after the end


@contextmanager
def panel_on_terminal(run_dir: Path, terminal: int = 2) -> Iterator[None]:
    """Show a run on a terminal while the context lasts; nothing elsewhere.

    Args:
        run_dir: Run directory, which need not exist yet.
        terminal: Descriptor that processes write their messages to.
    """
    dumb = os.environ.get("TERM", "") in ("", "dumb")
    if dumb or not os.isatty(terminal) or logging.getLogger().level > logging.INFO:
        yield
        return
    screen = os.dup(terminal)
    readable, writable = os.pipe()
    os.dup2(writable, terminal)  # processes started from here on inherit it
    os.close(writable)
    panel = LivePanel(screen, _drawing(run_dir, screen))
    thread = threading.Thread(target=panel.relay, args=(readable,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(screen, terminal)  # which closes the pipe, when all others have closed it too
        thread.join(LAST_WORDS_S)


class LivePanel:
    """Writes log lines to a terminal, and below them a panel of some lines.

    Args:
        screen: Descriptor of the terminal.
        drawn: What the panel shows now: lines that are no longer than the terminal is wide.
    """

    def __init__(self, screen: int, drawn: Callable[[], str]) -> None:
        self._screen = screen
        self._drawn = drawn
        self._shown = ""
        self._columns = _size(screen).columns
        self._unfinished = b""  # a log line that has not ended yet
        self._next_s = 0.0

    def relay(self, readable: int) -> None:
        """Pass on what comes, and draw the panel, until nobody can write any more."""
        while True:
            rest_s = max(0.0, self._next_s - time.monotonic())
            if select.select([readable], [], [], rest_s)[0]:
                data = os.read(readable, 1 << 16)
                if not data:
                    break
                self._say(data)
            elif time.monotonic() >= self._next_s:
                self._look()
        os.close(readable)
        self._write(self._clear() + self._unfinished)

    def _say(self, data: bytes) -> None:
        whole, newline, rest = (self._unfinished + data).rpartition(b"\n")
        self._unfinished = rest
        if newline:
            self._write(self._clear() + whole + newline + self._shown.encode())

    def _look(self) -> None:
        began_s = time.monotonic()
        clear = self._clear()
        try:
            self._shown = self._drawn()
        except Exception:  # noqa: BLE001  (shown in full; the log has to go on)
            self._write(clear)
            self._shown, clear = "", b""
            self._say(traceback.format_exc().encode())
        self._write(clear + self._shown.encode())
        ended_s = time.monotonic()
        self._next_s = ended_s + max(PAUSE_S, SHARE * (ended_s - began_s))

    def _clear(self) -> bytes:
        """What takes the panel away; where the terminal has become narrower, and broken its lines
        into nobody knows how many, what begins below it."""
        before, self._columns = self._columns, _size(self._screen).columns
        if self._shown and self._columns < before:
            return b"\r\n" + CLEAR
        return b"\r" + b"\x1b[A" * self._shown.count("\n") + CLEAR[1:]

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # the terminal is gone; the run goes on
            while data:
                data = data[os.write(self._screen, data) :]


def _drawing(run_dir: Path, screen: int) -> Callable[[], str]:
    """What draws the panel of a run: half the terminal, or one line where that is low."""
    from rich.console import Console, ConsoleDimensions

    from pbtnas.monitoring.frames import Frames
    from pbtnas.monitoring.live_screen import canvas, drawn
    from pbtnas.monitoring.run_screen import progress_line

    console = Console(file=os.fdopen(os.dup(screen), "w"), highlight=False)
    frames = Frames(run_dir)

    def draw() -> str:
        size = _size(screen)
        try:
            frame = frames.look()
        except (PbtnasError, OSError):
            return "starting"  # there is no run yet, or it cannot be read now: its log says why
        if size.lines < LOW:
            return progress_line(frame.status, size.columns - 1)
        # A full line would scroll.
        console.size = ConsoleDimensions(size.columns - 1, size.lines // 2)
        with console.capture() as captured:
            console.print(drawn(frame, canvas(console), log=False), end="")
        return captured.get()

    return draw


def _size(screen: int) -> os.terminal_size:
    try:
        size = os.get_terminal_size(screen)
    except OSError:
        return os.terminal_size((80, 24))
    return size if size.columns and size.lines else os.terminal_size((80, 24))
