"""ranks, and tables as data: what a person types, sees, and is told when it cannot be."""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.analysis import instances
from pbtnas.cli import app as cli
from pbtnas.data import ground_truth
from tests.analysis.supernets import made_rows
from tests.data.tables import accuracy_file, cell64_table, write

PUBLISHED = os.environ.get("PBTNAS_TEST_TABLES")
"""A directory with the authors' files, which are not ours to give."""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(a) for a in arguments], prog_name="pbtnas")


def numbers(output: str) -> dict[str, str]:
    """The last cell of every row of printed CSV, by its first."""
    return {row[0]: row[-1] for row in csv.reader(output.splitlines()) if row}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A table of the 64, and the rows of two instances."""
    return (
        cell64_table(tmp_path),
        accuracy_file(tmp_path, made_rows(0, rows=12), name="first.csv"),
        accuracy_file(tmp_path, made_rows(1, rows=12), name="second.csv"),
    )


def test_ranks_prints_instances_and_baselines(files: tuple[Path, Path, Path]) -> None:
    """Each file has a column; the table below has both baselines; several files have intervals."""
    result = call("ranks", *files, "--last", 8)

    assert result.exit_code == 0, result.output
    for words in ("GT-Tau-Mean-8", "first", "second", "fewest weightless", "each trained alone"):
        assert words in result.output
    assert "Intervals of the means (95 %)" in result.output
    assert "Intervals" not in call("ranks", *files[:2], "--last", 8).output


def test_ranks_prints_every_digit_for_programs(files: tuple[Path, Path, Path]) -> None:
    """CSV has the numbers that the functions compute."""
    truth = ground_truth.read_table(files[0])
    result = call("ranks", *files[:2], "--last", 8, "--format", "csv")

    values = made_rows(0, rows=12).round(6)
    expected = instances.tau_mean_std(values, truth.means, 8)
    assert float(numbers(result.output)["GT-Tau-Mean-8"]) == pytest.approx(expected.mean)


def test_ranks_knows_groups(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """A file of labels adds tau within groups, and is named where it is a known partition."""
    labels = write(tmp_path, "\n".join(str(i // 4) for i in range(64)), "groups.txt")
    result = call("ranks", *files[:2], "--last", 8, "--groups", labels)

    assert "within 16 groups: Mean-8" in result.output
    assert "the similar partition of pbtnas" in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["{table}", "{rows}"], "rows.csv has 12 rows, --last needs 64"),
        (["{table}", "{rows}", "--last", "4", "--between", "13"], "12 rows, --between needs 13"),
        (["{table}", "{rows}", "{rows}", "--last", "4"], "rows.csv is given twice"),
        (
            ["{table}", "{table}", "--last", "4"],
            "truth.csv has 2 columns behind the first, expected 64",
        ),
        (["{percent}", "{rows}"], "acc_mean of 111 is 70.1, expected a fraction between 0 and 1;"),
        (["none.csv", "{rows}"], "none.csv: No such file"),
        (["cell64-table", "{rows}"], "has no cell64-table: give it by `pbtnas data get cell64-"),
        (["{table}", "{rows}", "--last", "4", "--groups", "{table}"], "has 65 labels, expected 64"),
        (["{table}", "{rows}", "--last", "0"], "0 is not in the range"),
    ],
)
def test_bad_files_are_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    """The exit code is 2, and the sentence names file, value and what was expected."""
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path / "data"))
    places = {
        "table": cell64_table(tmp_path),
        "rows": accuracy_file(tmp_path, made_rows(0, rows=12)),
        "percent": write(tmp_path, "arch,acc_mean\n111,70.1\n112,78.5\n", "percent.csv"),
    }
    result = call("ranks", *(argument.format(**places) for argument in arguments))

    assert result.exit_code == 2
    assert told in result.output
    assert "Traceback" not in result.output


def test_a_table_is_kept_and_used_by_name(
    files: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`data get` checks and keeps the published table; its name then stands for the file."""
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()
    table = replace(ground_truth.CELL64, sha256=digest)
    for function in (ground_truth.keep_table, ground_truth.open_table):
        monkeypatch.setattr(function, "__defaults__", (table,))
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path / "data"))

    got = call("data", "get", "cell64-table", "--from", files[0])
    assert (got.exit_code, got.output) == (0, f"cell64-table is in {tmp_path / 'data'}\n")
    by_name, by_file = (call("ranks", t, files[1], "--last", 8) for t in ("cell64-table", files[0]))
    assert by_name.exit_code == 0
    assert by_name.output == by_file.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "cell64-table needs --from FILE: it is not downloaded"),
        (["--via", "npm"], "--via npm is for cifar10"),
        (["--from", "{table}"], "is not the published cell64-table: expected the SHA-256 df97505b"),
    ],
)
def test_another_table_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], told: str
) -> None:
    """The exit code is 2, and nothing is written."""
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path / "data"))
    table = cell64_table(tmp_path)
    result = call("data", "get", "cell64-table", *(o.format(table=table) for o in options))

    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(PUBLISHED is None, reason="PBTNAS_TEST_TABLES names no directory")
def test_the_authors_files_give_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To six digits: the published table, 128 published rows, and the published partition."""
    monkeypatch.setenv("PBTNAS_DATA", str(tmp_path))
    place = Path(str(PUBLISHED))
    rows, groups = place / "ws64_authors_last128.csv", place / "ws64_authors_partition16.txt"
    assert call("data", "get", "cell64-table", "--from", place / "gt64.csv").exit_code == 0

    output = call("ranks", "cell64-table", rows, "--groups", groups).output

    lines = [line.split() for line in output.splitlines()]
    told = {" ".join(words[:-1]): words[-1] for words in lines if words}
    expected = {
        "GT-Tau-Mean-64": "0.508175",
        "GT-Tau-Std-64": "0.152581",
        "last 64 averaged: GT-Tau": "0.641865",
        "last 64 averaged: T1R": "11",
        "last 64 averaged: T3R": "7",
        "last 64 averaged: true best 16 in first half": "15",
        "last row: GT-Tau": "0.504218",
        "last row: T1R": "11",
        "last row: T3R": "11",
        "last 10 rows: S-Tau": "0.525986",
        "last 10 rows: largest": "0.884530",
        "last 10 rows: smallest": "0.115661",
        "within 16 groups: Mean-64": "0.589914",
    }
    assert {name: told.get(name) for name in expected} == expected
    assert "The 16 groups are the random partition of pbtnas." in output
    fewest = next(words for words in lines if words[:2] == ["fewest", "weightless"])
    assert fewest[6:9] == ["0.791212", "14.11", "7.00"]
    alone = next(words for words in lines if words[:3] == ["each", "trained", "alone"])
    assert float(alone[4]) == pytest.approx(0.72, abs=0.01)
    assert float(alone[7]) == pytest.approx(0.79, abs=0.01)
