"""Figures of what runs have found: what is drawn where."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pbtnas.analysis.found.returned import returned
from pbtnas.analysis.plots.catalogue import figures_of_found
from pbtnas.analysis.plots.found import POPULATION, SHARING, cost, found
from tests.analysis.found.test_found import TABLE, TABLES, A, B, C, population, run, supernet
from tests.analysis.found.test_found import result as one

RUNS = [
    *(population("pbt-nas", seed, best) for seed, best in ((1, C), (2, A))),
    *(supernet("darts-1", seed, A, B, cost=3e9) for seed in (1, 2)),
]


def test_each_variant_has_a_row_in_its_colour_and_each_data_set_a_panel() -> None:
    """Shared weights come first; a dot a seed; the optimum is a line."""
    figure = found([returned(run) for run in RUNS], TABLE)

    left, right = figure.axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["darts-1", "pbt-nas"]
    dots = {
        str(line.get_color()): sorted(np.asarray(line.get_xdata()).tolist())
        for line in left.lines
        if line.get_marker() == "o"
    }
    assert dots == {SHARING: [50.0, 50.0], POPULATION: [93.0, 94.0]}
    assert tuple(axes.get_title(loc="left") for axes in (left, right)) == ("CIFAR-10", "CIFAR-100")
    assert [73.0, 73.0] in [list(line.get_xdata()) for line in right.lines]


def test_costs_are_those_at_which_all_seeds_return_something() -> None:
    """The mean over seeds, step by step, from the first cost that all have paid."""
    late = run("pbt-nas", 3, [[one(0, 0.5, 3e9)], [one(0, 0.5, 1e9)]], [A])
    figure = cost([returned(each) for each in (*RUNS, late)], TABLE)

    assert [axes.get_title(loc="left") for axes in figure.axes] == ["shared weights", "populations"]
    lines = {str(line.get_label()): line for axes in figure.axes for line in axes.lines}
    ours = lines["pbt-nas"]
    assert list(ours.get_xdata()) == [3e9, 4e9]
    assert list(ours.get_ydata()) == [(50 + 50 + 93) / 3, (94 + 93 + 93) / 3]
    assert list(lines["darts-1"].get_ydata()) == [93.0, 50.0]


def test_no_label_of_the_costs_lies_on_another() -> None:
    """Where costs span a little more than a decade, and panels stand two in a row."""
    runs = [supernet(f"darts-{paid:.0e}", 1, A, B, cost=paid) for paid in (2.6e9, 3.5e10)]
    figure = cost([returned(run) for run in (*runs, *RUNS)], TABLE)
    figure.draw_without_rendering()

    for axes in figure.axes:
        low, high = axes.get_xlim()
        labels = (label for which in (False, True) for label in axes.get_xticklabels(minor=which))
        shown = [
            each for each in labels if each.get_text() and low <= each.get_position()[0] <= high
        ]
        boxes = sorted(label.get_window_extent().intervalx.tolist() for label in shown)
        assert len(boxes) > 2
        assert all(left[1] < right[0] for left, right in pairwise(boxes))


def test_what_cannot_be_drawn_is_refused() -> None:
    """No runs, and runs that have not counted their cost."""
    uncounted = returned(run("a", 1, [[one(0, 0.5, None)]], [A]))
    with pytest.raises(ValueError, match="no runs to plot"):
        found([], TABLE)
    with pytest.raises(ValueError, match="no run has counted its cost"):
        cost([uncounted], TABLE)


def test_a_study_has_them_where_there_is_a_table() -> None:
    """Not without one, nor `cost` where nothing was counted."""
    uncounted = [run("a", 1, [[one(0, 0.5, None)]], [A])]

    assert figures_of_found(RUNS, TABLES).keys() == {"found", "cost"}
    assert figures_of_found(RUNS, {}) == {}
    assert figures_of_found(uncounted, TABLES).keys() == {"found"}
