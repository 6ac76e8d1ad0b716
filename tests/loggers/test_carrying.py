"""A logger is told each thing once, and whatever it does, it harms nobody."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pbtnas.analysis.history.member_steps import MemberStep
from pbtnas.cli.app import cli
from pbtnas.config import ConfigError, from_json, outcome, to_json
from pbtnas.engine import loggers_beside as beside
from pbtnas.errors import ExitCode
from pbtnas.loggers.base import LoggedRun, Logger, PopulationStep, TrainingLine
from pbtnas.loggers.carrying import LoggerBusy, LoggerFailed, follow, tell_once
from pbtnas.loggers.following import Follower
from pbtnas.loggers.loading import UnknownLogger, check_loggers
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from pbtnas.records.kinds import RUN_KINDS, Role
from pbtnas.records.names import Name
from pbtnas.records.schema import Result
from pbtnas.store.fsck import check
from pbtnas.store.run_directory import create, open_run
from tests.loggers.logged_runs import GENERATIONS, MEMBERS, NAMES, STORY, run_until

ALL = [
    name
    for g in range(GENERATIONS)
    for name in (*(f"g{g:04d}-m{m:02d}" for m in range(MEMBERS)), f"g{g:04d}")
]
SEARCH = {"task": {"name": "digits"}, "search": {"population": 4, "generations": 2, "epochs": 1}}


class Notes(Logger):
    """Notes what it is told, and raises where it is to."""

    def __init__(self, fails: Sequence[str] = (), *, for_ever: bool = False) -> None:
        self.told: list[str] = []
        self.runs: list[LoggedRun] = []
        self.closed = 0
        self._fails = list(fails)
        self._for_ever = for_ever

    def begin(self, run: LoggedRun) -> None:
        self.runs.append(run)

    def member(self, step: MemberStep, training: Sequence[TrainingLine]) -> None:
        self._note(step.name)

    def population(self, step: PopulationStep) -> None:
        self._note(f"g{step.generation:04d}")

    def close(self) -> None:
        self.closed += 1

    def _note(self, name: str) -> None:
        if name in self._fails:
            if not self._for_ever:
                self._fails.remove(name)
            raise RuntimeError(f"no room for {name}")
        self.told.append(name)


class Asked:
    """A request to stop that comes after some waits, in each of which something happens."""

    def __init__(self, *happens: Any) -> None:
        self._happens = list(happens)
        self.waits = 0

    @property
    def asked(self) -> bool:
        return self.waits > len(self._happens)

    def wait(self, seconds: float) -> None:
        if self.waits < len(self._happens):
            self._happens[self.waits]()
        self.waits += 1


def test_a_logger_follows_a_run_that_is_yet_to_begin(tmp_path: Path) -> None:
    """It ends with the run; members come before their generation, generations in order."""
    logger = Notes()
    stop = Asked(*(lambda w=w: run_until(tmp_path, w) for w in (3, 9, 10, 40, 60, len(STORY))))

    follow(tmp_path, "notes", lambda: logger, stop)

    assert sorted(logger.told) == sorted(ALL)
    for generation in range(GENERATIONS):
        here = [name for name in logger.told if name.startswith(f"g{generation:04d}")]
        assert here[-1] == f"g{generation:04d}"
    assert [run.told_before for run in logger.runs] == [False]
    assert stop.waits == 6 and logger.closed == 1


def test_asked_to_stop_it_tells_what_came_last(tmp_path: Path) -> None:
    """The coordinator asks when the run is finished, which is when the last results are there."""
    logger = Notes()
    run_until(tmp_path, NAMES.index("generations/0001/selection.json"))
    follow(tmp_path, "notes", lambda: logger, Asked(lambda: run_until(tmp_path, len(STORY))))

    assert sorted(logger.told) == sorted(ALL)


def test_told_again_it_is_told_only_what_is_new(tmp_path: Path) -> None:
    """Another process goes on; a line of the list that was torn by its death is told again."""
    run_until(tmp_path, NAMES.index("generations/0001/selection.json"))
    first, second, third = Notes(), Notes(), Notes()
    tell_once(tmp_path, "notes", lambda: first)
    run_until(tmp_path, len(STORY))
    tell_once(tmp_path, "notes", lambda: second)
    assert sorted([*first.told, *second.told]) == sorted(ALL)
    assert second.runs[0].told_before

    told = tmp_path / "log" / "notes.told"
    told.write_bytes(told.read_bytes()[:-3])
    tell_once(tmp_path, "notes", lambda: third)
    assert third.told == ["g0003"]


def test_a_logger_that_fails_once_is_told_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again; what it took is not told twice."""
    run_until(tmp_path, len(STORY))
    logger = Notes(["g0001-m03", "g0002"])

    follow(tmp_path, "notes", lambda: logger, Asked(*[lambda: None] * 5))

    assert logger.told == ALL
    assert "no room for g0001-m03" in caplog.text


def test_a_logger_that_fails_again_and_again_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One sentence says so and how to go on; a logger that works later is told the rest."""
    run_until(tmp_path, len(STORY))
    logger = Notes(["g0001-m03"], for_ever=True)
    sentence = r"'notes' is given up, and the run goes on: RuntimeError: no room for g0001-m03; "

    with pytest.raises(LoggerFailed, match=sentence):
        follow(tmp_path, "notes", lambda: logger, Asked(*[lambda: None] * 9))
    assert logger.closed == 1
    with pytest.raises(LoggerFailed, match="'notes' failed: RuntimeError: no room"):
        tell_once(tmp_path, "notes", lambda: logger)
    later = Notes()
    tell_once(tmp_path, "notes", lambda: later)

    assert [*logger.told, *later.told] == ALL


def test_two_processes_do_not_tell_the_same_logger(tmp_path: Path) -> None:
    """The second says so, or waits if it follows; each logger has a list of its own."""
    run_until(tmp_path, len(STORY))
    held, other, waiting = Follower(tmp_path, "notes", Notes()), Notes(), Notes()
    with held:
        with pytest.raises(LoggerBusy, match="another process tells the logger 'notes'"):
            tell_once(tmp_path, "notes", Notes)
        tell_once(tmp_path, "other", lambda: other)
        follow(tmp_path, "notes", lambda: waiting, Asked())

    assert other.told == ALL and waiting.told == []


OWN = """
from pbtnas.loggers.base import Logger

class Mine(Logger):
    def begin(self, run):
        self.file = run.directory / "notes.txt"
    def member(self, step, training):
        with self.file.open("a") as file:
            file.write(f"{step.name} {step.score} {len(training)}\\n")

class Other:
    pass
"""


def test_the_command_tells_a_class_of_the_users(tmp_path: Path) -> None:
    """FILE.py:Class as for a task; whatever else is no logger is told in one sentence."""
    run_until(tmp_path / "run", len(STORY))
    (tmp_path / "own.py").write_text(OWN)

    def command(name: str) -> Any:
        return CliRunner().invoke(cli, ["log", str(tmp_path / "run"), "--to", name])

    assert command(f"{tmp_path}/own.py:Mine").exit_code == 0
    lines = (tmp_path / "run" / "log" / "Mine" / "notes.txt").read_text().splitlines()
    assert len(lines) == GENERATIONS * MEMBERS
    assert lines[0].endswith(" 4") and lines[-1].endswith(" 2")
    for name, sentence in (
        (f"{tmp_path}/own.py:Other", "expected a class that inherits pbtnas.loggers.base.Logger"),
        (f"{tmp_path}/gone.py:Mine", "expected FILE.py:Class of a file that is there"),
        ("tensorbord", "is 'tensorboard' meant?"),
    ):
        done = command(name)
        assert (done.exit_code, done.stderr.count("\n")) == (ExitCode.USAGE, 1), done.stderr
        assert sentence in done.stderr


def test_a_logger_whose_package_is_missing_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the words that install it, before a search begins."""
    monkeypatch.setattr("pbtnas.loggers.loading.find_spec", lambda name: None)

    with pytest.raises(
        UnknownLogger, match=r"needs the package wandb: `pip install \"pbtnas\[wandb\]\"`"
    ):
        check_loggers(["wandb"])


def test_the_section_of_loggers_decides_nothing(tmp_path: Path) -> None:
    """It is neither stored in the configuration nor compared; a run only remembers the names."""
    plain = from_json(SEARCH)
    told = from_json({**SEARCH, "logging": {"to": ["tensorboard", "mlflow"]}})

    assert told.logging.to == ("tensorboard", "mlflow")
    assert to_json(told) == to_json(plain) and outcome(to_json(told)) == outcome(to_json(plain))
    about = {"hash": "sha256", "space": "0"}
    create(tmp_path, to_json(told), about=about, logging=told.logging.to)
    assert open_run(tmp_path).logging == ("tensorboard", "mlflow")
    with pytest.raises(ConfigError, match="logging.to: expected names of tensorboard, wandb, "):
        from_json({**SEARCH, "logging": {"to": ["tensorbord"]}})


def test_what_loggers_write_is_no_damage(tmp_path: Path) -> None:
    """`pbtnas fsck` knows the files, and a run is the same with and without them."""
    kind = RUN_KINDS.of("log/tensorboard/m07/events.out.tfevents.0000000012.pbtnas")
    assert kind is not None and kind.role is Role.TEXT
    run_until(tmp_path, len(STORY))
    before = [fault.name for fault in check(tmp_path)]
    tell_once(tmp_path, "notes", Notes)

    assert [fault.name for fault in check(tmp_path)] == before


WILLING = """
import signal, sys, time
signal.signal(signal.SIGUSR2, lambda *_: sys.exit(0))
open({ready!r}, "w").close()
time.sleep(600)
"""
STUBBORN = WILLING.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")


def test_loggers_beside_a_process_are_asked_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that hangs is ended; one that fails at once is not missed; the context is left as it
    would be without them."""
    ready = [tmp_path / "willing", tmp_path / "stubborn"]
    programs = {
        "willing": WILLING.format(ready=str(ready[0])),
        "stubborn": STUBBORN.format(ready=str(ready[1])),
        "failing": "raise SystemExit(1)",
    }
    monkeypatch.setattr(beside, "LAST_LOOK_S", 0.5)
    monkeypatch.setattr(
        beside,
        "python_command",
        lambda *words: [sys.executable, "-S", "-c", programs[words[words.index("--to") + 1]]],
    )

    with caplog.at_level(logging.WARNING), pytest.raises(KeyError, match="of the search"):
        with beside.loggers_beside(tmp_path, list(programs)):
            while not all(file.exists() for file in ready):
                signal.sigtimedwait([], 0.01)
            raise KeyError("of the search")

    assert [r.args for r in caplog.records if "does not end" in r.msg] == [("stubborn",)]


def test_a_follower_ends_with_a_run_in_which_nobody_has_a_score(tmp_path: Path) -> None:
    """No record says that such a run is over; everything of it was told by then."""
    run_until(tmp_path, NAMES.index(paths.manifest(0)) + 1)
    notes = Notes()
    with Follower(tmp_path, "notes", notes) as follower:
        for member in range(MEMBERS):
            assert not follower.look()
            name, failed = paths.result(0, member), Result(member, "failed", None, {}, None)
            record = Record("result", open_run(tmp_path).id, failed.to_json(), {}, "n")
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(encode(record, name))
        assert follower.look()
    assert notes.told == [f"g0000-m{member:02d}" for member in range(MEMBERS)]


@pytest.mark.parametrize("alone", [False, True])
def test_a_member_that_is_tried_again_is_told_with_its_score(tmp_path: Path, alone: bool) -> None:
    """As by a logger that is attached later; also where the run had ended, as all had failed."""
    opened = NAMES.index(paths.manifest(0)) + 1
    run_until(tmp_path, opened)
    good = paths.result(0, 0)
    content = dict(STORY)[good]
    assert content is not None
    retried = decode(content, good, kind="result", run=None)
    notes = Notes()
    with Follower(tmp_path, "notes", notes) as follower:
        for member in range(MEMBERS if alone else 1):
            _publish(tmp_path, paths.result(0, member), Result(member, "failed", None, {}, None))
        assert follower.look() == alone
        assert notes.told == [f"g0000-m{member:02d}" for member in range(MEMBERS if alone else 0)]
        notes.told.clear()
        _publish(tmp_path, paths.result(0, 0, 1), Result.from_json(retried.core))
        for _ in range(2):
            follower.look()
    assert notes.told == ["g0000-m00"]


def _publish(root: Path, name: str, result: Result) -> None:
    record = Record("result", open_run(root).id, result.to_json(), {}, "n")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(encode(record, Name(name)))
