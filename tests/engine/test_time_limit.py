"""How a worker keeps within the time that a scheduler gives it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.engine import worker
from pbtnas.engine.signals import LEAVE_S, StopRequest
from pbtnas.engine.time_limit import ARRAY, END_TIME, JOB, TASK, parsed, seconds_left, slurm_job
from pbtnas.engine.worker import NoTime, is_stopping, need_time, wait_for
from pbtnas.store.run_directory import create

GRACE_S = 20.0
CONFIGS: Any = [SimpleNamespace(engine=SimpleNamespace(grace_s=s)) for s in (5.0, GRACE_S)]


def ending_in(seconds: float) -> StopRequest:
    stop = StopRequest((), clock=lambda: 0.0)
    stop.end_in(seconds)
    stop.needs(GRACE_S)
    return stop


@pytest.mark.parametrize(
    ("left_s", "idle", "busy"), [(51.0, False, False), (49.0, True, False), (29.0, True, True)]
)
def test_no_job_is_begun_that_could_not_be_snapshotted(
    left_s: float, idle: bool, busy: bool
) -> None:
    """A worker without a job leaves earlier than one that trains, by what a snapshot may take."""
    stop = ending_in(left_s)
    for expected, has_job in ((idle, False), (busy, True)):
        training: Any = SimpleNamespace(busy=has_job, grace_s=GRACE_S)
        assert is_stopping(stop, training) == expected


def test_a_time_in_which_nothing_can_be_trained_is_refused() -> None:
    """Else a job of that length would be queued again and again, and never train anything."""
    need_time(ending_in(2 * GRACE_S + LEAVE_S + 1), CONFIGS)
    with pytest.raises(NoTime, match="needs more than 50 s"):
        need_time(ending_in(2 * GRACE_S + LEAVE_S), CONFIGS)


def test_a_time_that_passed_while_there_was_no_run_is_not_refused() -> None:
    """A worker whose coordinator began late is queued again, and not sent away."""
    stop = ending_in(2 * GRACE_S + LEAVE_S - 5)
    stop.waited_s = 6.0
    need_time(stop, CONFIGS)
    stop.waited_s = 5.0
    with pytest.raises(NoTime):
        need_time(stop, CONFIGS)


def test_the_wait_for_a_run_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first look to the one that finds it."""
    root, stop = tmp_path / "run", StopRequest(())
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": "1", "task": "t"}
    sections = {"engine": {}, "task": {}, "search": {"generations": 1}, "run": {}}
    now = iter([100.0, 101.0, 107.0])
    monkeypatch.setattr(stop, "wait", lambda seconds: create(root, sections, about=about))
    monkeypatch.setattr(worker, "time", SimpleNamespace(monotonic=lambda: next(now)))

    assert wait_for(root, stop, 60.0) is not None
    assert stop.waited_s == 7.0


def test_the_end_of_the_job_is_what_slurm_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--until auto`; without a limit, there is none."""
    monkeypatch.delenv(END_TIME, raising=False)
    monkeypatch.delenv(JOB, raising=False)
    assert seconds_left() is None
    monkeypatch.setenv(END_TIME, str(int(time.time()) + 1000))
    assert 900 < (seconds_left() or 0.0) <= 1000
    monkeypatch.setenv(END_TIME, "1")
    assert seconds_left() == 0.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1-02:03:04", 93784.0),
        ("2:03:04", 7384.0),
        ("03:04", 184.0),
        ("0:00", 0.0),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
    ],
)
def test_times_are_read_as_slurm_writes_them(text: str, seconds: float | None) -> None:
    """Versions before 23.02 set no variable, and are asked."""
    assert parsed(text) == seconds


def test_a_task_asks_about_itself_and_not_about_its_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SLURM_JOB_ID of the last task is that of the whole array."""
    monkeypatch.setenv(JOB, "40")
    monkeypatch.setenv(ARRAY, "40")
    monkeypatch.setenv(TASK, "3")

    assert slurm_job() == "40_3"


def test_earlier_versions_of_slurm_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """About the job of this process; one that does not answer is said, and no end is known."""
    monkeypatch.delenv(END_TIME, raising=False)
    monkeypatch.setenv(JOB, "43")
    monkeypatch.delenv(ARRAY, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    squeue = tmp_path / "squeue"
    squeue.write_text('#!/bin/bash\n[[ "$*" == *--jobs=43* ]] && echo 1:30\n')
    squeue.chmod(0o755)
    assert seconds_left() == 90.0
    squeue.write_text("#!/bin/bash\nexit 1\n")
    assert seconds_left() is None
    squeue.write_text("#!/bin/bash\necho 1:30; echo 2:30\n")
    assert seconds_left() is None
    assert caplog.text.count("no end is known") == 2


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--until", "soon", "expected a number of seconds, or auto"),
        ("--until", "-1", "expected a number of seconds, or auto"),
        ("--until", "nan", "expected a number of seconds, or auto"),
        ("--patience", "long", "expected a number of seconds, or forever"),
    ],
)
def test_what_is_no_time_is_refused(option: str, value: str, said: str, tmp_path: Path) -> None:
    """One sentence names the option, the value and what was expected."""
    result = CliRunner().invoke(cli, ["worker", str(tmp_path), option, value])

    assert result.exit_code == 2
    assert f"'{option}': '{value}': {said}" in result.output


def test_an_end_that_is_no_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has the variable."""
    monkeypatch.setenv(END_TIME, "UNLIMITED")
    result = CliRunner().invoke(cli, ["worker", str(tmp_path), "--until", "auto"])

    assert result.exit_code == 2
    assert f"{END_TIME}=UNLIMITED: expected seconds since the epoch" in result.output
