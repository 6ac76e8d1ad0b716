"""Figures of how rankings by shared weights vary: over instances, and while a supernet is trained.

After "Deeper insights into weight sharing", Figures 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbtnas.analysis.plots.style import (
    BLUE,
    GREY,
    VERMILLION,
    looks_in_turn,
    new_figure,
    style,
    whole_numbers,
)
from pbtnas.analysis.ranks import ranks, s_tau

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

_MOST_NAMES = 80
"""Of so many subnets the names have room below a panel."""


def stability(arms: Mapping[str, Array], epochs: Sequence[float]) -> Figure:
    """S-Tau between the instances of each arm, after each generation (Figure 2).

    `arms[name]` are accuracies [N, G, n] of N instances after each of G generations; `epochs` [G]
    are those of one supernet until then.  A line is the mean over pairs of instances, the band
    around it reaches from the smallest to the largest tau.  Raises `ValueError` where there is
    no arm with two instances, or an arm has another number of generations.
    """
    several = {name: values for name, values in arms.items() if len(values) > 1}
    if not several:
        raise ValueError("no arm has two instances to compare")
    look = looks_in_turn(several)
    with style():
        figure = new_figure(4.6)
        axes = figure.subplots()
        for name, values in several.items():
            if values.shape[1] != len(epochs):
                raise ValueError(
                    f"{name} has {values.shape[1]} generations where the axis has {len(epochs)}"
                )
            found = [s_tau(values[:, generation]) for generation in range(len(epochs))]
            colour = look[name].colour
            axes.plot(
                epochs,
                [each.mean for each in found],
                color=colour,
                marker=look[name].marker,
                ms=5,
                markevery=max(1, len(epochs) // 10),
                label=f"{name} ({len(values)})",
            )
            axes.fill_between(
                epochs,
                [each.smallest for each in found],
                [each.largest for each in found],
                color=colour,
                alpha=0.1,
                lw=0,
            )
        axes.axhline(0, color=GREY, lw=1)
        axes.grid(axis="y")
        axes.set_xlabel("epochs of each supernet")
        whole_numbers(axes.xaxis)
        axes.set_ylabel("S-Tau (mean, smallest and largest of pairs)")
        axes.set_title("How alike the rankings of instances are")
        figure.legend(loc="outside upper center", ncols=min(3, len(several)))
    return figure


def rank_boxes(
    panels: Mapping[str, Array], truth: ArrayLike, names: Sequence[str], *, k: int | None = None
) -> Figure:
    """The ranks that each subnet has had, from the truly best one to the worst (Figure 3).

    `panels[title]` are accuracies [R, n]: a row an instance, or a row a generation of one; a panel
    each, the last k rows of it if k is given.  A box reaches from the first to the third
    quartile of the ranks, its line from the best to the worst.  Raises `ValueError` for no panel.
    """
    if not panels:
        raise ValueError("no rankings to plot")
    order = np.argsort(ranks(truth))
    with style():
        figure = new_figure(0.6 + 2.7 * len(panels), 10.0)
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (title, rows), colour in zip(
            grid, panels.items(), _alternating(len(panels)), strict=True
        ):
            shown = rows if k is None else rows[-k:]
            found = np.array([ranks(row)[order] for row in shown])
            _draw_boxes(axes, found, colour)
            axes.set_title(f"{title} ({len(shown)} ranking{'s' if len(shown) > 1 else ''})")
            axes.set_ylabel("rank by shared weights")
        _label_subnets(grid[-1], [names[i] for i in order])
    return figure


def _draw_boxes(axes: Axes, found: NDArray[np.int64], colour: str) -> None:
    """Boxes of ranks [R, n] at 1 to n; the best rank is on top."""
    n = found.shape[1]
    places = np.arange(1, n + 1)
    axes.plot([1, n], [1, n], color=GREY, lw=1, ls="--", zorder=0)  # where shared is true
    low, first, middle, third, high = np.quantile(found, [0, 0.25, 0.5, 0.75, 1], axis=0)
    axes.vlines(places, low, high, color=colour, lw=0.9, alpha=0.6)
    # A rank is a place of its own, so a box of one rank is one high.
    axes.bar(places, third - first + 1, bottom=first - 0.5, width=0.7, color=colour)
    axes.hlines(middle, places - 0.35, places + 0.35, color="white", lw=1.3)
    axes.set_ylim(n + 1, 0)
    axes.set_xlim(0, n + 1)
    axes.set_yticks(_spread_ticks(n))
    axes.grid(axis="y")


def _label_subnets(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xlabel("subnets, from the truly best to the worst")
    if len(names) <= _MOST_NAMES:
        axes.set_xticks(range(1, len(names) + 1), names, rotation=90, fontsize=7)


def _spread_ticks(n: int) -> list[int]:
    """Five ranks from the first to the last, or all if there are fewer."""
    return sorted({round(float(rank)) for rank in np.linspace(1, n, 5)})


def _alternating(count: int) -> list[str]:
    return [(BLUE, VERMILLION)[i % 2] for i in range(count)]
