"""Keeps one line about a run below the log of `pbtnas run`, where that is a terminal.

What this process and those that it starts say goes through a pipe to a thread, the only writer to
the terminal: it puts log lines above the progress line, and draws that anew.
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
CLEAR = b"\r\x1b[K"
LAST_WORDS_S = 5.0  # for processes that keep the pipe open after the end


@contextmanager
def progress_on_terminal(run_dir: Path, terminal: int = 2) -> Iterator[None]:
    """Show the progress of a run on a terminal while the context lasts; nothing elsewhere.

    Args:
        run_dir: Run directory, which need not exist yet.
        terminal: Descriptor that processes write their messages to.
    """
    if not os.isatty(terminal) or logging.getLogger().level > logging.INFO:
        yield
        return
    screen = os.dup(terminal)
    readable, writable = os.pipe()
    os.dup2(writable, terminal)  # processes started from here on inherit it
    os.close(writable)
    line = ProgressLine(screen, lambda: _progress(run_dir, _columns(screen)))
    thread = threading.Thread(target=line.relay, args=(readable,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.dup2(screen, terminal)  # which closes the pipe, when all others have closed it too
        thread.join(LAST_WORDS_S)


class ProgressLine:
    """Writes log lines to a terminal, and below them one line on the progress.

    Args:
        screen: Descriptor of the terminal.
        progress: What the line says now, no longer than the terminal is wide.
    """

    def __init__(self, screen: int, progress: Callable[[], str]) -> None:
        self._screen = screen
        self._progress = progress
        self._shown = ""
        self._unfinished = b""  # a log line that has not ended yet
        self._next_s = 0.0

    def relay(self, readable: int) -> None:
        """Pass on what comes, and draw the line, until nobody can write any more."""
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
        self._write(CLEAR + self._unfinished)

    def _say(self, data: bytes) -> None:
        whole, newline, rest = (self._unfinished + data).rpartition(b"\n")
        self._unfinished = rest
        if newline:
            self._write(CLEAR + whole + newline + self._shown.encode())

    def _look(self) -> None:
        began_s = time.monotonic()
        try:
            self._shown = self._progress()
        except Exception:  # noqa: BLE001  (shown in full; the log has to go on)
            self._shown = ""
            self._say(traceback.format_exc().encode())
        self._write(CLEAR + self._shown.encode())
        ended_s = time.monotonic()
        self._next_s = ended_s + max(PAUSE_S, SHARE * (ended_s - began_s))

    def _write(self, data: bytes) -> None:
        with suppress(OSError):  # the terminal is gone; the run goes on
            while data:
                data = data[os.write(self._screen, data) :]


def _progress(run_dir: Path, columns: int) -> str:
    from pbtnas.monitoring.run_screen import progress_line, status

    try:
        return progress_line(status(run_dir, now=time.time()), columns)
    except (PbtnasError, OSError):
        return "starting"  # there is no run yet, or it cannot be read now: its log says why


def _columns(screen: int) -> int:
    try:
        return os.get_terminal_size(screen).columns - 1  # a full line would scroll
    except OSError:
        return 79
