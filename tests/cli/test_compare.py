"""compare, plot and report: what a person types, sees, and is told when it cannot be."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli import app as cli
from pbtnas.records import paths
from tests.analysis.made_runs import LADDERS, search, story, study, write


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two algorithms and three seeds, one run of which has not begun."""
    directory = tmp_path_factory.mktemp("studies") / "small"
    return study(directory, unbegun=("random-search-s3",))


def test_compare_prints_tables_and_writes_them(root: Path, tmp_path: Path) -> None:
    """The terminal has the tables, the directory has them in every format."""
    result = call("compare", root, "--partial", "-o", tmp_path / "tables")

    assert result.exit_code == 0
    assert "Is the first better than the second?" in result.output
    assert "ddof = 0" in result.output
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {
        *("compare.txt", "compare.md", "compare.tex"),
        *("summary.csv", "pairs.csv", "reach.csv", "values.csv"),
    }
    with (tmp_path / "tables" / "values.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["seed"] for row in rows] == ["1", "2", "3"]
    assert rows[2]["random-search"] == "nan"


@pytest.mark.parametrize(
    ("form", "sign"), [("markdown", "| --- |"), ("latex", r"\toprule"), ("csv", "algorithm,seeds,")]
)
def test_compare_prints_other_formats(root: Path, form: str, sign: str) -> None:
    """For a paper, a README, and programs."""
    assert sign in call("compare", root, "--partial", "--format", form).output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "1 of 6 runs not finished (random-search-s3); --partial leaves them out"),
        (["--metric", "loss"], "--metric loss needs --better larger or --better smaller"),
        (["--better", "smaller"], "larger scores are better"),
        (["--partial", "--claims", "pbt-nas"], "expected BETTER>WORSE"),
        (["--partial", "--claims", "pbt-nas>x"], "a claim names algorithm 'x'"),
        (["--partial", "--final"], "has no final evaluation: `pbtnas evaluate"),
        (["--partial", "--metric", "fid", "--better", "smaller"], "it reports score, loss"),
        (["--partial", "--pool"], "pooling needs --claims"),
        (["--only", "x*"], "there are no runs named x*"),
        (["--ranks", "x"], "--ranks: expected one of pbt-nas, random-search, table, the file of"),
        (["--ranks", "pbt-nas"], "pbt-nas-s1 is no ground truth, expected one that trains every"),
        (["--ranks", "pbt-nas", "--pool", "--claims", "a>b"], "--ranks compares rankings"),
        (["--last", "4"], "--last is of --ranks"),
    ],
)
def test_compare_refuses_in_one_sentence(root: Path, options: list[str], told: str) -> None:
    """Exit code 2, and nothing is printed that looks like a result."""
    result = call("compare", root, *options)

    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_compare_takes_runs_one_by_one(root: Path) -> None:
    """Runs that no study made are named by their algorithms."""
    runs = [root / paths.STUDY_RUNS / f"{name}-s1" for name in ("pbt-nas", "random-search")]

    result = call("compare", *runs)

    assert result.exit_code == 0 and "random-search" in result.output
    twice = call("compare", runs[0], runs[0])
    assert twice.exit_code == 2 and "with seed 1: name one of them" in twice.stderr


def test_plot_draws_a_study_and_a_run(root: Path, tmp_path: Path) -> None:
    """A study's figures; a run's, without options where its task is not installed here."""
    drawn = call("plot", root, "-o", tmp_path / "study")
    assert drawn.exit_code == 0
    assert "left out, not finished: random-search-s3" in drawn.stderr
    assert {path.name for path in (tmp_path / "study").iterdir()} == {
        *("curves.png", "curves.svg", "ablations.png", "ablations.svg")
    }
    run = root / paths.STUDY_RUNS / "pbt-nas-s1"
    drawn = call("plot", run)
    assert drawn.exit_code == 0 and "Options are left out: task.name" in drawn.stderr
    assert (run / paths.ARTIFACTS / "lineage.png").exists()


def test_a_run_that_records_its_space_is_drawn_without_torch(tmp_path: Path) -> None:
    """It takes seconds to import, and a run says what its options are: no task is needed."""
    write(tmp_path, story(search(space=LADDERS)))
    code = f"""
import sys
from pathlib import Path
from pbtnas.cli.compare import _figures_of_run
figures = _figures_of_run(Path({str(tmp_path)!r}), None)
print(*figures, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    told = "scores lineage origins options diversity schedules False"
    assert done.stdout.strip() == told, done.stderr


def test_plot_draws_another_number_of_a_study(root: Path, tmp_path: Path) -> None:
    """A metric with its direction; final evaluations only where they were made; studies only."""
    drawn = call("plot", root, "--metric", "loss", "--better", "smaller", "-o", tmp_path / "loss")
    figure = (tmp_path / "loss" / "ablations.svg").read_text()
    unmade = call("plot", root, "--final")
    undirected = call("plot", root, "--metric", "loss")
    run = call("plot", root / paths.STUDY_RUNS / "pbt-nas-s1", "--ever")

    assert drawn.exit_code == 0 and "final loss" in figure and "← better" in figure
    assert unmade.exit_code == 2 and "has no final evaluation" in unmade.stderr
    assert undirected.exit_code == 2 and "needs --better" in undirected.stderr
    assert run.exit_code == 2 and "are for studies" in run.stderr


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    """A study without a finished run and a run without a generation end with exit code 2."""
    unbegun = [f"{name}-s{seed}" for name in ("pbt-nas", "random-search") for seed in (1, 2, 3)]
    empty = call("plot", study(tmp_path / "empty", unbegun=unbegun))
    write(tmp_path / "run", story(search())[:8])
    new = call("plot", tmp_path / "run")

    assert empty.exit_code == 2 and "none of its runs is finished yet" in empty.stderr
    assert new.exit_code == 2 and "no finished generation yet" in new.stderr


@pytest.mark.usefixtures("undrawn")
def test_report_writes_one_file(root: Path, tmp_path: Path) -> None:
    """Of a study, of several runs, and of one run; beside the figures if not told otherwise."""
    runs = sorted((root / paths.STUDY_RUNS).iterdir())[:2]

    for given, output in ((["-o", tmp_path / "r.html"], tmp_path / "r.html"), ([], None)):
        assert call("report", root, *given).exit_code == 0
        assert (output or root / paths.REPORT).read_text().startswith("<!doctype html>")
    assert call("report", *runs, "-o", tmp_path / "two.html").exit_code == 0
    assert call("report", runs[0], "-o", tmp_path / "one.html").exit_code == 0
    assert "Options are left out" in (tmp_path / "one.html").read_text()
    assert call("report", tmp_path).exit_code == 2
