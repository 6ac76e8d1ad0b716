"""Figures of one run's descent: the phylogeny, and every member's own curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.plots.evolution import (
    Evolution,
    Standing,
    ancestry,
    lowest_shade,
    ranked,
    tree_order,
)
from pbtnas.analysis.plots.style import (
    BLACK,
    GREY,
    LIGHT,
    SCORES,
    SKY,
    VERMILLION,
    new_figure,
    spread_out,
    style,
    whole_numbers,
)
from pbtnas.records.paths import member_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

Point = tuple[float, float]
Rows = list[dict[int, float]]
"""[G] the height at which each slot is drawn."""


def phylogeny(evolution: Evolution) -> Figure:
    """The family tree: a column a generation, one dot a member, coloured by score.

    Members stand in the order of the family tree, slots are named at both ends.  A child hangs
    on its base by a line and on its donor by a dashed one; a cross marks who was replaced, a
    thick line the ancestors (through bases) of the best member of the end.
    """
    orders = tree_order(evolution)
    rows = [{member: float(row) for row, member in enumerate(order)} for order in orders]
    last = len(orders) - 1
    with style():
        figure = new_figure(max(3.6, 1.7 + 0.3 * len(orders[0])))
        axes = figure.subplots()
        _draw_descent(axes, evolution, rows)
        dots = _draw_members(axes, evolution, rows)
        axes.set_yticks(range(len(orders[0])), [member_name(slot) for slot in orders[0]])
        for slot, row in rows[-1].items():
            axes.annotate(
                member_name(slot),
                (last, row),
                xytext=(9, 0),
                textcoords="offset points",
                va="center_baseline",
            )
        axes.set_ylim(len(orders[0]) - 0.4, -0.6)
        axes.set_xlim(-0.5, last + 0.5)
        whole_numbers(axes.xaxis)
        axes.set_xlabel("generation")
        axes.set_ylabel("members in the order of their family tree")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        figure.colorbar(dots, ax=axes, label=evolution.metric, extend="min", aspect=30, pad=0.03)
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def member_curves(evolution: Evolution) -> Figure:
    """The score of every member against its own training, stitched through its ancestors.

    A child's line goes on from its base's score, so that the price of mixing shows as a dip.
    Grey lines that end in a cross were replaced; members of the last generation are labelled
    and coloured by their rank, lighter for better, the best with a thick black line.
    """
    order = ranked(evolution)
    with style():
        from matplotlib import colormaps

        figure = new_figure(max(4.8, 1.2 + 0.2 * len(order)))
        axes = figure.subplots()
        _draw_everyone(axes, evolution)
        shades = colormaps[SCORES](np.linspace(0.85, 0.0, len(order)))
        colours = {
            member: tuple(map(float, shade)) for member, shade in zip(order, shades, strict=True)
        }
        colours[order[0]] = (0.0, 0.0, 0.0)
        for member in reversed(order):
            xs, ys = zip(*_stitched(evolution, member), strict=True)
            axes.plot(xs, ys, color=colours[member], lw=1.3)
        axes.plot(xs, ys, color=BLACK, lw=2.8, label=f"best of the end, {member_name(order[0])}")
        axes.set_xlabel("training of a member (epochs, ancestors included)")
        axes.set_ylabel(f"{evolution.metric} of a member")
        axes.grid(axis="y")
        axes.margins(x=0.01)
        whole_numbers(axes.xaxis)
        _cut_off(axes, evolution, order)
        _label_ends(axes, evolution, colours, gap_in=0.19, height_in=figure.get_figheight())
        figure.legend(loc="outside upper center", ncols=3)
    return figure


def _draw_descent(axes: Axes, evolution: Evolution, rows: Rows) -> None:
    from matplotlib.collections import LineCollection

    stays: list[tuple[Point, Point]] = []
    bases: list[tuple[Point, Point]] = []
    donors: list[tuple[Point, Point]] = []
    replaced: list[Point] = []
    for generation, standings in enumerate(evolution.generations[1:], start=1):
        before = rows[generation - 1]
        for standing in standings:
            here = (float(generation), rows[generation][standing.member])
            parent = (generation - 1.0, before[standing.parent])
            if standing.birth is None:
                stays.append((parent, here))
                continue
            bases.append((parent, here))
            if standing.birth.donor != standing.birth.base:
                donors.append(((generation - 1.0, before[standing.birth.donor]), here))
            replaced.append((generation - 1.0, before[standing.member]))
    dashed = LineCollection(donors, colors=VERMILLION, lw=0.8, ls=(0, (3, 2)), alpha=0.75)
    dashed.set_label("donor of a child" if donors else None)
    axes.add_collection(LineCollection(stays, colors=GREY, lw=1.4, label="lives on"))
    axes.add_collection(LineCollection(bases, colors=SKY, lw=1.8, label="base of a child"))
    axes.add_collection(dashed)
    best = ranked(evolution)[0]
    line = [rows[generation][slot] for generation, slot in enumerate(ancestry(evolution, best))]
    axes.plot(line, color=BLACK, lw=3, label=f"ancestors of {member_name(best)}")
    if replaced:
        xs, ys = zip(*replaced, strict=True)
        axes.plot(xs, ys, ls="", marker="x", ms=4.5, color="white", zorder=4)
        axes.plot([], [], ls="", marker="x", color=BLACK, label="replaced")


def _draw_members(axes: Axes, evolution: Evolution, rows: Rows) -> PathCollection:
    """Dots coloured by score; the worst fifth, usually early generations, share a colour."""
    points: list[Point] = []
    scores: list[float] = []
    lost: list[Point] = []
    for generation, standings in enumerate(evolution.generations):
        for standing in standings:
            point = (float(generation), rows[generation][standing.member])
            if standing.score is not None and math.isfinite(standing.score):
                points.append(point)
                scores.append(standing.score)
            else:
                lost.append(point)
    size = min(90.0, (220.0 / len(rows)) ** 2)
    dots = axes.scatter(
        [x for x, _ in points],
        [y for _, y in points],
        c=scores,
        cmap=SCORES,
        vmin=lowest_shade(scores),
        s=size,
        edgecolors="white",
        linewidths=0.8,
        zorder=3,
    )
    if lost:
        axes.scatter(
            [x for x, _ in lost],
            [y for _, y in lost],
            s=size,
            facecolors="white",
            edgecolors=BLACK,
            zorder=3,
            label="no score (diverged or failed)",
        )
    return dots


def _draw_everyone(axes: Axes, evolution: Evolution) -> None:
    """Grey lines of all members that ever lived, and crosses where they were replaced."""
    from matplotlib.collections import LineCollection

    lines: list[tuple[Point, Point]] = []
    ends: list[Point] = []
    for generation, standings in enumerate(evolution.generations[1:], start=1):
        for standing in standings:
            parent = evolution.at(generation - 1, standing.parent)
            lines.append(
                (_point(evolution, generation - 1, parent), _point(evolution, generation, standing))
            )
            if standing.birth is not None:
                replaced = evolution.at(generation - 1, standing.member)
                ends.append(_point(evolution, generation - 1, replaced))
    axes.add_collection(
        LineCollection(lines, colors=LIGHT, lw=1, label="line of a replaced member")
    )
    xs, ys = zip(*ends, strict=True) if ends else ((), ())
    axes.plot(xs, ys, ls="", marker="x", ms=4.5, color=GREY, label="replaced")


def _cut_off(axes: Axes, evolution: Evolution, members: Sequence[int]) -> None:
    """Cut the axis far below the lines of the last generation, and count what is not shown.

    A single early failure would otherwise press all other lines together.
    """
    living = [score for member in members for _, score in _stitched(evolution, member)]
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


def _label_ends(
    axes: Axes,
    evolution: Evolution,
    colours: Mapping[int, tuple[float, ...]],
    *,
    gap_in: float,
    height_in: float,
) -> None:
    """Names of the last generation beside the ends of their lines, moved apart."""
    last = len(evolution.generations) - 1
    ends = [(m, _point(evolution, last, evolution.at(last, m))) for m in colours]
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


def _stitched(evolution: Evolution, member: int) -> list[Point]:
    return [
        _point(evolution, generation, evolution.at(generation, slot))
        for generation, slot in enumerate(ancestry(evolution, member))
    ]


def _point(evolution: Evolution, generation: int, standing: Standing) -> Point:
    score = math.nan if standing.score is None else standing.score
    return float(evolution.epochs[generation]), score
