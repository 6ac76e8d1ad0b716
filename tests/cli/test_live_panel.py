"""The live panel of `pbtnas run`, on a real pseudo-terminal."""

from __future__ import annotations

import logging
import os
import pty
import select
from pathlib import Path

import pytest

from pbtnas.cli import live_panel
from pbtnas.cli.live_panel import CLEAR, LivePanel, panel_on_terminal


def _read(fd: int, until: bytes) -> bytes:
    found = b""
    while until not in found:
        assert select.select([fd], [], [], 60.0)[0], f"{until!r} did not come after {found!r}"
        found += os.read(fd, 1 << 16)
    return found


@pytest.fixture
def terminal() -> tuple[int, int]:
    """Both ends of a pseudo-terminal."""
    return pty.openpty()


def test_log_lines_stand_whole_above_the_panel(
    terminal: tuple[int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is said in pieces is shown in one, the panel comes below it, and is gone at the end;
    afterwards the terminal is as it was."""
    screen, program = terminal
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("TERM", "xterm")
    panel = "2 of 6 members done\nworkers"
    monkeypatch.setattr(live_panel, "_drawing", lambda *_: lambda: panel)
    with panel_on_terminal(tmp_path, program):
        seen = _read(screen, b"2 of 6 members done\r\nworkers")
        os.write(program, b"one ")
        os.write(program, b"line\n")
        seen += _read(screen, b"one line\r\n2 of 6 members done\r\nworkers")
    os.write(program, b"end")
    seen = _read(screen, b"end")

    assert seen.endswith(b"\r\x1b[A" + CLEAR[1:] + b"end")


def test_without_a_terminal_nothing_is_drawn(tmp_path: Path) -> None:
    """In a file, a log has its lines and nothing else."""
    log = os.open(tmp_path / "log", os.O_CREAT | os.O_RDWR)
    with panel_on_terminal(tmp_path, log):
        os.write(log, b"line\n")

    assert (tmp_path / "log").read_bytes() == b"line\n"


def test_a_fault_of_the_panel_does_not_stop_the_log(tmp_path: Path) -> None:
    """It is shown in full, and what comes is passed on."""

    def broken() -> str:
        raise ZeroDivisionError("nobody thought of it")

    readable, writable = os.pipe()
    screen, program = os.pipe()
    line = LivePanel(program, broken)
    line._look()
    os.write(writable, b"line\n")
    os.close(writable)
    line.relay(readable)

    shown = os.read(screen, 1 << 16)
    assert b"ZeroDivisionError: nobody thought of it" in shown and b"line\n" in shown
