"""Figure of how much is shared: rankings against the number of groups, or of shared cells.

After "Deeper insights into weight sharing", Table 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.compare.statistics import spread
from pbtnas.analysis.plots.style import Look, looks_in_turn, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BySetting = Mapping[int, Sequence[float]]
"""The values of all instances, by the number of groups or of shared cells."""


@dataclass(frozen=True)
class Sharing:
    """GT-Tau-Mean-k and GT-Tau-Std-k of every instance, by how much is shared."""

    mean: BySetting
    std: BySetting


def sharing(
    groups: Mapping[str, Sharing],
    prefixes: Mapping[str, Sharing],
    *,
    k: int,
    ddof: int = 0,
    whole: str = "",
) -> Figure:
    """GT-Tau-Mean-k above, GT-Tau-Std-k below, mean ± std over instances.

    To the left against the number of groups, each with weights of its own, e.g.
    `groups["random"]` beside `groups["similar"]`; to the right against the number of cells whose
    weights all subnets share.  `whole` is the variant that stands for one group, in which all
    share.  Raises `ValueError` where there is neither.
    """
    columns = [
        ("groups, each with weights of its own", groups, True),
        ("first cells that all subnets share", prefixes, False),
    ]
    columns = [column for column in columns if column[1]]
    if not columns:
        raise ValueError("no groups and no prefixes to plot")
    look = looks_in_turn([*groups, *prefixes])
    with style():
        figure = new_figure(5.4, 1.0 + 4.2 * len(columns))
        grid = figure.subplots(2, len(columns), sharex="col", sharey="row", squeeze=False)
        for (top, bottom), (words, series, doubling) in zip(grid.T, columns, strict=True):
            for name, found in series.items():
                _draw(top, name, found.mean, look[name], ddof)
                _draw(bottom, name, found.std, look[name], ddof)
            settings = sorted({m for found in series.values() for m in found.mean})
            if doubling:
                bottom.set_xscale("log", base=2)
            ticks = {m: f"{m}\n({whole})" if doubling and whole and m == 1 else m for m in settings}
            bottom.set_xticks(settings, [str(ticks[m]) for m in settings])
            bottom.set_xlabel(words)
            for axes in (top, bottom):
                axes.grid(axis="y")
            top.legend(loc="best")
        grid[0, 0].set_ylabel(f"GT-Tau-Mean-{k}")
        grid[1, 0].set_ylabel(f"GT-Tau-Std-{k}")
        figure.align_ylabels()
    return figure


def _draw(axes: Axes, name: str, values: BySetting, look: Look, ddof: int) -> None:
    settings = sorted(values)
    spreads = [spread(values[m], ddof=ddof) for m in settings]
    axes.errorbar(
        settings,
        [each.mean for each in spreads],
        yerr=np.nan_to_num([each.std for each in spreads]),
        color=look.colour,
        marker=look.marker,
        capsize=4,
        label=name,
    )
