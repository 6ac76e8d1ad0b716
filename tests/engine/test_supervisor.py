"""Restarts by `pbtnas run`: which exits are final, and how often the others are tried again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from pbtnas.cli import app as cli
from pbtnas.engine import supervisor as local_run
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.supervisor import (
    FINAL_CODES,
    MOST_UNEXPECTED,
    Start,
    Supervised,
    keep_running,
)
from pbtnas.errors import ExitCode

Live = Callable[[int, float], int | None]
commands: list[list[str]] = []
"""What was started, of the kept process."""


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> tuple[Supervised, Live]:
    """A kept process, and a function that has it end once more, which tells its final code."""
    clock = [0.0]
    ends: list[int] = []
    commands.clear()

    class Process:
        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)
            self.code = ends.pop()

        def poll(self) -> int:
            return self.code

    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(local_run.time, "monotonic", lambda: clock[0])
    supervised = Supervised("worker 0", ["worker", "--accept-code-change", "run"])

    def once(code: int, lived_s: float) -> int | None:
        ends.append(code)
        clock[0] = max(clock[0], supervised.not_before_s)
        supervised.poll()
        clock[0] += lived_s
        supervised.poll()
        return supervised.code

    return supervised, once


@pytest.mark.parametrize("code", FINAL_CODES)
def test_what_a_restart_does_not_change_is_final(live: tuple[Supervised, Live], code: int) -> None:
    """Done, broken, wrong usage and held by another are the end at once."""
    assert live[1](code, 0.1) == code


@pytest.mark.parametrize("code", [-9, ExitCode.STOPPED])
def test_signals_are_tried_again_for_ever(live: tuple[Supervised, Live], code: int) -> None:
    """A kill is never final, however often it comes, nor a stop of one process, which others wait
    for; the pauses grow up to half a minute."""
    supervised, once = live

    assert {once(code, 0.1) for _ in range(40)} == {None}
    assert supervised.restarts == 40


def test_an_unexpected_error_is_tried_again_a_few_times_in_a_row(
    live: tuple[Supervised, Live],
) -> None:
    """Another end, or a long life, begins a new row; one more than allowed is the end."""
    _, once = live

    for _ in range(MOST_UNEXPECTED):
        assert once(ExitCode.UNEXPECTED, 0.1) is None
    assert once(-9, 0.1) is None
    for _ in range(MOST_UNEXPECTED):
        assert once(ExitCode.UNEXPECTED, 0.1) is None
    assert once(ExitCode.UNEXPECTED, 3600.0) is None
    for _ in range(MOST_UNEXPECTED):
        assert once(ExitCode.UNEXPECTED, 0.1) is None
    assert once(ExitCode.UNEXPECTED, 0.1) == ExitCode.UNEXPECTED


def test_a_change_of_code_is_accepted_once(live: tuple[Supervised, Live]) -> None:
    """A file that is edited while a search runs is not taken for what the user has accepted."""
    _, once = live
    for _ in range(2):
        once(-9, 0.0)

    assert [command[-3:] for command in commands] == [
        ["worker", "--accept-code-change", "run"],
        ["pbtnas", "worker", "run"],
    ]


def test_a_run_whose_workers_were_drained_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody else would: the coordinator waits for workers of any machine.  It is said once."""
    monkeypatch.setattr(local_run, "ALONE_S", 0.2)
    polls = [0]

    class Process:
        def __init__(self, command: Sequence[str]) -> None:
            self.is_head = command[0] == "coordinator"

        def poll(self) -> int | None:
            if not self.is_head:
                return ExitCode.OK
            polls[0] += bool(caplog.messages)
            return ExitCode.OK if polls[0] > 3 else None

    start = cast(Start, Process)
    assert keep_running(["coordinator"], [["worker"], ["worker"]], start=start) == ExitCode.OK

    [said] = caplog.messages
    assert "the run waits for others: `pbtnas worker`" in said


def test_an_unexpected_error_has_an_exit_code_and_a_traceback_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not 1, which `pbtnas run` would take for the end of the search."""

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("nobody thought of it")

    monkeypatch.setattr(cli, "cli", broken)

    with pytest.raises(SystemExit) as left:
        cli.main(["status"])

    assert left.value.code == ExitCode.UNEXPECTED == 70
    assert "ZeroDivisionError: nobody thought of it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("coordinator", "code"),
    [
        ("trap 'exit 75' USR2", ExitCode.STOPPED),
        ("trap 'exit 0' USR2", ExitCode.OK),
        ("trap 'exit 1' USR2", ExitCode.FAILED),
        ("true", ExitCode.STOPPED),
    ],
)
def test_a_run_that_was_stopped_is_not_a_finished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, coordinator: str, code: int
) -> None:
    """The code is 75 whatever the processes had in hand, unless the coordinator says more."""

    class AskedWhenAllRun(StopRequest):
        def wait(self, seconds: float, **_: object) -> bool:
            self.asked = len(list(tmp_path.iterdir())) == 2
            return super().wait(seconds)

    monkeypatch.setattr(local_run, "StopRequest", lambda: AskedWhenAllRun(()))
    monkeypatch.setattr(local_run, "python_command", lambda *words: ["sh", "-c", words[-1]])
    forever = "while sleep 0.02; do :; done"

    def program(name: str, first: str) -> list[str]:
        return [f"{first}; touch {tmp_path / name}; {forever}"]

    worker = program("worker", "trap 'exit 75' USR2")
    assert keep_running(program("coordinator", coordinator), [worker]) == code
