"""`--schedule-of`: a run that trains the winner of another alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli.app import cli
from pbtnas.records import paths
from tests.analysis import made_runs

TASK = """
from pbtnas.search import SearchSpace, ladder, layer, switch

class tiny:
    space = SearchSpace(
        [layer("first", ("a", "b", "c")), switch("norm", (False, True)),
         ladder("rate", 0.001, 0.1, steps=5)]
    )
    def prepare(self, preparation): ...
    def create(self, architecture, seed): ...
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run with a ladder; its task is in a file."""
    root, file = tmp_path / "run", tmp_path / "mine.py"
    made_runs.write(root, made_runs.story(made_runs.search(space=made_runs.LADDERS)))
    file.write_text(TASK)
    monkeypatch.setenv("PBTNAS_TASK", f"{file}:tiny")
    return root


def test_a_dry_run_shows_the_schedule_in_the_configuration(run: Path, tmp_path: Path) -> None:
    """All that the new run is made from stands in its own configuration, for whoever goes on with
    it has nothing else; overrides hold as with a file."""
    dry = ["--dry-run", "--set", "run.seed=8"]
    result = call("coordinator", "--schedule-of", run, tmp_path / "new", *dry)

    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    search = shown["search"]
    assert (search["population"], len(search["schedule"]), shown["run"]["seed"]) == (1, 4, 8)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["run", "coordinator"])
def test_a_file_and_a_schedule_are_not_given_together(
    run: Path, tmp_path: Path, command: str
) -> None:
    """One of the two says what is run: exit code 2, and what was expected."""
    result = call(command, "x.yaml", tmp_path / "new", "--schedule-of", run)

    assert result.exit_code == 2
    assert "--schedule-of RUN RUN_DIR" in result.stderr


def test_an_unfinished_run_is_refused_in_one_sentence(run: Path, tmp_path: Path) -> None:
    """Before anything is started or made."""
    (run / paths.FINAL).unlink()
    result = call("run", "--schedule-of", run, tmp_path / "new")

    assert result.exit_code == 2
    assert result.stderr == (
        f"pbtnas: {run}: is not finished, so its best member is not known yet\n"
    )
    assert not (tmp_path / "new").exists()
