"""Figures over algorithms and seeds: score against work, and against population size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.compare.outcomes import Curve
from pbtnas.analysis.compare.statistics import spread
from pbtnas.analysis.plots.mean_curves import mean_curve
from pbtnas.analysis.plots.style import Look, looks, new_figure, style, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def score_curves(curves: Sequence[Curve], *, title: str = "", ddof: int = 0) -> Figure:
    """Best score of the generation against network-epochs, mean ± std over seeds (Figure 3).

    `title` says what is drawn, where it is no score.

    To the right, on a scale of their own, the final scores: one dot a seed.  Raises
    `ValueError` for no curves.
    """
    if not curves:
        raise ValueError("no curves to plot")
    look = looks(curve.algorithm for curve in curves)
    groups = {name: [c for c in curves if c.algorithm == name] for name in look}
    with style():
        figure = new_figure(4.6)
        left, right = figure.subplots(1, 2, width_ratios=(3, 1))
        for name, group in groups.items():
            _draw_mean(left, name, group, look[name], ddof)
        left.set_title(title or f"Best {curves[0].metric} of the generation")
        left.set_xlabel("work (network-epochs, all members)")
        left.set_ylabel(f"{curves[0].metric} (mean ± std over seeds)")
        whole_numbers(left.xaxis)
        left.xaxis.set_major_formatter("{x:,.0f}")
        left.grid(axis="y")
        finals = {name: [c.scores[-1] for c in group] for name, group in groups.items()}
        _draw_finals(right, finals, look, ddof)
        figure.legend(
            *left.get_legend_handles_labels(),
            loc="outside upper center",
            ncols=min(3, len(groups)),
        )
    return figure


def population_size(
    values: Mapping[str, Mapping[int, Sequence[float]]], *, metric: str, ddof: int = 0
) -> Figure:
    """Final value against population size, mean ± std over seeds (Figure 4).

    `values[algorithm][N]` are the values of all seeds.  Raises `ValueError` for no values.
    """
    if not values:
        raise ValueError("no population sizes to plot")
    look = looks(values)
    with style():
        figure = new_figure(4.2, 6.4)
        axes = figure.subplots()
        for name in look:
            sizes = sorted(values[name])
            spreads = [spread(values[name][size], ddof=ddof) for size in sizes]
            axes.errorbar(
                sizes,
                [s.mean for s in spreads],
                yerr=np.nan_to_num([s.std for s in spreads]),
                color=look[name].colour,
                marker=look[name].marker,
                capsize=4,
                label=name,
            )
        axes.set_xticks(sorted({size for by_size in values.values() for size in by_size}))
        axes.set_xlabel("population size (members)")
        axes.set_ylabel(f"final {metric} (mean ± std over seeds)")
        axes.grid(axis="y")
        figure.legend(loc="outside upper center", ncols=min(3, len(look)))
    return figure


def _draw_mean(axes: Axes, name: str, group: Sequence[Curve], look: Look, ddof: int) -> None:
    found = mean_curve(group, ddof=ddof)
    seeds = f"{len(group)} seed{'s' if len(group) > 1 else ''}"
    axes.plot(
        found.epochs,
        found.mean,
        color=look.colour,
        marker=look.marker,
        markevery=max(1, len(found.epochs) // 8),
        markersize=5,
        label=f"{name} ({seeds})",
    )
    if found.std is not None:
        low, high = found.mean - found.std, found.mean + found.std
        axes.fill_between(found.epochs, low, high, color=look.colour, alpha=0.15, lw=0)


def _draw_finals(
    axes: Axes, finals: Mapping[str, Sequence[float]], look: Mapping[str, Look], ddof: int
) -> None:
    for x, (name, scores) in enumerate(finals.items()):
        colour, marker = look[name].colour, look[name].marker
        # Dots side by side in the order of seeds, so that equal scores do not hide each other.
        offsets = np.linspace(-0.22, 0.22, len(scores)) if len(scores) > 1 else [0.0]
        axes.plot(
            x + np.array(offsets), scores, ls="", marker=marker, ms=3.5, color=colour, alpha=0.55
        )
        final = spread(scores, ddof=ddof)
        axes.errorbar(
            x,
            final.mean,
            yerr=np.nan_to_num(final.std),
            color=colour,
            marker="_",
            ms=16,
            mew=2,
            capsize=4,
        )
    axes.set_xlim(-0.6, len(finals) - 0.4)
    axes.set_xticks(range(len(finals)), [""] * len(finals))
    axes.set_title("Final, by seed")
    axes.grid(axis="y")
