"""Figures of descent in which single dots and lines could not be told apart, for there are many.

G generations, N members of the largest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.plots.evolution import (
    Evolution,
    Shares,
    ancestry,
    finite_scores,
    lowest_shade,
    ranked,
    tree_order,
)
from pbtnas.analysis.plots.member_axes import Point, cut_off, label_ends, stitched
from pbtnas.analysis.plots.style import (
    BLACK,
    GREY,
    LIGHT,
    SCORES,
    new_figure,
    style,
    whole_numbers,
)
from pbtnas.records.paths import member_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED = 8  # members of the end that have a line of their own among the curves
_POINTS = 250  # of a line: more of them hide what lies below


def phylogeny(evolution: Evolution) -> Figure:
    """The family tree: a column a generation, one cell a member, coloured by score.

    White lines lead from the first generation to the members of the last, through bases; the
    black one to the best.  Who has no descendant at the end is a cell without a line.
    """
    from matplotlib.collections import LineCollection

    orders = tree_order(evolution)
    rows = [{member: row for row, member in enumerate(order)} for order in orders]
    best = ranked(evolution)[0]
    lines = {
        ((generation - 1.0, float(before)), (float(generation), float(now)))
        for member in orders[-1]
        for generation, (before, now) in enumerate(_steps(evolution, rows, member), start=1)
    }
    with style():
        figure = new_figure(6.2)
        axes = figure.subplots()
        cells = axes.imshow(
            _scores(evolution, orders),
            cmap=SCORES,
            vmin=_lowest(evolution),
            aspect="auto",
            interpolation="nearest",
        )
        axes.add_collection(
            LineCollection(
                sorted(lines),
                colors="white",
                lw=0.7 if len(orders) <= _POINTS else 0.4,
                label="ancestors of the members of the end",
            )
        )
        line = [rows[g][slot] for g, slot in enumerate(ancestry(evolution, best))]
        width = 2 if len(orders) <= _POINTS else 1
        axes.plot(line, color=BLACK, lw=width, label=f"of the best, {member_name(best)}")
        axes.set_xlabel("generation")
        axes.set_ylabel("members in the order of their family tree")
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        whole_numbers(axes.xaxis)
        figure.colorbar(cells, ax=axes, label=evolution.metric, extend="min", aspect=30, pad=0.02)
        # A white line shows on grey.
        figure.legend(loc="outside upper center", ncols=2, frameon=True, facecolor="#B8B8B8")
    return figure


def member_curves(evolution: Evolution) -> Figure:
    """Where the scores of all members lie, and the lines of the best of the end.

    A line is stitched through the member's ancestors: a child's goes on from its base's score.  Of
    many generations, lines and bands are drawn through means of neighbouring ones, and the last.
    """
    order = ranked(evolution)[:_NAMED]
    size = -(-len(evolution.epochs) // _POINTS)
    epochs = _means(evolution.epochs, size)
    of_several = f", means of {size} generations" if size > 1 else ""
    with style():
        from matplotlib import colormaps

        figure = new_figure(5.2)
        axes = figure.subplots()
        for low, high, shade in ((5, 95, LIGHT), (25, 75, GREY)):
            bounds = [
                _percentiles(evolution, g, (low, high)) for g in range(len(evolution.generations))
            ]
            axes.fill_between(
                epochs,
                _means([below for below, _ in bounds], size),
                _means([above for _, above in bounds], size),
                color=shade,
                alpha=0.6,
                lw=0,
                label=f"{low} to {high} % of the members",
            )
        shades = colormaps[SCORES](np.linspace(0.85, 0.0, len(order)))
        colours = {m: tuple(map(float, shade)) for m, shade in zip(order, shades, strict=True)}
        colours[order[0]] = (0.0, 0.0, 0.0)
        for member in reversed(order):
            ys = _means([score for _, score in stitched(evolution, member)], size)
            axes.plot(epochs, ys, color=colours[member], lw=1.1)
        axes.plot(epochs, ys, color=BLACK, lw=2, label=f"best of the end, {member_name(order[0])}")
        axes.set_xlabel("training of a member (epochs, ancestors included)")
        axes.set_ylabel(f"{evolution.metric} of a member{of_several}")
        axes.grid(axis="y")
        axes.margins(x=0.01)
        whole_numbers(axes.xaxis)
        cut_off(axes, evolution, order)
        label_ends(axes, evolution, colours, gap_in=0.19, height_in=figure.get_figheight())
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def _steps(evolution: Evolution, rows: list[dict[int, int]], member: int) -> list[tuple[int, int]]:
    """[G - 1] the rows of a member's ancestor in each generation and in the next."""
    line = [rows[g][slot] for g, slot in enumerate(ancestry(evolution, member))]
    return list(zip(line[:-1], line[1:], strict=True))


def _scores(evolution: Evolution, orders: list[list[int]]) -> Shares:
    """[N, G] the score of each member in its row; NaN where nobody has one."""
    found = np.full((max(map(len, orders)), len(orders)), math.nan)
    for generation, order in enumerate(orders):
        for row, member in enumerate(order):
            score = evolution.at(generation, member).score
            if score is not None and math.isfinite(score):
                found[row, generation] = score
    return found


def _lowest(evolution: Evolution) -> float | None:
    """The score below which cells share a colour."""
    return lowest_shade([s for row in evolution.generations for s in finite_scores(row)])


def _means(values: Sequence[float], size: int) -> list[float]:
    """Means of so many neighbours each, of those that are finite; the last value stays as it is."""
    found = []
    for start in range(0, len(values) - 1, size):
        several = values[start : min(start + size, len(values) - 1)]
        finite = [value for value in several if math.isfinite(value)]
        found.append(math.fsum(finite) / len(finite) if finite else math.nan)
    return [*found, values[-1]]


def _percentiles(evolution: Evolution, generation: int, which: tuple[int, int]) -> Point:
    scores = finite_scores(evolution.generations[generation])
    if not scores:
        return math.nan, math.nan
    low, high = np.percentile(scores, which)
    return float(low), float(high)
