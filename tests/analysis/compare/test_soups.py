"""What soups are worth: the table, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import Gathered, NamedRun, gather
from pbtnas.analysis.compare.soups import NoSoups, published_soups_table, soups_table
from pbtnas.analysis.compare.statistics import Spread
from pbtnas.analysis.compare.verdict import Question, tables
from pbtnas.analysis.report.page import study_report
from pbtnas.cli import app as cli
from pbtnas.records import paths
from pbtnas.records.schema import Soup, Tried
from tests.analysis.made_runs import record, study, write

MEMBERS = {1: 2.0, 2: 5.0, 3: 3.0, 4: 4.0}
SOUPS = {1: 2.5, 2: 4.0, 3: 6.0, 4: 4.5}
"""Final scores by seed."""


def rejected(score: float | None) -> Tried:
    outcome = "diverged" if score is None else "ok"
    return Tried(member=1, search_score=0.0, outcome=outcome, score=score, accepted=False)


TRACES: dict[int, tuple[Tried, ...]] = {2: (rejected(-8.0), rejected(-3.0), rejected(None))}
"""Of soups of one member alone, by seed; nothing was accepted."""


@pytest.fixture
def gathered(tmp_path: Path) -> Gathered:
    """Four runs of one algorithm, each with a soup; that of seed 2 is of one member alone."""
    root = study(tmp_path / "study", seeds=MEMBERS, populations={"pbt-nas": 6})
    for run in gather([root]).runs:
        add_soup(run)
    return gather([root])


def add_soup(run: NamedRun) -> None:
    assert run.history.final is not None
    best = run.history.final.best_last
    assert best is not None
    soup = Soup(
        which="best-last-soup",
        part=None,
        generation=best.generation,
        member=best.member,
        architecture=best.architecture,
        search_score=best.score,
        score=best.score if run.seed in TRACES else best.score + 1,
        ingredients=(best.member,) if run.seed in TRACES else (best.member, best.member + 1),
        trace=TRACES.get(run.seed, (rejected(0.5), rejected(1.5))),
        checkpoint=f"soup-{run.seed}",
    )
    values = {best.checkpoint: MEMBERS[run.seed], soup.checkpoint: SOUPS[run.seed]}
    records = [record(paths.soup(soup.which), "soup", soup.to_json())]
    for checkpoint, value in values.items():
        core = {"checkpoint": checkpoint, "score": value, "metrics": {"fid": -value}}
        records.append(record(paths.evaluation(checkpoint), "evaluation", core))
    write(run.history.root, records)


def test_a_soup_is_compared_with_its_own_best_member(gathered: Gathered) -> None:
    """Final evaluations of both, over seeds, as numpy averages them; one row a soup."""
    table = soups_table(gathered.finished, ddof=1)

    differences = np.array([SOUPS[seed] - MEMBERS[seed] for seed in MEMBERS])
    (row,) = table.rows
    told = dict(zip(table.columns, row, strict=True))
    assert (told["run"], told["soup"], told["seeds"]) == ("pbt-nas", "best-last-soup", 4)
    assert told["of several members"] == 3
    difference = told["difference (mean ± std)"]
    assert isinstance(difference, Spread)
    assert difference.mean == pytest.approx(differences.mean())
    assert difference.std == pytest.approx(differences.std(ddof=1))


def test_the_sign_is_the_metrics_own_and_p_follows_what_is_better(gathered: Gathered) -> None:
    """A FID that falls is a gain: the difference is negative, and p the same as the score's."""
    by_score = soups_table(gathered.finished)
    by_fid = soups_table(gathered.finished, metric="fid", maximise=False)

    def told(column: str) -> list[object]:
        return [table.rows[0][table.columns.index(column)] for table in (by_score, by_fid)]

    score, fid = told("difference (mean ± std)")
    assert isinstance(score, Spread) and isinstance(fid, Spread)
    assert fid.mean == -score.mean < 0
    first, second = told("p")
    assert first == second


def test_as_published_the_best_rejected_soup_counts(gathered: Gathered) -> None:
    """Scores of the search alone; a soup of one member is the best that was rejected instead."""
    rejected_run = next(run for run in gathered.finished if run.seed == 2)
    assert rejected_run.history.final is not None and rejected_run.history.final.best_last
    own = rejected_run.history.final.best_last.score

    table = published_soups_table(gathered.finished)

    told = dict(zip(table.columns, table.rows[0], strict=True))
    difference = told["difference (mean ± std)"]
    assert isinstance(difference, Spread)
    assert difference.mean == pytest.approx(np.mean([1.0, 1.0, 1.0, -3.0 - own]))
    assert not [note for note in table.notes if note.startswith("Dropped")]


def test_as_published_runs_without_a_candidate_are_dropped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing tried, or nothing that has a score: not a difference of 0 but no value at all."""
    monkeypatch.setitem(TRACES, 1, ())
    monkeypatch.setitem(TRACES, 3, (rejected(None),))
    root = study(tmp_path / "study", seeds=MEMBERS, populations={"pbt-nas": 6})
    for run in gather([root]).runs:
        add_soup(run)
    found = gather([root])

    table = published_soups_table(found.finished)

    assert dict(zip(table.columns, table.rows[0], strict=True))["seeds"] == 2
    assert table.notes[-1].startswith("Dropped, no member to try: best-last-soup of pbt-nas-s1, ")
    with pytest.raises(ComparisonError, match="nothing is left to compare as published"):
        published_soups_table([run for run in found.finished if run.seed in (1, 3)])


@pytest.mark.usefixtures("undrawn")
def test_runs_without_soups_are_told_how_to_make_them(tmp_path: Path) -> None:
    """Nothing to compare is an answer, not an empty table; a report just has no such section."""
    root = study(tmp_path / "study")
    found = gather([root])

    with pytest.raises(NoSoups, match="none of these runs has a soup: `pbtnas soup .*` makes"):
        tables(found, Question(soups=True))
    titles = [section.title for section in study_report(root, found, Question()).sections]
    assert "Soups" not in titles


def test_what_cannot_be_compared_is_refused(gathered: Gathered) -> None:
    """A missing metric, a diverged or missing evaluation, a damaged record, two tasks."""
    first, *others = gathered.finished
    with pytest.raises(ComparisonError, match="does not report 'is'; it reports score, fid"):
        soups_table([first], metric="is")
    other = {**first.history.config, "task": {"name": "another"}}
    moved = NamedRun(first.name, replace(first.history, config=other))
    with pytest.raises(ComparisonError, match="runs named pbt-nas trained different tasks"):
        soups_table([moved, *others])
    name, root = paths.evaluation("soup-1"), first.history.root
    diverged = {"checkpoint": "soup-1", "score": None, "metrics": {}}
    write(root, [record(name, "evaluation", diverged)])
    with pytest.raises(ComparisonError, match="score of best-last-soup is nan, not a finite"):
        soups_table([first])
    (root / name).unlink()
    with pytest.raises(ComparisonError, match="no final evaluation: `pbtnas evaluate"):
        soups_table([first])
    (root / paths.soup("best-last-soup")).write_bytes(b"{")
    with pytest.raises(ComparisonError, match=r"run pbt-nas-s1: soups/best-last-soup\.json"):
        soups_table([first])


@pytest.mark.usefixtures("undrawn")
def test_compare_and_report_show_soups(gathered: Gathered, tmp_path: Path) -> None:
    """`compare --soups` prints their table alone; a report has a section of them."""
    root = gathered.runs[0].history.root.parent.parent
    call = CliRunner().invoke

    shown = call(cli.cli, ["compare", str(root), "--soups", "-o", str(tmp_path / "tables")])
    mixed = call(cli.cli, ["compare", str(root), "--soups", "--ever"])

    published = call(cli.cli, ["compare", str(root), "--soups", "--as-published"])
    alone = call(cli.cli, ["compare", str(root), "--as-published"])

    assert published.exit_code == 0 and "score in the search, as published" in published.output
    assert alone.exit_code == 2 and "--as-published needs --soups" in alone.output
    assert shown.exit_code == 0 and shown.output.startswith("Greedy soups minus")
    assert (tmp_path / "tables" / "soups.csv").exists()
    assert mixed.exit_code == 2 and "no claims, pooling or --ever" in mixed.output
    sections = {s.title: s for s in study_report(root, gathered, Question()).sections}
    assert sections["Soups"].tables[0].rows
