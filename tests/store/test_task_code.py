"""A run goes on with the code of its task, or with other code that somebody accepted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pbtnas.analysis.history.run import History
from pbtnas.analysis.report.tables import code_table
from pbtnas.monitoring.progress import status
from pbtnas.records import paths
from pbtnas.records.task_code import SourceFile, TaskCode
from pbtnas.store import task_code
from pbtnas.store.fsck import check, repair
from pbtnas.store.run_directory import create, open_run
from pbtnas.store.task_code import CodeInForce, OtherCode, check_code


def code(text: str) -> TaskCode:
    file = SourceFile(hashlib.sha256(text.encode()).hexdigest(), text)
    return TaskCode("own.py", {"own.py": file}, versions={"torch": "1"})


FIRST, SECOND, THIRD = (code(f"x = {number}") for number in range(3))
CONFIG = {
    "task": {"name": "Own"},
    "search": {"generations": 1, "algorithm": "pbt-nas"},
    "run": {"seed": 1},
    "engine": {},
}
ABOUT = {"hash": "sha256", "space": "s", "seed": 1, "task": "Own"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create(tmp_path / "run", CONFIG, about=ABOUT, code=FIRST)
    return tmp_path / "run"


def test_other_code_is_refused_with_what_differs_and_both_ways_on(root: Path) -> None:
    """Half a search with one network and half with another is no search."""
    check_code(root, open_run(root), FIRST, accept=False)
    check_code(root, open_run(root), code("x = 0  # the same"), accept=False)

    with pytest.raises(OtherCode) as refused:
        check_code(root, open_run(root), SECOND, accept=False)

    text = str(refused.value)
    assert f"{root}: the code of the task own.py is not that of the run" in text
    assert "-x = 0" in text and "+x = 1" in text
    assert f"by: pbtnas show {root} --code own.py\n" in text and "--accept-code-change" in text
    assert refused.value.exit_code == 2
    assert open_run(root).codes.in_force == FIRST


def test_accepted_code_is_recorded_and_holds_for_everybody(root: Path) -> None:
    """Nobody else has to be told; who still has the old code is refused now."""
    for _ in range(2):  # a second time, there is nothing to accept
        check_code(root, open_run(root), SECOND, accept=True)

    check_code(root, open_run(root), SECOND, accept=False)
    with pytest.raises(OtherCode):
        check_code(root, open_run(root), FIRST, accept=False)
    started, accepted = open_run(root).codes.known
    assert (started.code, accepted.code) == (FIRST, SECOND)
    assert accepted.accepted.keys() == {"by", "at", "from", "to"}
    assert accepted.accepted["from"] == FIRST.digest
    assert accepted.accepted["to"] == SECOND.digest
    assert check(root) == []


def test_what_was_accepted_is_shown(root: Path) -> None:
    """Report and status tell with which code a run was started, and what came later."""
    check_code(root, open_run(root), SECOND, accept=True)

    history = History.read(root)
    assert [row[0][:8] for row in code_table(history).rows] == ["at the s", "accepted"]
    told = status(root, now=0.0).code
    assert told is not None
    assert (told["digest"], told["changes"]) == (SECOND.digest, 1)
    assert told["files"] == {"own.py": SECOND.files["own.py"].sha256}
    json.dumps(told)


def test_a_run_begun_before_code_was_recorded_takes_any_and_records_none(tmp_path: Path) -> None:
    """What it was started with nobody knows; only who asks for it has the code of now recorded."""
    root = tmp_path / "run"
    create(root, CONFIG, about=ABOUT)
    assert status(root, now=0.0).code is None
    assert code_table(History.read(root)).notes == ("The run does not record it.",)

    check_code(root, open_run(root), FIRST, accept=False)
    assert open_run(root).codes.in_force is None
    check_code(root, open_run(root), FIRST, accept=True)
    assert open_run(root).codes.known[0].accepted["from"] is None
    with pytest.raises(OtherCode):
        check_code(root, open_run(root), SECOND, accept=False)


def test_who_works_on_notices_that_other_code_was_accepted(root: Path) -> None:
    """A worker on another machine, or a coordinator, does not go on with what it has loaded."""
    mine = CodeInForce(root, open_run(root), FIRST)
    mine.check()
    check_code(root, open_run(root), SECOND, accept=True)
    theirs = CodeInForce(root, open_run(root), SECOND)

    with pytest.raises(OtherCode):
        mine.check()
    theirs.check()
    check_code(root, open_run(root), FIRST, accept=True)
    mine.check()
    with pytest.raises(OtherCode):
        theirs.check()


def test_a_look_for_other_code_is_due_a_second_after_the_last(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs of milliseconds do not look each, and a worker is a second late at most."""
    now = [100.0]
    monkeypatch.setattr(task_code.time, "monotonic", lambda: now[0])
    mine = CodeInForce(root, open_run(root), FIRST)
    assert mine.due
    mine.check()
    assert not mine.due
    now[0] += task_code.LOOK_S
    assert mine.due


def test_where_a_change_is_damaged_the_code_before_it_holds(root: Path) -> None:
    """Who has the other code is asked again; what is accepted later is found after a repair too."""
    check_code(root, open_run(root), SECOND, accept=True)
    (root / paths.code(1)).write_bytes(b"{")

    assert open_run(root).codes.in_force == FIRST
    (fault,) = check(root)
    assert fault.name == paths.code(1)
    check_code(root, open_run(root), THIRD, accept=True)
    assert open_run(root).codes.in_force == THIRD
    repair(root, check(root))
    assert open_run(root).codes.in_force == THIRD
    assert check(root) == []
