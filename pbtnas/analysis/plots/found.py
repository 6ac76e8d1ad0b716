"""Figures of what runs have found, by published results: by variant, and against their cost.

After "Geometry-aware gradient algorithms for neural architecture search", Figure 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.compare.statistics import spread
from pbtnas.analysis.found.published import Published
from pbtnas.analysis.found.returned import Returned
from pbtnas.analysis.plots.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    Look,
    looks_in_turn,
    new_figure,
    style,
)
from pbtnas.analysis.ranks import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARING, POPULATION = VERMILLION, BLUE
_LINES = 5
"""Variants in a panel of `cost`."""

Groups = Mapping[str, Sequence[Returned]]
"""Runs by variant."""


def by_variant(runs: Sequence[Returned]) -> dict[str, list[Returned]]:
    """The runs by variant: those that share weights first, each kind in order of the names."""
    ordered = sorted(runs, key=lambda run: (not run.shared, run.name, run.seed))
    groups: dict[str, list[Returned]] = {}
    for run in ordered:
        groups.setdefault(run.name, []).append(run)
    return groups


def found(runs: Sequence[Returned], table: Published, *, ddof: int = 0) -> Figure:
    """Published accuracy of what each run returned, by variant, a panel for each data set.

    A dot a seed, and mean ± std.  Raises `ValueError` for no runs.
    """
    groups = by_variant(runs)
    if not groups:
        raise ValueError("no runs to plot")
    with style():
        figure = new_figure(2.2 + 0.3 * len(groups), 3.0 + 2.2 * len(table.data_sets))
        figure.suptitle(f"What each run returned at its own end, by {table.name}", fontsize=10)
        panels = figure.subplots(1, len(table.data_sets), sharey=True, squeeze=False)[0]
        for column, (axes, data_set) in enumerate(zip(panels, table.data_sets, strict=True)):
            for row, group in enumerate(groups.values()):
                values = [table.accuracies_of(run.architectures[-1])[column] for run in group]
                known = [float(value) for value in values if math.isfinite(value)]
                _draw_row(axes, row, known, group[0].shared, ddof)
            best = float(table.accuracies[:, column].max())
            axes.axvline(best, color=BLACK, lw=1.5, label="optimum")
            axes.axvline(
                float(table.accuracies[:, column].mean()),
                color=GREY,
                lw=1.2,
                ls="--",
                label="mean of the table",
            )
            axes.set_title(data_set)
            axes.set_xlabel("published accuracy (%)")
            axes.grid(axis="x")
        panels[0].set_yticks(range(len(groups)), list(groups))
        panels[0].set_ylim(len(groups) - 0.4, -0.6)
        handles = {
            label: handle
            for axes in panels
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside lower center",
            ncols=4 if len(panels) > 1 else 2,
        )
    return figure


def cost(runs: Sequence[Returned], table: Published, *, ddof: int = 0) -> Figure:
    """Published accuracy of what would be returned now, against multiply-adds of all jobs.

    On the first data set; mean ± std over seeds, from where all seeds of a variant return
    something.  Raises `ValueError` where no run has counted its cost.
    """
    groups = {name: [run for run in group if run.costs] for name, group in by_variant(runs).items()}
    groups = {name: group for name, group in groups.items() if group}
    if not groups:
        raise ValueError("no run has counted its cost")
    panels = _panels(groups)
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    with style():
        columns = min(2, len(panels))
        rows = -(-len(panels) // columns)
        figure = new_figure(1.0 + 3.2 * rows)
        drawn = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, names in zip(drawn.flat, panels, strict=False):
            for name, look in looks_in_turn(names).items():
                _draw_cost(axes, name, groups[name], look, table, ddof)
            best = float(table.accuracies[:, 0].max())
            axes.axhline(best, color=BLACK, lw=1.5, label="optimum")
            axes.set_title("shared weights" if groups[names[0]][0].shared else "populations")
            axes.set_xscale("log")
            # Short labels, because those of a log scale overlap where it spans about a decade.
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(axis="y")
            axes.legend(fontsize=7.5, loc="best")
        for axes in list(drawn.flat)[len(panels) :]:
            axes.set_visible(False)
        for axes in list(drawn.flat)[len(panels) - columns : len(panels)]:
            axes.tick_params(labelbottom=True)  # also above a place that is empty
        figure.suptitle(
            f"What would be returned now: {table.data_sets[0]} by {table.name}", fontsize=10
        )
        figure.supxlabel("multiply-adds of all jobs until now (G: $10^9$)", fontsize=9.5)
        figure.supylabel("published accuracy (%, mean ± std over seeds)", fontsize=9.5)
    return figure


def _panels(groups: Groups) -> list[list[str]]:
    """The variants of each panel: few enough to tell apart, those that share weights first."""
    panels = []
    for shared in (True, False):
        names = [name for name, group in groups.items() if group[0].shared == shared]
        panels += [names[i : i + _LINES] for i in range(0, len(names), _LINES)]
    return panels


def _draw_cost(
    axes: Axes, name: str, group: Sequence[Returned], look: Look, table: Published, ddof: int
) -> None:
    costs, values = _steps(group, table)
    mean = values.mean(axis=0)
    axes.step(
        costs,
        mean,
        where="post",
        color=look.colour,
        marker=look.marker,
        markevery=max(1, len(costs) // 6),
        markersize=4.5,
        label=name,
    )
    if len(group) > 1:
        std = values.std(axis=0, ddof=ddof)
        axes.fill_between(
            costs, mean - std, mean + std, step="post", color=look.colour, alpha=0.12, lw=0
        )


def _draw_row(axes: Axes, row: int, values: Sequence[float], shared: bool, ddof: int) -> None:
    if not values:
        return
    colour = SHARING if shared else POPULATION
    # Dots one below the other in the order of seeds, so that equal ones do not hide each other.
    offsets = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(1)
    axes.plot(values, row + offsets, ls="", marker="o", ms=3.5, color=colour, alpha=0.5)
    mean = spread(values, ddof=ddof)
    axes.errorbar(
        mean.mean,
        row,
        xerr=np.nan_to_num(mean.std),
        color=colour,
        marker="|",
        ms=13,
        mew=2,
        capsize=3,
        ls="",
        label="shared weights" if shared else "population",
    )


def _steps(group: Sequence[Returned], table: Published) -> tuple[Array, Array]:
    """All costs at which a run of the group returns something else, ascending [T], and the
    accuracy of each run there [runs, T]; NaN where the table lacks what it returns."""
    begun = max(run.costs[0] for run in group)
    ended = min(run.cost for run in group)
    every = sorted({c for run in group for c in run.costs if begun <= c <= ended} | {begun})
    values = [[table.accuracies_of(run.at(c))[0] for c in every] for run in group]
    return np.array(every), np.array(values)
