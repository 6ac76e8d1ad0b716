"""Fronts and hypervolumes in `compare`, `plot`, `report` and `status`."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pbtnas.cli.app import cli
from pbtnas.records import paths
from pbtnas.records.envelope import decode, encode
from pbtnas.search.objectives import objectives_of
from tests.analysis.made_runs import TWO, search, story, study, write

POINT = ["--reference-point", "0,2000"]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="pbtnas")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of two algorithms and three seeds; one of them selects by two objectives."""
    directory = tmp_path_factory.mktemp("studies") / "two"
    return study(directory, sized=["pbt-nas"])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two objectives."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    write(directory, story(search(objectives=TWO)))
    return directory


def test_compare_tests_hypervolumes_as_it_tests_scores(root: Path, tmp_path: Path) -> None:
    """Paired by seed, with the point in the title, beside baselines that select by the score."""
    result = call("compare", root, *POINT, "-o", tmp_path)

    assert result.exit_code == 0, result.output
    assert "hypervolume against score 0, size 2000 after" in result.stdout
    assert "Network-epochs to the final hypervolume of random-search" in result.stdout
    with (tmp_path / "values.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["pbt-nas"]) > 0 < float(row["random-search"]) for row in rows)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--reference-point", "0"], "expected 2 numbers with commas between them, of score and"),
        (["--reference-point", "9e9,2000"], "has score"),
        ([*POINT, "--metric", "loss", "--better", "smaller"], "no --metric, --ever, --final"),
        ([*POINT, "--ever"], "no --metric, --ever, --final"),
        ([*POINT, "--pool"], "no --metric, --ever, --final"),
        ([*POINT, "--only", "random-search"], "none of these runs has several objectives"),
    ],
)
def test_what_makes_no_sense_is_refused(root: Path, options: list[str], told: str) -> None:
    """Exit code 2, and a sentence about the option."""
    result = call("compare", root, *options)

    assert result.exit_code == 2, result.output
    assert told in result.stderr


def test_plot_draws_fronts_and_hypervolumes(root: Path, run: Path, tmp_path: Path) -> None:
    """Of a run always; of a study the hypervolume needs a point, for any other would be unfair."""
    assert call("plot", run, "-o", tmp_path / "run").exit_code == 0
    assert call("plot", root, "-o", tmp_path / "without").exit_code == 0
    assert call("plot", root, "-o", tmp_path / "with", *POINT).exit_code == 0

    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*.png")}
    assert {"run/front.png", "run/hypervolume.png", "without/front.png", "with/front.png"} < made
    assert "with/hypervolume.png" in made and "without/hypervolume.png" not in made


def test_a_run_that_met_no_bound_has_found_nothing(tmp_path: Path) -> None:
    """Its hypervolume is 0, and the study that it belongs to is compared and drawn all the same."""
    bounded = objectives_of(["score larger at_least 1e9", "size smaller"], 24)
    root = study(tmp_path / "s", seeds=(1,), sized=["pbt-nas"], objectives=bounded)

    compared = call("compare", root, *POINT, "-o", tmp_path)
    drawn = call("plot", root, "-o", tmp_path / "figures", *POINT)

    assert compared.exit_code == 0, compared.output
    with (tmp_path / "values.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["pbt-nas"]) == float(row["random-search"]) == 0
    assert drawn.exit_code == 0, drawn.output
    made = {path.name for path in (tmp_path / "figures").glob("*.png")}
    assert "hypervolume.png" in made and "front.png" not in made
    assert call("plot", root, "-o", tmp_path / "without").exit_code == 0
    assert call("report", root, *POINT).exit_code == 0


def test_report_lists_the_front_and_compares_hypervolumes(root: Path, run: Path) -> None:
    """The members by the names that other commands take, and both comparisons of a study."""
    assert call("report", run).exit_code == 0
    assert call("report", root, *POINT).exit_code == 0

    one = next(run.rglob("report.html")).read_text()
    assert "front-1" in one and "the worst that it began with" in one
    many = next(root.glob("*/report.html")).read_text()
    assert "hypervolume against score 0, size 2000" in many and "score of the best" in many


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    """A finished run that records its front, whose second member is its best at the end."""
    write(tmp_path / "run", story(search(objectives=TWO)))
    path = tmp_path / "run" / paths.FINAL
    final = decode(path.read_bytes(), paths.FINAL, kind="final")
    front = [{**final.core[which], "objectives": {}} for which in ("best_ever", "best_last")]
    path.write_bytes(encode(replace(final, core={**final.core, "front": front})))
    return tmp_path / "run"


def test_show_knows_the_places_in_the_front(ended: Path) -> None:
    """As other commands do; a place that is not there is refused with those that are."""
    last = json.loads((ended / paths.FINAL).read_text())["core"]["best_last"]

    found = call("show", ended, "front-2")
    beyond = call("show", ended, "front-99")

    assert found.exit_code == 0, found.output
    assert found.stdout == call("show", ended, f"m{last['member']:02d}").stdout
    assert beyond.exit_code == 2
    assert "has no 'front-99': its front has 2 members, front-1 to front-2" in beyond.stderr


def test_what_is_no_place_is_refused_with_all_names_there_are(ended: Path, tmp_path: Path) -> None:
    """Those of the front among them."""
    refused = call("export", ended, "--which", "front-x", "-o", tmp_path / "none")

    assert refused.exit_code == 2
    assert "has no 'front-x', but best-ever, best-last, front-1, front-2" in refused.stderr


def test_status_shows_what_was_found(run: Path) -> None:
    """The best of each objective, how many members are kept, and the hypervolume."""
    shown = call("status", run).stdout
    seen = json.loads(call("status", run, "--json", *POINT).stdout)

    assert "\nobjectives  score" in shown and "\nfront       " in shown
    assert "\nhypervolume " in shown and "the worst that it began with" in shown
    assert seen["front"]["best"].keys() == {"score", "size"} and seen["front"]["size"] > 1
    assert seen["hypervolume"]["against"] == "score 0, size 2000"
    assert seen["hypervolume"]["volume"] > 0


def test_a_run_of_one_objective_has_no_hypervolume(tmp_path: Path) -> None:
    """A point for it is refused, in each command that takes one."""
    write(tmp_path / "run", story(search()))

    for command in ("plot", "report", "status"):
        result = call(command, tmp_path / "run", *POINT)
        assert result.exit_code == 2, result.output
        assert "has a single objective, score larger, so there is no hypervolume" in result.stderr
