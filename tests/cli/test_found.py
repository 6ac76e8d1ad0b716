"""Found architectures by published results: what a person types, sees, and is told."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli import app as cli
from pbtnas.data import nb201_table as module
from pbtnas.data.nb201_table import NB201
from tests.data.tables import cell64_table, nb201_table

CONFIG = Path(__file__).parents[2] / "configs" / "weight_sharing" / "nb201_try.yaml"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three tiny networks of NAS-Bench-201."""
    root = tmp_path_factory.mktemp("runs") / "run"
    small = ("search.population=3", "search.generations=1", "task.steps_per_epoch=1")
    given = [word for value in small for word in ("--set", value)]
    result = call("run", CONFIG, root, "--workers", 1, *given)
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made table of all architectures, which may be kept as the published one is."""
    file = nb201_table(tmp_path, NB201.names)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "NB201", replace(NB201, sha256=digest))
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path / "data"))
    return file


def test_evaluate_says_what_was_found(run_dir: Path, table: Path) -> None:
    """The architecture in both ways of writing, and its published results once the table is kept.

    The run is evaluated once; asking again shows what is known by then."""
    result = call("evaluate", run_dir)
    assert result.exit_code == 0, result.output
    (line, *_) = [line for line in result.output.splitlines() if "architecture" in line]
    _, name, *_, text = line.split()
    assert (len(name), text[0], text.count("~")) == (6, "|", 6)
    assert "by nb201-table" not in result.output

    assert call("data", "get", "nb201-table", "--from", table).exit_code == 0
    row = next(r for r in table.read_text().splitlines() if f",{name}," in r).split(",")
    assert (
        f"CIFAR-10 by nb201-table: {float(row[5]):.2f} %, regret"
        in call("evaluate", run_dir).output
    )


def test_compare_looks_up_what_a_run_returned(run_dir: Path, table: Path, tmp_path: Path) -> None:
    """In a table that is kept, or in a file; all tables are written."""
    call("data", "get", "nb201-table", "--from", table)
    kept = call("compare", run_dir, "--found", "table", "-o", tmp_path / "out")

    assert kept.exit_code == 0, kept.output
    assert "optimum of each" in kept.output
    assert {p.name for p in (tmp_path / "out").glob("*.csv")} == {"found.csv", "architectures.csv"}
    assert "best of 10 random" in call("compare", run_dir, "--found", table).output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--found", "nothing.csv"],
            "--found: expected table, cell64-table or nb201-table, or the",
        ),
        (
            ["--found", "table"],
            "has no nb201-table: give it by `pbtnas data get nb201-table --from",
        ),
        (["--at-equal-cost"], "--at-equal-cost is of --found"),
        (["--found", "table", "--ranks", "table"], "--found and --ranks are two questions"),
        (["--found", "table", "--final"], "--found compares architectures: of the other options"),
    ],
)
def test_what_cannot_be_looked_up_is_told(
    run_dir: Path, table: Path, options: list[str], told: str
) -> None:
    """In one sentence, with the exit code of a wrong command."""
    result = call("compare", run_dir, *options)

    assert result.exit_code == 2
    assert told in " ".join(result.output.split())


def test_a_table_of_another_space_is_told(run_dir: Path, tmp_path: Path) -> None:
    """With both spaces and the run."""
    result = call("compare", run_dir, "--found", cell64_table(tmp_path))

    assert result.exit_code == 2
    told = "run run searches the space nb201, expected one with a table that is given: truth.csv is"
    assert told in result.output


def test_a_file_without_the_published_columns_says_what_it_was_taken_for(
    run_dir: Path, tmp_path: Path
) -> None:
    """Architectures of nb201 in the plain format are none of cell64: the sentence says both."""
    file = tmp_path / "few.csv"
    file.write_text("arch,acc_mean\n222133,0.9\n333333,0.95\n")

    result = call("compare", run_dir, "--found", file)

    assert result.exit_code == 2
    assert "'222133', expected the 64 architectures 111 to 444" in result.output
    assert "(of cell64; a table of nb201 has a column ops_" in result.output


def test_a_table_that_was_changed_is_not_used(run_dir: Path, table: Path, tmp_path: Path) -> None:
    """The evaluation is shown all the same, with a sentence that says how to mend it."""
    call("data", "get", "nb201-table", "--from", table)
    (kept,) = (tmp_path / "data").iterdir()
    os.truncate(kept, 1000)

    result = call("evaluate", run_dir)

    assert result.exit_code == 0
    assert "without published results" in result.output
    assert "regret" not in result.output
