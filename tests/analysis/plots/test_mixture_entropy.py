"""The figure of entropies: methods beside what they modify, on one axis for all spaces."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.found.mixtures import entropy_curves
from pbtnas.analysis.plots.mixture_entropy import mixture_entropy
from pbtnas.analysis.plots.supernet_figures import supernet_figures
from pbtnas.records.schema import ENTROPY, Result
from tests.analysis.test_supernets import history


def run(name: str, method: str | None, entropies: list[float], **task: Any) -> NamedRun:
    """A run of generations with these entropies."""
    results = [[Result(0, "ok", 0.5, {ENTROPY: value}, None)] for value in entropies]
    made = history(Path(name), results, [(0,)])
    made.config["task"].update({"name": "supernet", "method": method, **task})
    return NamedRun(name, made)


def test_entropies_are_shares_of_the_uniform_mixtures() -> None:
    """Of the operations that are not left out; seeds of a name belong together."""
    four, five = math.log(4), math.log(5)
    curves = entropy_curves([
        run("gaea", "gaea-bilevel", [four, four / 2], space="nb201", exclude=["none"]),
        run("gaea", "gaea-bilevel", [four, four / 4], space="nb201", exclude=["none"]),
        run("darts", "darts-1", [five, five], space="nb201"),
        run("small", "darts-1", [four / 2, 0.0]),
        run("no method", None, [1.0, 1.0]),
    ])  # fmt: skip

    assert set(curves) == {"nb201", "cell64"}
    gaea = curves["nb201"]["gaea"]
    assert gaea.done.tolist() == [0.5, 1]
    np.testing.assert_allclose(gaea.relative, [[1, 0.5], [1, 0.25]])
    np.testing.assert_allclose(curves["nb201"]["darts"].relative, [[1, 1]])
    np.testing.assert_allclose(curves["cell64"]["small"].relative, [[0.5, 0]])


def test_each_family_has_a_panel_and_its_published_curves() -> None:
    """Those of methods that are drawn, dashed."""
    runs = [run("ours", "gaea-bilevel", [1.0, 0.5]), run("gdas", "gdas", [1.3, 1.2])]
    figure = mixture_entropy(entropy_curves(runs)["cell64"])

    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert titles == ["DARTS", "GDAS"]
    dashed = [[line.get_label() for line in axes.lines if line.get_linestyle() == "--"]
              for axes in figure.axes]  # fmt: skip
    assert dashed == [["gaea-bilevel published, NAS-Bench-201"], []]


@pytest.mark.parametrize(
    ("spaces", "names"),
    [(["nb201"], {"entropy"}), (["nb201", "cell64"], {"nb201-entropy", "cell64-entropy"})],
)
def test_the_figure_is_there_where_a_mixture_is_learnt(spaces: list[str], names: set[str]) -> None:
    """One a space; none for runs that learn none."""
    runs = [run(space, "enas", [1.0, 0.9], space=space) for space in spaces]

    assert set(supernet_figures(runs)) == names
    assert supernet_figures([run("x", "rs-ws", [1.0, 1.0]), run("y", None, [1.0])]) == {}
