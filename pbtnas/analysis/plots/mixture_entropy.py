"""Figure of how decided supernets are about their architecture: the entropy of the mixture.

After Figure 4 of "In defense of weight-sharing" (arXiv 2004.07802): each method beside the one that
it modifies.  Entropies are divided by that of the uniform mixture, so that spaces with other
numbers of operations, and published curves, have one axis.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.found.mixtures import EntropyCurve
from pbtnas.analysis.plots.style import GREY, looks_in_turn, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FAMILIES = {
    "DARTS": ("darts-1", "darts-2", "gaea-bilevel", "gaea-erm"),
    "GDAS": ("gdas", "gaea-gdas"),
    "PC-DARTS": ("pc-darts", "gaea-pc-darts"),
    "ENAS": ("enas",),
}
"""Methods that differ in the step of the architecture, by panel."""

_EPOCHS = np.array([0, 5, 10, 20, 30, 40, 49]) / 49
_PUBLISHED = {
    "darts-1": ("NAS-Bench-201", 4, (1.386, 1.386, 1.385, 1.382, 1.373, 1.342, 1.310)),
    "gaea-bilevel": ("NAS-Bench-201", 4, (1.362, 1.087, 0.951, 0.819, 0.745, 0.726, 0.773)),
    "pc-darts": ("DARTS space", 8, (2.078, 2.076, 2.074, 2.071, 2.068, 2.063, 2.055)),
    "gaea-pc-darts": ("DARTS space", 8, (2.077, 2.061, 2.039, 2.008, 1.994, 1.951, 1.921)),
}
"""Space, operations and entropies in nats after these shares of 50 epochs, read from the vector
figures that the authors of GAEA have published."""


def mixture_entropy(curves: Mapping[str, EntropyCurve]) -> Figure:
    """A panel for each family of methods that has curves; bands are ± the std over seeds."""
    panels = {
        family: {n: c for method in methods for n, c in curves.items() if c.method == method}
        for family, methods in _FAMILIES.items()
    }
    panels = {family: found for family, found in panels.items() if found}
    if not panels:
        raise ValueError("no run learns a mixture")
    look = looks_in_turn(name for found in panels.values() for name in found)
    with style():
        columns = min(2, len(panels))
        rows = -(-len(panels) // columns)
        figure = new_figure(3.4 * rows)
        drawn = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes, (family, found) in zip(drawn.flat, panels.items(), strict=False):
            for name, curve in found.items():
                _draw(axes, name, curve, look[name].colour, look[name].marker)
            _draw_published(axes, {c.method: look[name].colour for name, c in found.items()})
            axes.set_title(family)
            axes.grid(axis="y")
            axes.axhline(1, color=GREY, lw=0.8)
            axes.legend(fontsize=7.5, loc="best")
        for axes in list(drawn.flat)[len(panels) :]:
            axes.set_visible(False)
        for axes in list(drawn.flat)[len(panels) - columns : len(panels)]:
            axes.tick_params(labelbottom=True)  # also above a place that is empty
        figure.supxlabel("share of the training that is done", fontsize=9.5)
        figure.supylabel("entropy, as a share of the uniform mixture's", fontsize=9.5)
    return figure


def _draw(axes: Axes, name: str, curve: EntropyCurve, colour: str, marker: str) -> None:
    mean, std = curve.relative.mean(axis=0), curve.relative.std(axis=0)
    label = f"{name} ({len(curve.relative)})" if len(curve.relative) > 1 else name
    axes.plot(curve.done, mean, color=colour, marker=marker, ms=4, label=label)
    axes.fill_between(curve.done, mean - std, mean + std, color=colour, alpha=0.15, lw=0)


def _draw_published(axes: Axes, colours: Mapping[str, str]) -> None:
    """Dashed, in the colour of our curve of the same method."""
    for method, colour in colours.items():
        if method in _PUBLISHED:
            space, options, values = _PUBLISHED[method]
            axes.plot(
                _EPOCHS,
                np.array(values) / math.log(options),
                color=colour,
                ls="--",
                lw=1.2,
                label=f"{method} published, {space}",
            )
