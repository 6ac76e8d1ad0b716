"""Figures that measure parts of the algorithm: shrink-perturb and the ablations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.compare.statistics import Spread, spread
from pbtnas.analysis.plots.style import BLUE, GREY, SCORES, VERMILLION, new_figure, style
from pbtnas.analysis.tables import decimal_places, written

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_SPECTRUM = {(0.4, 0.1): "paper", (1.0, 0.0): "copy", (0.0, 1.0): "fresh"}
"""Three points of the spectrum with a name: (lambda, gamma)."""


def spectrum(
    values: Mapping[tuple[float, float], Sequence[float]], *, metric: str, ddof: int = 0
) -> Figure:
    """Final value on the grid of shrink-perturb's lambda and gamma, mean ± std over seeds.

    `values[lambda, gamma]` are the values of all seeds; what was not run stays blank.  Raises
    `ValueError` for no values.
    """
    if not values:
        raise ValueError("no shrink-perturb settings to plot")
    shrinks = sorted({shrink for shrink, _ in values}, reverse=True)
    perturbs = sorted({perturb for _, perturb in values})
    spreads = {at: spread(numbers, ddof=ddof) for at, numbers in values.items()}
    means = np.full((len(shrinks), len(perturbs)), np.nan)
    for (shrink, perturb), found in spreads.items():
        means[shrinks.index(shrink), perturbs.index(perturb)] = found.mean
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    middle = low + 0.55 * (high - low)  # darker cells have white words
    places = decimal_places(float(np.nanmedian([found.std for found in spreads.values()])), 2)
    with style():
        figure = new_figure(1.6 + 0.62 * len(shrinks), min(8.0, 2.6 + 1.15 * len(perturbs)))
        axes = figure.subplots()
        image = axes.imshow(means, cmap=SCORES, aspect="auto")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.set_xticks(range(len(perturbs)), [f"{perturb:g}" for perturb in perturbs])
        axes.set_yticks(range(len(shrinks)), [f"{shrink:g}" for shrink in shrinks])
        axes.set_xlabel("perturb γ (factor on fresh weights)")
        axes.set_ylabel("shrink λ (factor on donated weights)")
        for at, found in spreads.items():
            place = (perturbs.index(at[1]), shrinks.index(at[0]))
            colour = "white" if found.mean < middle else "black"
            _draw_cell(axes, place, found, PAPER_SPECTRUM.get(at), places, colour)
        for row, column in np.argwhere(np.isnan(means)):
            axes.text(column, row, "not run", ha="center", va="center", color=GREY)
        figure.colorbar(image, ax=axes, label=f"final {metric} (mean over seeds)")
    return figure


def ablations(
    values: Mapping[str, Mapping[int, float]],
    *,
    metric: str,
    reference: str = "pbt-nas",
    maximise: bool = True,
    ddof: int = 0,
) -> Figure:
    """Mean difference of each variant to the reference, as bars.

    `values[variant][seed]`; differences are paired by seed, one dot each, with their std as
    error bar.  Bars start at zero difference, so their lengths may be compared, and are blue
    where the variant is better; the values themselves stand beside them.  Raises
    `ValueError` when the reference is missing or a variant shares no seed with it.
    """
    if reference not in values:
        raise ValueError(f"no values of the reference {reference!r}")
    variants = [name for name in values if name != reference]
    with style():
        figure = new_figure(1.5 + 0.55 * len(variants))
        axes = figure.subplots()
        for row, name in enumerate(variants):
            _draw_difference(axes, row, values[name], values[reference], maximise, ddof)
        labels = [
            f"{name}\n{written(spread(list(values[name].values()), ddof=ddof))}"
            for name in variants
        ]
        axes.set_yticks(range(len(variants)), labels)
        axes.set_ylim(len(variants) - 0.4, -0.6)
        axes.axvline(0, color=GREY, lw=1)
        axes.grid(axis="x")
        own = written(spread(list(values[reference].values()), ddof=ddof))
        axes.set_title(f"Difference to {reference} ({own})")
        sides = "← worse    {}    better →" if maximise else "← better    {}    worse →"
        axes.set_xlabel(sides.format(f"difference in final {metric}, by seed (mean ± std)"))
    return figure


def _draw_difference(
    axes: Axes,
    row: int,
    own: Mapping[int, float],
    reference: Mapping[int, float],
    maximise: bool,
    ddof: int,
) -> None:
    seeds = sorted(own.keys() & reference.keys())
    if not seeds:
        raise ValueError("a variant shares no seed with the reference")
    differences = [own[seed] - reference[seed] for seed in seeds]
    found = spread(differences, ddof=ddof)
    colour = BLUE if (found.mean >= 0) == maximise else VERMILLION
    axes.barh(row, found.mean, height=0.6, color=colour, alpha=0.45)
    offsets = np.linspace(-0.2, 0.2, len(seeds)) if len(seeds) > 1 else np.zeros(1)
    axes.plot(differences, row + offsets, ls="", marker="o", ms=3.5, color=colour)
    if np.isfinite(found.std):
        axes.errorbar(found.mean, row, xerr=found.std, color="black", capsize=4, lw=1.3)


def _draw_cell(
    axes: Axes,
    place: tuple[int, int],
    found: Spread,
    name: str | None,
    places: int,
    colour: str,
) -> None:
    """Mean ± std of one setting in its cell of the grid, in bold where it has a name."""
    lines = [name] if name else []
    lines.append(f"{found.mean:.{places}f}")
    if np.isfinite(found.std):
        lines.append(f"± {found.std:.{places}f}")
    axes.text(
        *place,
        "\n".join(lines),
        ha="center",
        va="center",
        fontsize=9,
        fontweight="bold" if name else "normal",
        color=colour,
    )
