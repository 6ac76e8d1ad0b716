"""Figures of supernets: drawn from arrays alone, and showing what these say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pbtnas.analysis.plots.mini_batches import finetune, last_steps
from pbtnas.analysis.plots.rank_stability import rank_boxes, stability
from pbtnas.analysis.plots.sharing import Sharing, sharing
from pbtnas.analysis.plots.style import looks_in_turn, to_svg
from pbtnas.analysis.ranks import ground_truth_taus, s_tau
from tests.analysis.supernets import made_rows, made_truth

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRUTH = made_truth(5)
NAMES = ("a", "b", "c", "d", "e")


def rows(seed: int) -> np.ndarray:
    """Accuracies [4, 5]; with odd seeds one subnet has no score at one time."""
    found = made_rows(seed, rows=4, subnets=5)
    if seed % 2:
        found[1, 2] = np.nan
    return found


def instances(seed: int) -> np.ndarray:
    """Accuracies [N, G, n] of three instances after four generations."""
    return np.array([rows(seed + i) for i in range(3)])


def by_setting(seed: int) -> Sharing:
    return Sharing(
        mean={1: [0.5, 0.6], 4: [0.7 + seed / 100, 0.7], 64: [0.8]},
        std={1: [0.1, 0.2], 4: [0.1, 0.1], 64: [0.0]},
    )


FIGURES: dict[str, Callable[[int], Figure]] = {
    "stability": lambda seed: stability({"seeds": instances(seed)}, [1, 2, 5, 9]),
    "rank_boxes": lambda seed: rank_boxes({"seeds": rows(seed), "last": rows(8)}, TRUTH, NAMES),
    "finetune": lambda seed: finetune({"from 50 %": rows(seed), "all": rows(9)}, TRUTH, range(4)),
    "last_steps": lambda seed: last_steps(
        rows(seed), TRUTH, range(96, 100), [0, 1, 2, 3], name="seeds"
    ),
    "sharing": lambda seed: sharing({"random": by_setting(seed)}, {"prefix": by_setting(0)}, k=4),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_what_it_shows(name: str) -> None:
    """Axes have their names, and a subnet without a score is no reason not to draw."""
    figure = FIGURES[name](1)

    figure.draw_without_rendering()
    assert any(axes.get_xlabel() for axes in figure.axes)
    assert any(axes.get_ylabel() for axes in figure.axes)


def test_a_figure_is_a_function_of_its_arrays() -> None:
    """The same arrays give the same bytes."""
    assert to_svg(FIGURES["last_steps"](1)) == to_svg(FIGURES["last_steps"](1))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: stability({"one": instances(0)[:1]}, [1, 2, 5, 9]),
        lambda: rank_boxes({}, TRUTH, NAMES),
        lambda: finetune({}, TRUTH, [0]),
        lambda: last_steps(rows(0)[:0], TRUTH, [], name="seeds"),
        lambda: sharing({}, {}, k=4),
    ],
)
def test_nothing_to_draw_is_refused(draw: Callable[[], Figure]) -> None:
    """An empty figure is never written."""
    with pytest.raises(ValueError, match="^no "):
        draw()


def test_stability_shows_s_tau_of_each_generation() -> None:
    """An arm whose subnets are all equal at first has a gap there, not a 0."""
    values = instances(0)
    values[:, 0] = 0.1
    figure = stability({"seeds": values, "one": values[:1]}, [1, 2, 5, 9])
    line = figure.axes[0].lines[0]

    taus = np.asarray(line.get_ydata(), float)
    assert np.isnan(taus[0])
    assert taus[1:] == pytest.approx([s_tau(values[:, g]).mean for g in (1, 2, 3)])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["seeds (3)"]
    with pytest.raises(ValueError, match="seeds has 4 generations where the axis has 2"):
        stability({"seeds": values}, [1, 2])


def test_boxes_stand_from_the_truly_best_to_the_worst() -> None:
    """A supernet that ranks as the truth does has all its boxes on the diagonal."""
    figure = rank_boxes({"one": np.array([[0.9], [0.1]]) * TRUTH, "x": rows(0)}, TRUTH, NAMES, k=1)
    boxes = [patch for patch in figure.axes[0].patches if patch.get_height() > 0]

    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == list("edcba")
    assert [box.get_y() + box.get_height() / 2 for box in boxes] == [1, 2, 3, 4, 5]
    assert figure.axes[0].get_title(loc="left") == "one (1 ranking)"


def test_tuning_shows_gt_tau_below_the_accuracies() -> None:
    """Each snapshot has its column: accuracies above, their tau with the truth below."""
    figure = finetune({"from 50 %": rows(2)}, TRUTH, [0, 1, 5, 32])
    top, bottom = figure.axes[:2]

    assert len(top.lines) == len(NAMES)
    taus = ground_truth_taus(rows(2), TRUTH)
    assert np.array_equal(bottom.lines[0].get_ydata(), taus)
    assert bottom.get_ylim()[0] < min(taus), "no marker is cut"


def test_lighter_is_truly_better_and_a_diamond_is_on_the_subnet_just_trained() -> None:
    """The last subnet is the best: its line is the lightest; diamonds follow the order."""
    values = rows(0)
    figure = last_steps(values, TRUTH, [96, 97, 98, 99], [4, 0, 1, 2], name="seeds")
    axes = figure.axes[0]
    brightness = {
        tuple(np.asarray(line.get_ydata())): sum(line.get_color()[:3]) for line in axes.lines
    }
    by_subnet = [brightness[tuple(values[:, i])] for i in range(5)]

    assert by_subnet == sorted(by_subnet)
    diamonds = np.asarray(axes.collections[0].get_offsets())
    assert diamonds.tolist() == [[96 + t, values[t, i]] for t, i in enumerate([4, 0, 1, 2])]


def test_sharing_has_the_mean_of_instances_at_each_setting() -> None:
    """One instance has a point without an error bar; a study without prefixes has one column."""
    figure = sharing({"random": by_setting(0), "similar": by_setting(5)}, {}, k=64)

    assert [axes.get_ylabel() for axes in figure.axes] == ["GT-Tau-Mean-64", "GT-Tau-Std-64"]
    points = figure.axes[0].containers[0].lines[0]
    assert np.asarray(points.get_ydata()) == pytest.approx([0.55, 0.7, 0.8])


def test_series_in_one_figure_differ_in_colour_and_mark() -> None:
    """Seven arms can be told apart without a legend's order."""
    found = looks_in_turn("gfedcba")

    assert list(found) == list("gfedcba")
    assert len({look.colour for look in found.values()}) == 7
    assert len({look.marker for look in found.values()}) == 7
