"""Figures of several objectives: the front of a run, fronts over seeds, the hypervolume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pbtnas.analysis.fronts.attainment import Pair, attained, outline
from pbtnas.analysis.fronts.hypervolume import Point
from pbtnas.analysis.fronts.measured import Measured
from pbtnas.analysis.plots.style import (
    BLACK,
    BLUE,
    GREY,
    Look,
    looks,
    new_figure,
    style,
    whole_numbers,
)
from pbtnas.search.objectives import Objective

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_NAMED = 9  # members of a front; more names would cover each other
NAME_WIDTH, NAME_HEIGHT = 0.035, 0.045  # of a figure's only panel
MARGIN = 0.06  # of the range of what is drawn
MAGNITUDES = 20.0


def front(run: Measured) -> Figure:
    """All members of a run in its objectives, and its front: the first against each other one.

    With two objectives the line is the edge of what the front dominates.  Raises `ValueError`
    for a run without a member within the bounds.
    """
    if not run.unbeaten:
        raise ValueError("no member within the bounds has all objectives")
    kept = run.kept
    everyone = [point for generation in run.everyone for point in generation]
    with style():
        figure, panels = _panels(len(run.objectives.each) - 1)
        for k, axes in enumerate(panels, start=1):
            _label(axes, run.objectives.each[0], run.objectives.each[k])
            dots = [_shown(run, point, k) for point in everyone]
            axes.plot(*_columns(dots), "o", color=GREY, alpha=0.3, ms=3.5, mew=0, label="members")
            if len(run.objectives.each) == 2:
                edge = outline(attained([[_pair(p, k) for p in run.unbeaten]], 1), _worst(everyone))
                line = [_shown(run, point, k) for point in edge]
                axes.plot(*_columns(line), color=BLUE, lw=1.2)
            ends = [_shown(run, point, k) for point in kept]
            label = f"front-1 to front-{len(kept)}, of all generations"
            axes.plot(*_columns(ends), "o", color=BLUE, ms=6, label=label)
            _scale(axes, dots)
            for number, end in _named(axes, ends, len(panels)):
                axes.annotate(
                    str(number), end, xytext=(5, 5), textcoords="offset points", fontsize=8
                )
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def fronts(groups: Mapping[str, Sequence[Measured]], reference: Point | None = None) -> Figure:
    """The fronts of several runs by name, those of different seeds together.

    With two objectives, the line is what half of the seeds attain, and the shade reaches from
    what all of them attain to what at least one does; dots are the members of the fronts.  Raises
    `ValueError` where there is no member to draw.
    """
    runs = [run for group in groups.values() for run in group]
    points = [point for run in runs for point in run.unbeaten]
    if not points:
        raise ValueError("no member within the bounds has all objectives")
    objectives = runs[0].objectives.each
    look = looks(groups)
    with style():
        figure, panels = _panels(len(objectives) - 1)
        for k, axes in enumerate(panels, start=1):
            _label(axes, objectives[0], objectives[k])
            for name in look:
                if len(objectives) == 2:
                    _draw_attained(axes, groups[name], look[name], _worst(points))
                dots = [_shown(run, p, k) for run in groups[name] for p in run.unbeaten]
                seeds = f"{len(groups[name])} seed{'s' if len(groups[name]) > 1 else ''}"
                axes.plot(
                    *_columns(dots),
                    ls="",
                    marker=look[name].marker,
                    color=look[name].colour,
                    ms=3.5,
                    alpha=0.55,
                    mew=0,
                    label=f"{name} ({seeds})",
                )
            _scale(axes, [_shown(runs[0], point, k) for point in points])
            if reference is not None:
                # It may lie far off, and must not make the fronts small.
                axes.autoscale_view()
                axes.autoscale(enable=False)
                x, y = _shown(runs[0], reference, k)
                (low, high), (lowest, highest) = axes.get_xlim(), axes.get_ylim()
                if low <= x <= high and lowest <= y <= highest:
                    axes.plot([x], [y], "x", color=BLACK, label="reference point")
        named: dict[str, Artist] = {}  # the point is not in every panel
        for axes in panels:
            handles, labels = axes.get_legend_handles_labels()
            named |= zip(labels, handles, strict=True)
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside upper center",
            ncols=3,
            markerscale=1.6,
        )
    return figure


def volumes(run: Measured, reference: Point, about: str) -> Figure:
    """The hypervolume of all members up to each generation; `about` says against which point."""
    with style():
        figure = new_figure(3.6, 6.4)
        axes = figure.subplots()
        found = run.volumes(reference)
        axes.plot(found, color=BLUE, marker="o", ms=4)
        axes.set_xlabel("generation")
        axes.set_ylabel("hypervolume")
        axes.set_title(f"against {about}", fontsize=9)
        axes.set_ylim(0, (1 + MARGIN) * max(found) or 1.0)
        axes.grid(axis="y")
        whole_numbers(axes.xaxis)
    return figure


def _panels(count: int) -> tuple[Figure, Sequence[Axes]]:
    figure = new_figure(4.8, 6.4 if count == 1 else 8.0)
    panels = figure.subplots(1, count, squeeze=False, sharex=False)
    return figure, list(panels.flat)


def _draw_attained(axes: Axes, group: Sequence[Measured], look: Look, worst: Pair) -> None:
    """What half of the seeds attain as a line, between what all and what one attains."""
    pairs = [[_pair(point, 1) for point in run.unbeaten] for run in group]
    one, half, every = (
        outline(attained(pairs, runs), worst) for runs in (1, (len(pairs) + 1) // 2, len(pairs))
    )
    if len(pairs) > 1:
        # Where not all have a member, the shade reaches to the side of the worst values.
        inner = every or [(worst[0], worst[1])]
        around = [_turned(group[0], pair) for pair in (*one, *reversed(inner))]
        axes.fill(*_columns(around), color=look.colour, alpha=0.15, lw=0)
    axes.plot(*_columns([_turned(group[0], pair) for pair in half]), color=look.colour)


def _label(axes: Axes, first: Objective, other: Objective) -> None:
    axes.set_xlabel(f"{first.name} ({first.direction} is better)")
    axes.set_ylabel(f"{other.name} ({other.direction} is better)")
    axes.grid()


def _scale(axes: Axes, dots: Sequence[Pair]) -> None:
    """Numbers of many magnitudes stand at even ratios."""
    for column, scale in zip(_columns(dots), (axes.set_xscale, axes.set_yscale), strict=True):
        if min(column) > 0 and max(column) > MAGNITUDES * min(column):
            scale("log")


def _pair(point: Point, k: int) -> Pair:
    return point[0], point[k]


def _shown(run: Measured, point: Point, k: int) -> Pair:
    """A point as its values are reported, in the panel of objective k."""
    return _pair(run.values(point), k)


def _turned(run: Measured, pair: Pair) -> Pair:
    first, second = run.objectives.each
    return first.gain(pair[0]), second.gain(pair[1])


def _worst(points: Sequence[Point]) -> Pair:
    """A little worse than all points, in the first two objectives."""
    first, second = (
        min(column) - MARGIN * ((max(column) - min(column)) or 1.0)
        for column in list(zip(*points, strict=True))[:2]
    )
    return first, second


def _columns(pairs: Sequence[Pair]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _named(axes: Axes, ends: Sequence[Pair], panels: int) -> list[tuple[int, Pair]]:
    """The members of a front that are named, by their numbers from 1: some, spread over it, whose
    names do not cover each other.  The axes have their scales."""
    last = len(ends) - 1
    count = min(last, MOST_NAMED - 1)
    chosen = sorted({round(i * last / count) for i in range(count + 1)}) if count else [0]
    places = (axes.transScale + axes.transLimits).transform(ends)
    named: list[int] = []
    for i in sorted(chosen, key=lambda i: i not in (0, last)):  # the ends first
        apart = [
            abs(places[i] - places[other]) / (NAME_WIDTH * panels, NAME_HEIGHT) for other in named
        ]
        if all(distance.max() >= 1 for distance in apart):
            named.append(i)
    return [(i + 1, ends[i]) for i in sorted(named)]
