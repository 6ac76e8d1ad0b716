"""Figures of one run's descent: the phylogeny, and every member's own curve."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pbtnas.analysis.plots import crowd
from pbtnas.analysis.plots.evolution import (
    Evolution,
    ancestry,
    lowest_shade,
    ranked,
    tree_order,
)
from pbtnas.analysis.plots.member_axes import Point, cut_off, label_ends, point, stitched
from pbtnas.analysis.plots.style import (
    BLACK,
    GREY,
    LIGHT,
    SCORES,
    SKY,
    VERMILLION,
    new_figure,
    style,
    whole_numbers,
)
from pbtnas.records.paths import member_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

MOST_DRAWN = 2_000
"""Member-steps of which every one gets a dot and its lines; of more, they hide each other."""

Rows = list[dict[int, float]]
"""[G] the height at which each slot is drawn."""


def phylogeny(evolution: Evolution) -> Figure:
    """The family tree: a column a generation, one dot a member, coloured by score.

    Members stand in the order of the family tree, slots are named at both ends.  A child hangs
    on its base by a line and on its donor by a dashed one; a cross marks who was replaced, a
    thick line the ancestors (through bases) of the best member of the end.  Of more than
    `MOST_DRAWN` member-steps, `crowd` draws what can still be seen.
    """
    if evolution.member_steps > MOST_DRAWN:
        return crowd.phylogeny(evolution)
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
    and coloured by their rank, lighter for better, the best with a thick black line.  Of more
    than `MOST_DRAWN` member-steps, `crowd` draws what can still be seen.
    """
    if evolution.member_steps > MOST_DRAWN:
        return crowd.member_curves(evolution)
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
            xs, ys = zip(*stitched(evolution, member), strict=True)
            axes.plot(xs, ys, color=colours[member], lw=1.3)
        axes.plot(xs, ys, color=BLACK, lw=2.8, label=f"best of the end, {member_name(order[0])}")
        axes.set_xlabel("training of a member (epochs, ancestors included)")
        axes.set_ylabel(f"{evolution.metric} of a member")
        axes.grid(axis="y")
        axes.margins(x=0.01)
        whole_numbers(axes.xaxis)
        cut_off(axes, evolution, order)
        label_ends(axes, evolution, colours, gap_in=0.19, height_in=figure.get_figheight())
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
            place = (float(generation), rows[generation][standing.member])
            if standing.score is not None and math.isfinite(standing.score):
                points.append(place)
                scores.append(standing.score)
            else:
                lost.append(place)
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
                (point(evolution, generation - 1, parent), point(evolution, generation, standing))
            )
            if standing.birth is not None:
                replaced = evolution.at(generation - 1, standing.member)
                ends.append(point(evolution, generation - 1, replaced))
    axes.add_collection(
        LineCollection(lines, colors=LIGHT, lw=1, label="line of a replaced member")
    )
    xs, ys = zip(*ends, strict=True) if ends else ((), ())
    axes.plot(xs, ys, ls="", marker="x", ms=4.5, color=GREY, label="replaced")
