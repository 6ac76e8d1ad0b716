"""Whether a worker lives, as a scheduler's probe asks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import pbtnas
from pbtnas.cli.app import cli
from pbtnas.engine import presence
from pbtnas.monitoring.alive import shows_life
from pbtnas.records import paths
from pbtnas.records.heartbeat import Heartbeat, left
from pbtnas.store.identity import this_process
from pbtnas.store.run_directory import create

LEASE_S = 60.0
NAME = "node3-17390-w-84a96d"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that has begun, on a machine with no workers."""
    monkeypatch.setattr(presence, "default_scratch", lambda: tmp_path / "scratch")
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": pbtnas.__version__, "task": "t"}
    config = {"engine": {"lease_s": LEASE_S, "beat_s": 5.0}}
    create(tmp_path / "run", config, about=about)
    return tmp_path / "run"


def beat(run: Path, counter: int, phase: str = "training", name: str = NAME) -> None:
    (run / paths.worker(name)).write_bytes(Heartbeat(counter, 0, phase).encode())


def watched(run: Path, after_s: Callable[[float], None] = lambda _: None) -> tuple[bool, float]:
    """Whether the worker shows life, and after how long; the time passes as it is slept."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        after_s(now[0])

    return shows_life(run, NAME, clock=lambda: now[0], sleep=sleep), now[0]


def test_who_beats_lives_and_who_is_silent_does_not(run: Path) -> None:
    """By a heartbeat that changes, within the lease; the times of files are not looked at."""
    beat(run, 1)
    assert watched(run) == (False, LEASE_S)
    assert watched(run, lambda now_s: beat(run, 2) if now_s == 5.0 else None) == (True, 5.0)


def test_who_was_never_there_or_has_left_does_not_live(run: Path) -> None:
    """That is known at once."""
    assert watched(run) == (False, 0.0)
    beat(run, 3, left("stopped"))
    assert watched(run) == (False, 0.0)


def alive(run: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["worker-alive", str(run), *arguments])
    return result.exit_code, result.output


def test_without_a_name_the_workers_of_this_machine_are_meant(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that waits for the run to begin lives; one with a name is asked for by its name."""
    asked: list[str] = []
    monkeypatch.setattr(
        "pbtnas.monitoring.alive.shows_life", lambda _, name: bool(asked.append(name)) or True
    )
    assert alive(run) == (1, f"pbtnas: {run}: no worker of this machine works on it\n")
    presence.note_presence(run)
    assert alive(run) == (0, "") and asked == []
    identity = this_process("w")
    presence.note_presence(run, identity)
    assert alive(run) == (0, "") and asked == [identity["worker"]]
    assert alive(run.parent)[0] == 1


def test_a_dead_worker_of_this_machine_is_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has noted is not believed once its process is gone."""
    presence.note_presence(run)
    monkeypatch.setattr(presence, "provably_dead", lambda holder: True)

    assert alive(run)[0] == 1


def test_a_silent_worker_is_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 1, and its name."""
    monkeypatch.setattr("pbtnas.monitoring.alive.shows_life", lambda root, name: False)
    assert alive(run, NAME) == (1, f"pbtnas: {NAME}: no sign of life\n")
    assert alive(run, "../x")[0] == 2
