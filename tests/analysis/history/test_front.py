"""How far a run with several objectives is, from its records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.analysis.history.run import History
from pbtnas.monitoring.run_screen import render, status
from pbtnas.records import paths
from pbtnas.search.objectives import objectives_of
from tests.analysis.made_runs import config_of, record, search, story, write


def run_with(root: Path, *texts: str) -> Path:
    """A run of four generations with these objectives; all members report a loss of 0.5."""
    made = replace(search(), objectives=objectives_of(texts, 24))
    write(root, [(name, data) for name, data in story(made) if name != paths.FINAL])
    config = config_of(made)
    given = {**config, "search": {**config["search"], "objectives": list(texts)}}
    write(root, [record(paths.CONFIG, "config", given)])
    return root


def test_a_run_by_its_score_alone_has_no_front(tmp_path: Path) -> None:
    """Its status has the lines that it always had."""
    write(tmp_path, story(search()))

    seen = status(tmp_path, now=0.0)
    assert seen.front is None
    assert "\nfront " not in render(seen)


@pytest.mark.parametrize(
    ("bound", "lines"),
    [
        ("", ("objectives  score ", "loss 0.5", "front       1 kept that no other dominates")),
        (
            " at_most 0.4",
            (
                "objectives  nobody is within all bounds",
                "front       nobody meets loss smaller at_most 0.4 (nearest 0.5)",
            ),
        ),
    ],
)
def test_the_status_has_the_best_of_each_objective_and_the_size_of_the_front(
    tmp_path: Path, bound: str, lines: tuple[str, ...]
) -> None:
    """Or which bound nobody meets, and what comes nearest to it."""
    run_with(tmp_path, "score", f"loss smaller{bound}")
    seen = status(tmp_path, now=0.0)
    text = render(seen)

    assert all(line in text for line in lines), text
    history = History.read(tmp_path)
    assert len(history.archives()) == 4
    best = max(b.score for b in history.best_so_far() if b is not None)
    assert seen.front is not None
    assert seen.front.best == ({} if bound else {"score": best, "loss": 0.5})
