"""`pbtnas members`, `member`, `workers`, `logs` and `watch`: true to the records, quick to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pbtnas.analysis.history.run import History
from pbtnas.cli import inspect as cli_inspect
from pbtnas.cli import logs as cli_logs
from pbtnas.cli.app import cli
from pbtnas.records import paths
from tests.analysis.made_runs import SPACE, beat, claim, search, story, study, write

STORY = story(search())
NAMES = [name for name, _ in STORY]
BEGUN = STORY[: NAMES.index(paths.result(2, 1)) + 1]
REST = STORY[len(BEGUN) :]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


def printed(*arguments: object) -> Any:
    """What a command prints as JSON."""
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """Generation 2 of 4: members 0 and 1 are done, 2 is in work, the others are pending."""
    root = tmp_path / "run"
    write(root, BEGUN)
    at = (root / paths.manifest(0)).stat().st_mtime
    slot = paths.job_slot(2, 2)
    write(root, [claim(slot, 1, "host-7-w")])
    beat(root, paths.beat(slot, 1), at + 3600, phase="training", done=40)
    for name in ("host-7-w", "host-8-w"):
        beat(root, paths.worker(name), at + 3600, phase="training g0002 m02", done=40)
        (root / paths.worker_log(name)).write_text(f"one\n\x1b[2Jtwo of {name}\nthe last")
    logged = root / paths.attempt_log(1, 0, 1)
    logged.parent.mkdir(parents=True)
    logged.write_text('{"step": 5, "loss": 0.5}\nno JSON\n{"st')
    return root


def test_all_members_of_a_generation_are_listed(running: Path) -> None:
    """Of the newest one, who is in work too; of another, by its number, if there is one."""
    rows = printed("members", running)
    history = History.read(running)

    assert [row["state"] for row in rows] == ["ok", "ok", "in work"] + ["pending"] * 3
    assert rows[2]["worker"] == "host-7-w"
    for row in rows:
        born = [n for n in (1, 2) if history.birth(n, row["member"]) is not None]
        birth = history.birth(born[-1], row["member"]) if born else None
        assert row["age"] == 3 - (born[-1] if born else 0)
        parents = [] if birth is None else [birth.birth.base, birth.birth.donor]
        assert row["parents"] == list(dict.fromkeys(parents))
        architecture = history.architecture(2, row["member"])
        # The space of this run is not recorded.
        assert list(row["options"].values()) == list(architecture or ())
    earlier = call("members", running, "--generation", 1).stdout.splitlines()
    assert [line.split()[:2] for line in earlier[3:5]] == [
        ["g0001-m02", "failed"],
        ["g0001-m03", "diverged"],
    ]
    assert call("members", running, "--generation", 7).exit_code == 2


def test_a_member_is_shown_with_all_its_ancestors(running: Path) -> None:
    """Through bases, from the first generation on, with the scores that they had."""
    write(running, REST)
    history = History.read(running)
    for member in range(6):
        found = printed("member", running, f"g0003-m{member:02d}")
        slot = member
        for ancestor in reversed(found["ancestors"]):
            generation = history.generations[ancestor["generation"]]
            assert ancestor["member"] == slot
            assert ancestor["score"] == generation.results[slot].result.score
            born = history.birth(generation.number, slot)
            assert ancestor["donor"] == (None if born is None else born.birth.donor)
            slot = slot if born is None else born.birth.base
        assert [a["generation"] for a in found["ancestors"]] == [0, 1, 2, 3]
        born = history.birth(found["born"], member) if found["born"] else None
        inherited = () if born is None else born.birth.inherited
        origins = [choice["origin"] for choice in found["architecture"]]
        given = "created" if born is None else "base"
        assert origins == ["donor" if i in inherited else given for i in range(len(SPACE))]


def test_a_failed_member_shows_its_attempts_and_its_traceback(running: Path) -> None:
    """Which worker, how each attempt ended, and the traceback whole."""
    lines = call("member", running, "g0001-m02").stdout.splitlines()

    assert "failed (oom):" in lines and lines[-1] == "  ValueError: no such layer"
    assert "  3  host-0-w  oom: ValueError: no such layer" in lines
    assert printed("member", running, "2")["generation"] == 1
    for name, sentence in (("x", "07, m07"), ("99", "has no member m99"), ("g0009-m01", "has 3")):
        refused = call("member", running, name)
        assert refused.exit_code == 2 and sentence in refused.stderr


def test_workers_are_counted_by_what_they_did(running: Path) -> None:
    """State, host, attempts and failed attempts of the newest generations."""
    write(running, REST)
    beat(running, paths.worker("host-0-w"), 0.0, phase="left: stopped")
    rows = {row["name"]: row for row in printed("workers", running)}

    assert rows["host-7-w"]["state"] == "live" and rows["host-7-w"]["host"] == "host"
    assert rows["host-0-w"]["state"] == "gone" and rows["host-0-w"]["failures"] == 3
    assert rows["host-0-w"]["attempts"] > 3
    assert "host-8-w" in call("workers", running).stdout


def test_the_log_tells_what_the_records_say(running: Path) -> None:
    """Results, failures, selections and births, in order; only the last ones, if asked for."""
    whole = printed_lines("logs", running)
    kinds = [row["kind"] for row in whole if row["generation"] == 1]

    assert kinds.count("ok") == 4 and kinds.count("failed") == kinds.count("diverged") == 1
    assert kinds.index("selected") > kinds.index("failed")
    assert printed_lines("logs", running, "-n", 2) == whole[-2:]
    assert call("logs", running, "-n", 0).stdout == ""


def printed_lines(*arguments: object) -> list[dict[str, Any]]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_log_of_a_member_has_what_its_task_logged(running: Path) -> None:
    """Its events only, and the whole lines of each attempt's log, JSON or not."""
    rows = printed_lines("logs", running, "--member", "00")

    assert {row["member"] for row in rows} == {0}
    assert [row["logged"] for row in rows if "logged" in row] == [
        {"step": 5, "loss": 0.5},
        "no JSON",
    ]
    assert 'g0001 m00 attempt 1: {"step": 5' in call("logs", running, "--member", "m00").stdout


def test_the_log_of_a_worker_is_found_by_a_part_of_its_name(running: Path, tmp_path: Path) -> None:
    """Whole, without anything that moves the cursor; of a worker of a study beside the runs."""
    assert call("logs", running, "--worker", "7-w").stdout.splitlines() == [
        "one",
        " [2Jtwo of host-7-w",
        "the last",
    ]
    several = call("logs", running, "--worker", "host")
    assert several.exit_code == 2 and "host-7-w, host-8-w" in several.stderr
    assert call("logs", running, "--worker", "nobody").exit_code == 2
    assert call("logs", running, "--worker", "7-w", "--member", "1").exit_code == 2
    root = tmp_path / "study"
    study(root)
    (root / paths.worker_log("host-9-w")).write_text("of the study\n")
    run = next((root / "runs").iterdir())
    for place in (root, run):
        assert call("logs", place, "--worker", "9-w").stdout == "of the study\n"


def test_a_log_is_followed_to_the_end_of_the_run(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is told twice, nothing is left out, and the command ends with the run."""
    log = running / paths.worker_log("host-7-w")

    def more(seconds: float) -> None:
        write(running, REST)
        with log.open("a") as file:
            file.write(" word\nend")

    monkeypatch.setattr(cli_logs.time, "sleep", more)
    of_worker = call("logs", running, "--worker", "host-7-w", "-f").stdout.splitlines()
    assert of_worker[2:] == ["the last word", "end"]
    for name in [name for name, _ in REST]:
        (running / name).unlink()
    followed = call("logs", running, "-f").stdout.splitlines()
    assert sorted(followed) == sorted(call("logs", running).stdout.splitlines())


def test_watching_a_finished_run_shows_its_end(running: Path) -> None:
    """Without a terminal it is printed as lines, with exit code 0."""
    write(running, REST)
    result = call("watch", running)

    assert result.exit_code == 0 and "finished" in result.stdout.splitlines()[-1]
    assert call("watch", running / "FORMAT").exit_code == 2


def test_a_status_is_as_wide_as_the_terminal(
    running: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the terminal would break, the screen breaks between facts."""
    monkeypatch.setattr(cli_inspect, "columns", lambda: 40)
    lines = call("status", running).stdout.splitlines()

    assert max(map(len, lines)) <= 40 and any("2 of 6 done" in line for line in lines)
