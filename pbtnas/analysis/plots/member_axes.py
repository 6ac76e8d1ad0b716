"""What the figures of members' own curves have in common: points, axes, names at the ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pbtnas.analysis.plots.evolution import Evolution, Standing, ancestry
from pbtnas.analysis.plots.style import GREY, spread_out
from pbtnas.records.paths import member_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]


def cut_off(axes: Axes, evolution: Evolution, members: Sequence[int]) -> None:
    """Cut the axis far below the lines of the last generation, and count what is not shown.

    A single early failure would otherwise press all other lines together.
    """
    living = [score for member in members for _, score in stitched(evolution, member)]
    living = [score for score in living if math.isfinite(score)]
    if not living:
        return
    floor = 2 * min(living) - max(living)
    if floor == max(living):
        return  # all are equal: there is no axis to cut
    scores = [s.score for standings in evolution.generations for s in standings]
    below = sum(score is not None and score < floor for score in scores)
    if below:
        axes.set_ylim(bottom=floor, top=max(living) + 0.05 * (max(living) - floor))
        words = f"{below} lower score{'s' if below > 1 else ''} not shown"
        axes.text(0.99, 0.02, words, transform=axes.transAxes, ha="right", color=GREY)


def label_ends(
    axes: Axes,
    evolution: Evolution,
    colours: Mapping[int, tuple[float, ...]],
    *,
    gap_in: float,
    height_in: float,
) -> None:
    """Names of the last generation beside the ends of their lines, moved apart."""
    last = len(evolution.generations) - 1
    ends = [(m, point(evolution, last, evolution.at(last, m))) for m in colours]
    ends = [(member, point) for member, point in ends if math.isfinite(point[1])]
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    gap = (high - low) * gap_in / height_in
    heights = spread_out([y for _, (_, y) in ends], gap, low, high)
    for (member, (x, y)), height in zip(ends, heights, strict=True):
        axes.annotate(
            member_name(member),
            (x, y),
            xytext=(1.035, (height - low) / (high - low)),
            textcoords="axes fraction",
            fontsize=8.5,
            color=colours[member],
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colours[member],
                "lw": 0.6,
                "relpos": (0, 0.5),
                "shrinkB": 0,
            },
        )


def stitched(evolution: Evolution, member: int) -> list[Point]:
    return [
        point(evolution, generation, evolution.at(generation, slot))
        for generation, slot in enumerate(ancestry(evolution, member))
    ]


def point(evolution: Evolution, generation: int, standing: Standing) -> Point:
    score = math.nan if standing.score is None else standing.score
    return float(evolution.epochs[generation]), score
