"""Figures of a population: origins of layers, frequencies of options, diversity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.plots.evolution import (
    Evolution,
    Shares,
    distinct_architectures,
    mean_entropy,
    option_shares,
    origin_shares,
)
from pbtnas.analysis.plots.style import (
    COLOURS,
    GREY,
    LIGHT,
    WIDTH_IN,
    looks,
    new_figure,
    spread_out,
    style,
    whole_numbers,
)
from pbtnas.search.space import Variable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


MOST_CELLS = 250
"""Generations that have a column of their own among the options."""


def layer_origins(evolution: Evolution) -> Figure:
    """Share of all layers by the initial member they began in, over generations.

    The initial members with most layers at the end have a colour each, the others share grey;
    layers that began later (by mutation, or reinitialised) are dark grey.
    """
    shares = origin_shares(evolution)
    initial, later = shares[:, :-1], shares[:, -1]
    starts = [standing.member for standing in evolution.generations[0]]
    order = np.argsort(-initial[-1], kind="stable")
    named = [int(i) for i in order[: len(COLOURS)] if initial[-1, i] > 0]
    rest = [i for i in range(len(starts)) if i not in named]
    bands = np.array([*(initial[:, i] for i in named), initial[:, rest].sum(axis=1), later])
    others = f"{len(rest)} others"
    labels = [*(f"m{starts[i]:02d}" for i in named), others, "begun later"]
    with style():
        figure = new_figure(4.4)
        axes = figure.subplots()
        axes.stackplot(
            range(len(shares)),
            100 * bands,
            colors=[*COLOURS[: len(named)], LIGHT, GREY],
            edgecolor="white",
            lw=0.6,
        )
        axes.set_xlim(0, max(1, len(shares) - 1))
        axes.set_ylim(0, 100)
        whole_numbers(axes.xaxis)
        axes.set_xlabel("generation")
        axes.set_ylabel("share of all layers (%)")
        greys = f"grey: {others}" + ("; dark: begun later" if later.any() else "")
        axes.set_title(f"Layers by the initial member they began in ({greys})")
        _label_bands(axes, labels, bands[:, -1])
    return figure


def _label_bands(axes: Axes, labels: Sequence[str], shares: Shares) -> None:
    """Names of stacked bands and their shares at the end, beside the right edge."""
    middles = 100 * (np.cumsum(shares) - shares / 2)
    heights = spread_out(middles, 5.5, 2, 98)
    for label, share, middle, height in zip(labels, shares, middles, heights, strict=True):
        if share > 0:
            axes.annotate(
                f"{label}  {100 * share:.0f} %",
                (1, middle / 100),
                xytext=(1.03, height / 100),
                xycoords="axes fraction",
                textcoords="axes fraction",
                va="center",
                arrowprops={"arrowstyle": "-", "color": LIGHT, "lw": 0.8, "relpos": (0, 0.5)},
            )


def option_frequencies(evolution: Evolution) -> Figure:
    """How frequent every option of every variable is, over generations.

    One strip an option, darker where more members have it, grouped by variable in the order
    of the space, in as many columns as keep the page in shape.  Of many generations, each cell is
    the mean of some neighbouring ones.
    """
    shares = [_merged(found) for found in option_shares(evolution)]
    tables = list(zip(evolution.variables, shares, strict=True))
    count = len(evolution.generations)
    rows = sum(1 + len(variable.options) for variable in evolution.variables)
    columns = _split(tables, min(4, max(1, math.ceil(rows / 34))))
    height = max(_rows(column) for column in columns)
    letters = int(15 * (WIDTH_IN / len(columns) - 0.15))
    with style():
        figure = new_figure(1.2 + 0.165 * height)
        grid = figure.subplots(1, len(columns), squeeze=False)
        for axes, column in zip(grid[0], columns, strict=True):
            image = _draw_options(axes, column, height, letters, count)
        figure.colorbar(
            image,
            ax=list(grid[0]),
            location="top",
            label="share of members that have the option (%)",
            shrink=0.5,
            aspect=40,
            pad=0.15 / figure.get_figheight(),
            fraction=0.6 / figure.get_figheight(),
        )
    return figure


def diversity(runs: Mapping[str, Evolution]) -> Figure:
    """Mean entropy of the variables, and number of different architectures, over generations."""
    if not runs:
        raise ValueError("no runs to plot")
    look = looks(runs)
    with style():
        figure = new_figure(5.2)
        top, bottom = figure.subplots(2, 1, sharex=True)
        for name in look:
            marks = {
                "color": look[name].colour,
                "marker": look[name].marker,
                "ms": 4,
                "markevery": max(1, len(runs[name].generations) // 10),
            }
            top.plot(100 * mean_entropy(runs[name]), label=name, **marks)
            bottom.plot(distinct_architectures(runs[name]), **marks)
        top.set_ylim(0, 103)
        top.set_ylabel("mean entropy of a\nvariable (% of maximum)")
        bottom.set_ylim(bottom=0)
        bottom.set_ylabel("different architectures\n(members)")
        bottom.set_xlabel("generation")
        whole_numbers(bottom.xaxis)
        for axes in (top, bottom):
            axes.grid(axis="y")
        figure.legend(loc="outside upper center", ncols=min(4, len(look)))
    return figure


Column = list[tuple[Variable, Shares]]


def _rows(column: Column) -> int:
    return sum(1 + len(variable.options) for variable, _ in column)


def _split(tables: Column, columns: int) -> list[Column]:
    """Consecutive columns of about equal numbers of rows."""
    limit = _rows(tables) / columns
    split: list[Column] = [[]]
    for table in tables:
        if _rows(split[-1]) + _rows([table]) / 2 > limit and len(split) < columns:
            split.append([])
        split[-1].append(table)
    return split


def _merged(shares: Shares) -> Shares:
    """At most `MOST_CELLS` rows: what a picture has no dots for would blur its neighbours."""
    size = -(-len(shares) // MOST_CELLS)
    starts = np.arange(0, len(shares), size)
    sums = np.add.reduceat(shares, starts, axis=0)
    return sums / np.diff([*starts, len(shares)])[:, None]


def _draw_options(
    axes: Axes, column: Column, height: int, letters: int, generations: int
) -> AxesImage:
    picture = np.full((height, len(column[0][1])), np.nan)
    ticks: list[int] = []
    labels: list[str] = []
    row = 0
    for variable, shares in column:
        # A long name loses its beginning, which neighbours share.
        name = variable.name
        name = name if len(name) <= letters else f"…{name[1 - letters :]}"
        # To the right, so that it may run over the space of the options' names.
        axes.text(generations - 0.5, row, name, fontsize=8, ha="right", va="center")
        count = len(variable.options)
        picture[row + 1 : row + 1 + count] = 100 * shares.T
        ticks += range(row + 1, row + 1 + count)
        labels += [str(option) for option in variable.options]
        row += 1 + count
    image = axes.imshow(
        picture,
        cmap="Blues",
        vmin=0,
        vmax=100,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, generations - 0.5, height - 0.5, -0.5),
    )
    axes.set_yticks(ticks, labels, fontsize=7.5)
    axes.set_xlabel("generation")
    whole_numbers(axes.xaxis, 4)
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return image
