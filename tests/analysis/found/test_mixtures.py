"""The table of entropies: after shares of the steps, and what is chosen at the end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.statistics import Spread
from pbtnas.analysis.found.mixtures import mixture_tables
from pbtnas.records.schema import CHOSEN, ENTROPY, Result
from tests.analysis.test_supernets import history

FIVE = math.log(5)


def run(name: str, shares: list[float], *chosen: int, **task: Any) -> NamedRun:
    """A supernet whose entropies are these shares of the uniform mixture's of five operations."""
    options = {f"{CHOSEN}{i}": float(option) for i, option in enumerate(chosen)}
    results = [[Result(0, "ok", 0.5, {ENTROPY: s * FIVE} | options, None)] for s in shares]
    made = history(Path(name), results, [(0,)])
    made.config["task"].update({"name": "supernet", "method": "darts-1", "space": "nb201"} | task)
    return NamedRun(name, made)


def test_entropies_are_told_where_a_generation_ended() -> None:
    """After 20 %, 50 % and 100 % of the steps; "-" where no generation ended there."""
    ten = [1 - 0.05 * g for g in range(10)]
    runs = [
        run("nb201.darts", ten, 1, 1, 1, 1, 1, 1),
        run("nb201.darts", [1.0] * 10, 1, 1, 1, 0, 2, 3),
        run("short", [0.9, 0.6], 0, 0, 0, 0, 0, 0),
    ]
    rows = {row[0]: row[1:] for row in mixture_tables(runs)["entropy"].rows}

    assert rows["darts"] == (
        2,
        Spread(pytest.approx(0.975), pytest.approx(0.025)),
        Spread(pytest.approx(0.9), pytest.approx(0.1)),
        Spread(pytest.approx(0.775), pytest.approx(0.225)),
        0.75,
    )
    first, half, end, skips = rows["short"][1:]
    assert math.isnan(first) and skips == 0
    assert (half.mean, end.mean) == (pytest.approx(0.9), pytest.approx(0.6))


def test_each_space_has_a_table_and_runs_without_a_method_none() -> None:
    """Skip connections are of spaces that have some."""
    small = run("small", [0.5], 1, 1, 1, space="cell64")
    tables = mixture_tables([run("darts", [1.0], 1), small, run("cycle", [1.0], method=None)])

    assert set(tables) == {"entropy-nb201", "entropy-cell64"}
    assert math.isnan(tables["entropy-cell64"].rows[0][-1])
    assert mixture_tables([run("cycle", [1.0], method=None)]) == {}
