"""The answer of a study: which tables, from which runs, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import Gathered, NamedRun, gather
from pbtnas.analysis.compare.verdict import Question, judge, parse_claims, tables
from pbtnas.analysis.tables import Table
from pbtnas.records import paths
from pbtnas.store.study_directory import create_study, open_study
from tests.analysis import made_runs
from tests.analysis.made_runs import study

CLAIM = [("pbt-nas", "random-search")]


def cells(table: Table, column: str) -> list[object]:
    return [row[table.columns.index(column)] for row in table.rows]


def test_the_tables_are_those_of_scipy_and_numpy(tmp_path: Path) -> None:
    """From stored runs to mean, spread and p: what numpy and scipy find in the same numbers."""
    found = gather([study(tmp_path / "s", seeds=range(8))])
    comparison = judge(found, Question(claims=CLAIM))
    values = {s.algorithm: np.array(s.values) for s in comparison.summaries}
    ours, random = values["pbt-nas"], values["random-search"]

    result = tables(found, Question(claims=CLAIM))

    assert list(result) == ["summary", "pairs", "reach", "values"]
    assert [s.spread.mean for s in comparison.summaries] == pytest.approx(
        sorted((ours.mean(), random.mean()), reverse=True)
    )
    spreads = {s.algorithm: s.spread.std for s in comparison.summaries}
    assert spreads == pytest.approx({"pbt-nas": ours.std(), "random-search": random.std()})
    theirs = scipy.stats.wilcoxon(ours - random, alternative="greater", method="exact")
    assert cells(result["pairs"], "p") == pytest.approx([theirs.pvalue])
    assert cells(result["values"], "seed") == list(range(8))


def test_unfinished_runs_are_refused_or_left_out_and_said(tmp_path: Path) -> None:
    """Silence about a missing run would turn a study into another one."""
    found = gather([study(tmp_path / "s", unbegun=("pbt-nas-s3",))])

    with pytest.raises(ComparisonError, match="1 of 6 runs not finished .pbt-nas-s3.; --partial"):
        tables(found, Question())
    summary = tables(found, Question(partial=True))["summary"]
    assert "1 of 6 runs not finished (pbt-nas-s3): left out." in summary.notes
    begun = [replace(run, history=replace(run.history, final=None)) for run in found.runs]
    some = [a if a.name == "pbt-nas" else b for a, b in zip(begun, found.runs, strict=True)]
    (note,) = tables(Gathered(tuple(some), ()), Question(partial=True))["summary"].notes[-1:]
    assert note.endswith(", and none of pbt-nas is: left out.")
    with pytest.raises(ComparisonError, match="none of these runs is finished"):
        tables(Gathered((), ("a",)), Question(partial=True))


def test_without_the_reference_nobody_is_asked_to_reach_it(tmp_path: Path) -> None:
    """The table of network-epochs is there only where the reference was run."""
    found = gather([study(tmp_path / "s")], ["pbt-nas"])

    assert list(tables(found, Question())) == ["summary", "values"]


def test_sizes_of_a_population_are_not_compared(tmp_path: Path) -> None:
    """Another budget is refused in one sentence that names both."""
    sizes = {"pbt-nas": 6, "larger": 8}
    found = gather([study(tmp_path / "s", seeds=(1,), populations=sizes)])

    with pytest.raises(ComparisonError, match="only compared at equal budgets"):
        tables(found, Question())


def test_a_budget_may_be_smaller_where_the_rest_was_spent_elsewhere(tmp_path: Path) -> None:
    """On request, and then a note below the table names who had less."""
    sizes = {"pbt-nas": 6, "larger": 8}
    found = gather([study(tmp_path / "s", seeds=(1,), populations=sizes)])
    summary = tables(found, Question(unequal_budgets=True))["summary"]

    assert len(summary.rows) == 2
    assert summary.notes[-1] == "pbt-nas was granted 60 network-epochs only."


def test_what_some_runs_search_for_themselves_makes_no_other_task(tmp_path: Path) -> None:
    """A fixed learning rate is compared with one that is searched; any other option is not."""

    def begin(name: str, **options: object) -> Path:
        made = made_runs.search(seed=1, algorithm=name)
        config = made_runs.config_of(made)
        config["task"] |= options
        writes = dict(made_runs.story(made))
        writes |= [made_runs.record(paths.CONFIG, "config", config)]
        made_runs.write(tmp_path / name, writes.items())
        return tmp_path / name

    searched = begin("pbt-nas", search_also=["rate"], size=3)
    fixed = begin("random-search", rate=0.5, size=3)
    assert tables(gather([searched, fixed]), Question())["pairs"].rows

    other = begin("searl", rate=0.5, size=4)
    with pytest.raises(ComparisonError, match=r"different tasks \(size 3 and 4\)"):
        tables(gather([searched, other]), Question())


def test_what_a_study_searches_is_known_where_some_of_its_runs_are_compared(
    tmp_path: Path,
) -> None:
    """A sweep of a learning rate that other runs of the study search can be compared alone."""
    planned, writes = [], {}
    for name, options in (
        ("both", {"search_also": ["rate"]}),
        ("sweep-1", {"rate": 0.1}),
        ("sweep-2", {"rate": 0.2}),
    ):
        made = made_runs.search(seed=1)
        config = made_runs.config_of(made)
        config["task"] |= options
        planned.append({"name": name, "seed": 1, "config": config})
        writes[name] = dict(made_runs.story(made))
        writes[name] |= [made_runs.record(paths.CONFIG, "config", config)]
    create_study(tmp_path / "s", planned, pbtnas="0.1.0")
    for run in open_study(tmp_path / "s").runs:
        made_runs.write(run.root, writes[run.name].items())

    found = tables(gather([tmp_path / "s"], ["sweep-*"]), Question())

    assert [row[0] for row in found["summary"].rows] == ["sweep-1", "sweep-2"]


def test_pooling_joins_the_pairs_of_all_tasks(tmp_path: Path) -> None:
    """As in the paper: nine pairs of three tasks by three seeds make one test."""
    runs = gather([study(tmp_path / "s")]).finished
    moved = [
        NamedRun(
            f"{task}.{run.name}",
            replace(run.history, config={**run.history.config, "task": {"name": task}}),
        )
        for run in runs
        for task in ("a", "b", "c")
    ]

    found = tables(Gathered(tuple(moved), ()), Question(pool=True, claims=CLAIM))

    assert list(found) == ["summary-a", "summary-b", "summary-c", "pooled"]
    assert cells(found["pooled"], "pairs") == [9]
    assert cells(found["pooled"], "smallest p") == [1 / 512]
    alone = judge(Gathered(tuple(runs), ()), Question(claims=CLAIM)).pairs[0]
    losses = scipy.stats.wilcoxon([-d for d in 3 * alone.differences], alternative="greater")
    assert cells(found["pooled"], "W-") == [losses.statistic]
    with pytest.raises(ComparisonError, match="pooling needs --claims"):
        tables(Gathered(tuple(moved), ()), Question(pool=True))


def test_claims_are_read_as_they_are_written() -> None:
    """BETTER>WORSE by commas; anything else is quoted back."""
    assert parse_claims("pbt-nas>searl, a.b > c") == [("pbt-nas", "searl"), ("a.b", "c")]
    for wrong in ("pbt-nas", "a>b>c", ">b", "a>", ""):
        with pytest.raises(ComparisonError, match="expected BETTER>WORSE"):
            parse_claims(wrong)
    with pytest.raises(ComparisonError, match="nothing beats itself"):
        parse_claims("a>a")
