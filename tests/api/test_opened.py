"""What `pbtnas.open` shows of a run is what its records say, at every moment of its life."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pbtnas
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import NothingToShow
from pbtnas.api.opened import NoFigure
from pbtnas.errors import PbtnasError
from pbtnas.records import paths
from pbtnas.store.run_directory import NotARun
from tests.analysis.made_runs import LADDERS, search, story, write

STORY = story(search(space=LADDERS))  # which records its space
NAMES = [name for name, _ in STORY]


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A run of six members and four generations; two of generation 1 have no score."""
    write(tmp_path, STORY)
    return tmp_path


@pytest.fixture
def without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)


def test_a_row_for_each_member_and_generation(finished: Path, without_pandas: None) -> None:
    """Scores, metrics, options, parents and inherited variables are those of the records."""
    rows = pbtnas.open(finished).history()
    history = History.read(finished)

    places = [(row["generation"], row["member"]) for row in rows]
    assert places == [(g, m) for g in range(4) for m in range(6)]
    assert history.space is not None
    names = [variable.name for variable in history.space]
    for row in rows:
        generation = history.generations[row["generation"]]
        result = generation.results[row["member"]].result
        assert (row["outcome"], row["score"]) == (result.outcome, result.score)
        assert row["checkpoint"] == result.checkpoint
        assert {k: row[f"metric {k}"] for k in result.metrics} == result.metrics
        job = generation.jobs[row["member"]]
        assert [row[f"option {n}"] for n in names] == [
            v.options[i] for v, i in zip(history.space, job.architecture, strict=True)
        ]
        assert row["network_epochs"] == 4 + 2 * row["generation"]
        born = history.birth(row["generation"], row["member"])
        told: tuple[Any, ...] = (None, None, ())
        if born is not None:
            birth = born.birth
            told = (birth.base, birth.donor, tuple(names[i] for i in birth.inherited))
        assert (row["base"], row["donor"], row["inherited"]) == told
    assert any(row["donor"] is not None for row in rows)


def test_the_history_is_a_frame_where_pandas_is(finished: Path) -> None:
    """It has the same rows."""
    pandas = pytest.importorskip("pandas")
    frame = pbtnas.open(finished).history()

    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == 24
    assert frame["score"].max() == pbtnas.open(finished).best.score  # type: ignore[union-attr]


@pytest.mark.parametrize("written", range(0, len(STORY), 5))
def test_a_run_can_be_looked_at_while_it_goes_on(tmp_path: Path, written: int) -> None:
    """Whatever of it there is yet, every look answers, and the best is that of `pbtnas status`."""
    write(tmp_path, STORY[:written])
    if paths.FORMAT not in NAMES[:written]:
        with pytest.raises(NotARun):
            pbtnas.open(tmp_path)
        return
    run = pbtnas.open(tmp_path)
    seen, best = run.status(), run.best

    found = None if best is None else (best.generation, best.member, best.score)
    top = seen.best_ever
    assert found == (None if top is None else (top.generation, top.member, top.score))
    results = [name for name in NAMES[:written] if "/results/" in name]
    assert len(run.steps()) == len(run.lineage().nodes) == len(results)
    assert len({step.member for step in run.members}) == len(run.members)
    if any("selection" in name for name in NAMES[:written]):
        assert "lineage" in run.figures
    else:
        with pytest.raises(NothingToShow):
            run.figure("lineage")


def test_the_members_are_the_slots_as_they_were_scored_last(tmp_path: Path) -> None:
    """The best comes first, and one without a score last."""
    write(tmp_path, STORY[: NAMES.index(paths.result(1, 3)) + 1])
    members = pbtnas.open(tmp_path).members

    assert sorted((m.member, m.generation) for m in members) == [
        *((member, 1) for member in range(4)),
        *((member, 0) for member in (4, 5)),
    ]
    scores = [member.score for member in members]
    known = [score for score in scores if score is not None]
    assert known == sorted(known, reverse=True)
    assert scores[len(known) :] == [None, None]


def test_the_lineage_leads_from_a_member_to_generation_0(finished: Path) -> None:
    """Each edge is a birth of the records or a member that goes on; ancestors follow the bases."""
    run = pbtnas.open(finished)
    lineage, history = run.lineage(), History.read(finished)
    assert repr(lineage) == f"<Lineage: {len(lineage.nodes)} nodes, {len(lineage.edges)} edges>"

    born = [(g.number + 1, m, b.birth) for g in history.generations for m, b in g.births.items()]
    assert len(lineage.edges) == 3 * 6 + len(born)
    donors = {e.child: e.parent for e in lineage.edges if e.role == "donor"}
    assert donors == {(g, m): (g - 1, birth.donor) for g, m, birth in born}
    best = run.best
    assert best is not None
    path = lineage.ancestors(best.generation, best.member)
    assert [step.generation for step in path] == list(range(best.generation + 1))
    assert path[-1] == best
    for parent, child in zip(path, path[1:], strict=False):
        assert parent.member == (child.member if child.base is None else child.base)


def test_a_figure_is_asked_for_by_its_name(finished: Path) -> None:
    """Another name is told with those that there are."""
    run = pbtnas.open(finished)

    assert run.figure("lineage").axes
    with pytest.raises(NoFigure, match="has no figure 'linage', but scores, lineage, "):
        run.figure("linage")


def test_the_documented_exceptions_are_where_they_are_said_to_be() -> None:
    """Every class that the docstrings of `run` and `open` name can be imported from there."""
    for function, count in ((pbtnas.run, 5), (pbtnas.open, 1)):
        words: Any = (function.__doc__ or "").split("Raises")[1].split("`")[1::2]
        assert len(words) == count
        for name in words:
            module, _, leaf = name.rpartition(".")
            assert issubclass(getattr(importlib.import_module(module), leaf), PbtnasError)


def test_importing_pbtnas_costs_nothing() -> None:
    """Neither torch nor numpy, nor anything of ours but the version, comes with it."""
    code = """
import sys
import pbtnas
heavy = ("torch", "numpy", "pbtnas", "click")
print(sorted(name for name in sys.modules if name.partition(".")[0] in heavy))
pbtnas.run, pbtnas.open, pbtnas.load
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "['pbtnas', 'pbtnas.version']"
