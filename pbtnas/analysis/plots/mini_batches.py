"""Figures of what single mini-batches do to the accuracies of all subnets.

After "Deeper insights into weight sharing", Figures 4 to 9.  Each subnet has the colour of its true
rank, the lighter the better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pbtnas.analysis.plots.style import GREY, SCORES, VERMILLION, new_figure, style, whole_numbers
from pbtnas.analysis.ranks import ground_truth_taus, ranks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

Array = NDArray[np.float64]


def finetune(starts: Mapping[str, Array], truth: ArrayLike, steps: Sequence[int]) -> Figure:
    """Accuracies and GT-Tau while each subnet is tuned alone, by mini-batch (Figure 4).

    `starts[title]` are accuracies [S, n] of all subnets, tuned from one snapshot of a supernet,
    after `steps` [S] mini-batches, 0 the snapshot itself; a column each.  Raises `ValueError`
    for no snapshot.
    """
    if not starts:
        raise ValueError("no tuned subnets to plot")
    with style():
        figure = new_figure(5.4, 1.2 + 3.4 * max(2, len(starts)))
        grid = figure.subplots(
            2, len(starts), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 2)
        )
        colours = _colours(len(np.asarray(truth)))
        lowest = -0.1
        for (top, bottom), (title, rows) in zip(grid.T, starts.items(), strict=True):
            _draw_subnets(top, steps, rows, truth, colours)
            top.set_title(title)
            taus = ground_truth_taus(rows, truth)
            bottom.plot(steps, taus, color=VERMILLION, marker="o", ms=4)
            bottom.axhline(0, color=GREY, lw=1)
            bottom.grid(axis="y")
            lowest = float(np.nanmin([lowest, *taus]))
            bottom.set_xlabel("mini-batches of tuning")
        grid[1, 0].set_ylim(lowest - 0.05, 1)  # of the whole row; markers have a size
        whole_numbers(grid[1, 0].xaxis)
        grid[0, 0].set_ylabel("accuracy of each subnet")
        grid[1, 0].set_ylabel("GT-Tau")
        _explain_colours(figure, colours, list(grid[0]))
    return figure


def last_steps(
    accuracies: Array,
    truth: ArrayLike,
    steps: Sequence[int],
    trained: Sequence[int] | None = None,
    *,
    name: str,
) -> Figure:
    """Accuracy of every subnet after each of the last mini-batches (Figures 5 to 9).

    `accuracies` are [R, n] after `steps` [R]; `trained` [R] is the index of the subnet that each of
    these mini-batches has trained, which gets a diamond; `name` is the run's.  Raises `ValueError`
    for no rows.
    """
    if not len(accuracies):
        raise ValueError("no mini-batches to plot")
    with style():
        figure = new_figure(5.2, 10.0)
        axes = figure.subplots()
        colours = _colours(accuracies.shape[1])
        of_subnet = _draw_subnets(axes, steps, accuracies, truth, colours)
        if trained is not None:
            axes.scatter(
                steps,
                [row[i] for row, i in zip(accuracies, trained, strict=True)],
                marker="D",
                s=26,
                c=[of_subnet[i] for i in trained],
                edgecolors="black",
                linewidths=0.9,
                zorder=3,
                label="the subnet just trained",
            )
            figure.legend(loc="outside upper right")
        axes.set_title(f"{name}: all subnets after each of the last mini-batches")
        axes.set_xlabel("mini-batches trained")
        axes.set_ylabel("accuracy with shared weights")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        whole_numbers(axes.xaxis)
        _explain_colours(figure, colours, [axes])
    return figure


def _colours(n: int) -> ScalarMappable:
    """Colours of the true ranks 1 to n, the lightest for 1."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(1, n), f"{SCORES}_r")


def _draw_subnets(
    axes: Axes,
    steps: Sequence[int],
    rows: Array,
    truth: ArrayLike,
    colours: ScalarMappable,
) -> list[Any]:
    """A line a subnet, the truly best on top; returns the colour of each subnet."""
    of_truth = ranks(truth)
    found = [colours.to_rgba(rank) for rank in of_truth.tolist()]
    for i in np.argsort(-of_truth):
        axes.plot(steps, rows[:, i], color=found[i], lw=0.8, alpha=0.8)
    axes.set_facecolor("#F0F0F0")  # light lines show on it
    axes.grid(axis="y", color="white")
    return found


def _explain_colours(figure: Figure, colours: ScalarMappable, panels: list[Axes]) -> None:
    bar = figure.colorbar(colours, ax=panels, label="true rank (1 is the best)", pad=0.01)
    low, high = colours.get_clim()
    bar.set_ticks(sorted({round(float(rank)) for rank in np.linspace(low, high, 5)}))
    bar.ax.invert_yaxis()
