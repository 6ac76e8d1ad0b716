"""The figure of schedules: the rungs of each ladder along the ancestry of the winner."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pbtnas.analysis.plots.evolution import Evolution
from pbtnas.analysis.plots.style import BLUE, GREY, new_figure, style, whole_numbers
from pbtnas.analysis.schedules import Schedule, schedule
from pbtnas.records.paths import member_name
from pbtnas.search.space import Variable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LABELS = 7  # of a ladder's rungs


def schedules(evolution: Evolution) -> Figure:
    """A panel a ladder: its rungs by generation, at even distances whatever their values.

    The line is what the ancestors (through bases) of the best member of the end were trained
    with; dots are all members, larger where more of them share a rung.  Raises `ValueError` for
    a space without ladders.
    """
    found = schedule(evolution)
    if not found.ladders:
        raise ValueError("no variable of this space is a ladder")
    columns = 1 if len(found.ladders) == 1 else 2
    rows = -(-len(found.ladders) // columns)
    with style():
        figure = new_figure(0.8 + 2.4 * rows)
        panels = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for axes in panels.flat[len(found.ladders) :]:
            axes.set_axis_off()
        for axes, (index, variable) in zip(panels.flat, found.ladders, strict=False):
            _draw_everyone(axes, evolution, index)
            _draw_winner(axes, found, index)
            _name_rungs(axes, variable)
            whole_numbers(axes.xaxis)
        for axes in panels.flat[: len(found.ladders)][-columns:]:
            axes.set_xlabel("generation")
            axes.tick_params(labelbottom=True)
        figure.legend(
            *panels.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=2
        )
    return figure


def _draw_everyone(axes: Axes, evolution: Evolution, index: int) -> None:
    counts = Counter(
        (generation, standing.architecture[index])
        for generation, standings in enumerate(evolution.generations)
        for standing in standings
    )
    largest = max(counts.values())
    axes.scatter(
        [generation for generation, _ in counts],
        [rung for _, rung in counts],
        s=[8 + 60 * number / largest for number in counts.values()],
        color=GREY,
        alpha=0.35,
        lw=0,
        label="members of the generation",
    )


def _draw_winner(axes: Axes, found: Schedule, index: int) -> None:
    axes.plot(
        found.rungs(index),
        color=BLUE,
        marker="o",
        ms=4.5,
        label=f"ancestors of the best of the end, {member_name(found.ancestors[-1])}",
    )


def _name_rungs(axes: Axes, variable: Variable) -> None:
    """Ticks at rungs of even distances, and at the highest."""
    last = len(variable.options) - 1
    stride = max(1, -(-last // (MOST_LABELS - 1)))
    chosen = [*range(0, last - stride // 2, stride), last]
    axes.set_yticks(chosen, [f"{variable.options[i]:.3g}" for i in chosen])
    axes.set_ylim(-0.6, last + 0.6)
    axes.set_title(variable.name)
    axes.grid(axis="y")
