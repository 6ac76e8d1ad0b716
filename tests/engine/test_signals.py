"""When signals are one request to stop, and when another one ends the process at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.engine import parent_death, signals
from pbtnas.engine.signals import LEAVE_S, PASSED_ON, TOGETHER_S, StopRequest
from pbtnas.errors import ExitCode


class Exited(Exception):
    """Instead of the end of this process."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds on the clock of a request; an exit raises `Exited` with the code."""

    def exit_(code: int) -> None:
        raise Exited(code)

    monkeypatch.setattr(signals.os, "_exit", exit_)
    return [1000.0]


def test_signals_that_come_together_are_one_request(clock: list[float]) -> None:
    """Scheduler, trap and supervisor may each send one; only one that comes later ends at once."""
    stop = StopRequest((signal.SIGTERM, signal.SIGUSR1), clock=lambda: clock[0])
    before = stop.asked
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
        os.kill(os.getpid(), number)
        clock[0] += TOGETHER_S / 2

    assert (before, stop.asked) == (False, True)
    with pytest.raises(Exited, match=str(128 + signal.SIGTERM)):
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_end_of_the_time_is_a_request_that_comes_early_enough(clock: list[float]) -> None:
    """A worker that a scheduler will end has left by then, its snapshot included; nobody has
    cancelled it."""
    stop = StopRequest((), clock=lambda: clock[0])
    stop.end_in(100.0)
    stop.needs(20.0)
    clock[0] += 69.0
    before = stop.asked
    clock[0] += 1.0

    assert (before, stop.asked) == (False, True)
    assert (stop.asked_by_signal, stop.cancelled) == (False, False)


@pytest.mark.parametrize(
    ("number", "cancelled"), [(signal.SIGTERM, True), (signal.SIGINT, True), (PASSED_ON, False)]
)
def test_who_was_cancelled_can_be_told(
    number: signal.Signals, cancelled: bool, clock: list[float]
) -> None:
    """Also while its time ends: who was cancelled is not queued again."""
    stop = StopRequest((number,), clock=lambda: clock[0])
    stop.end_in(0.0)
    os.kill(os.getpid(), number)

    assert stop.cancelled == cancelled


def test_a_sleep_ends_with_the_time() -> None:
    """A worker that waits for work does not oversleep the end of its time."""
    stop = StopRequest(())
    stop.end_in(0.2 + LEAVE_S)
    stop.wait(3600.0)

    assert stop.asked


def test_a_request_that_is_passed_on_late_is_the_same_request(clock: list[float]) -> None:
    """Whoever passes it on may have had a step to finish: the snapshot is not cut off."""
    stop = StopRequest((signal.SIGTERM, PASSED_ON), clock=lambda: clock[0])
    os.kill(os.getpid(), signal.SIGTERM)
    clock[0] += 60.0
    os.kill(os.getpid(), PASSED_ON)

    assert stop.asked


@pytest.mark.parametrize("command", ["worker", "coordinator", "evaluate", "soup"])
def test_who_starts_after_its_parent_is_gone_stops(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence and the code of any other stop, before anything is begun."""
    monkeypatch.setattr(parent_death, "end_with_parent", lambda number: None)

    result = CliRunner().invoke(cli, [command, str(tmp_path / "run"), "--parent", "4194304"])

    assert result.exit_code == ExitCode.STOPPED, result.output
    assert result.stderr == "pbtnas: process 4194304, which is to have started this one, is gone\n"
    assert list(tmp_path.iterdir()) == []


_ENDS_SLOWLY = """
import os, sys
from pbtnas.engine.signals import StopRequest

class Library:
    def __del__(self, write=os.write, read=os.read):  # after Python has taken handlers away
        write(1, b"ending\\n")
        read(0, 1)

library = Library()
StopRequest()
sys.exit(75)
"""


def test_a_signal_while_python_ends_does_not_change_the_exit_code() -> None:
    """Libraries take a second to be unloaded; a worker that has handed its job back ends with 75
    also if the scheduler's second signal comes then."""
    with subprocess.Popen(
        [sys.executable, "-c", _ENDS_SLOWLY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin and process.stdout, "both are pipes"
        assert process.stdout.readline() == b"ending\n"
        process.send_signal(signal.SIGTERM)
        process.stdin.close()

    assert process.returncode == 75
