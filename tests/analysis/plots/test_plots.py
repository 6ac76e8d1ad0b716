"""Figures: written in both forms, as a function of their data and of nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbtnas.analysis.compare.outcomes import Curve
from pbtnas.analysis.plots import style as plots
from pbtnas.analysis.plots.ablations import ablations, spectrum
from pbtnas.analysis.plots.curves import population_size, score_curves
from pbtnas.analysis.plots.evolution import Evolution
from pbtnas.analysis.plots.lineage import MOST_DRAWN, member_curves, phylogeny
from pbtnas.analysis.plots.population import diversity, layer_origins, option_frequencies
from pbtnas.analysis.plots.schedules import schedules
from pbtnas.search.algorithms import random_search
from tests.analysis.synthetic import LADDERS, curve, evolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def small(seed: int) -> Evolution:
    return evolve(seed, members=4, generations=4)


FIGURES: dict[str, Callable[[int], Figure]] = {
    "score_curves": lambda seed: score_curves(
        [curve(name, s, small(seed + s)) for name in ("pbt-nas", "mine") for s in range(2)]
    ),
    "population_size": lambda seed: population_size(
        {"pbt-nas": {12: [0.8, 0.9], 24: [0.9 + seed, 1.0]}, "random-search": {12: [0.7]}},
        metric="accuracy",
    ),
    "spectrum": lambda seed: spectrum(
        {(0.4, 0.1): [0.9, 0.91 + seed], (1.0, 0.0): [0.8], (0.0, 1.0): [0.7]}, metric="accuracy"
    ),
    "ablations": lambda seed: ablations(
        {"pbt-nas": {0: 0.9, 1: 0.8}, "no-mixing": {0: 0.7 + seed, 1: 0.9}, "one": {1: 0.1}},
        metric="accuracy",
    ),
    "phylogeny": lambda seed: phylogeny(small(seed)),
    "member_curves": lambda seed: member_curves(small(seed)),
    "layer_origins": lambda seed: layer_origins(small(seed)),
    "option_frequencies": lambda seed: option_frequencies(small(seed)),
    "schedules": lambda seed: schedules(evolve(seed, members=4, generations=4, space=LADDERS)),
    "diversity": lambda seed: diversity({"a": small(seed), "b": small(seed + 1)}),
}


def drawn(figure: Figure, directory: Path, name: str) -> tuple[bytes, bytes]:
    png, svg = plots.save(figure, directory / name)
    return png.read_bytes(), svg.read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_function_of_its_data(name, tmp_path):
    """The same data give the same bytes, other data others; it is written as PNG and as SVG."""
    png, svg = drawn(FIGURES[name](1), tmp_path, "first")
    again = plots.save(FIGURES[name](1), tmp_path / "again", ["svg"])
    other = plots.save(FIGURES[name](2), tmp_path / "other", ["svg"])

    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    assert [path.read_bytes() for path in again] == [svg]
    assert [path.read_bytes() for path in other] != [svg]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_names_its_axes(name):
    """Every panel with a scale says what it shows."""
    figure = FIGURES[name](1)

    assert any(axes.get_xlabel() for axes in figure.axes)
    assert any(axes.get_ylabel() or axes.get_yticklabels() for axes in figure.axes)


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path):
    """Settings are put back, and a user's own settings do not change a byte."""
    first = drawn(FIGURES["population_size"](1), tmp_path, "first")
    with matplotlib.rc_context({"font.size": 30.0, "lines.linewidth": 9.0}):
        before = dict(matplotlib.rcParams)
        assert drawn(FIGURES["population_size"](1), tmp_path, "second") == first
        assert dict(matplotlib.rcParams) == before


def test_figures_never_import_pyplot_and_matplotlib_only_when_drawing(tmp_path):
    """No window, no global figure; a status screen that imports the analysis pays nothing."""
    code = f"""
import pathlib, sys
from pbtnas.analysis.plots import (
    ablations, catalogue, curves, lineage, mini_batches, population, rank_stability, sharing, style
)
assert "matplotlib" not in sys.modules and "torch" not in sys.modules
figure = curves.population_size({{"pbt-nas": {{12: [0.5, 0.6]}}}}, metric="score")
style.save(figure, pathlib.Path({str(tmp_path / "figure")!r}))
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: score_curves([]),
        lambda: population_size({}, metric="score"),
        lambda: spectrum({}, metric="score"),
        lambda: ablations({"no-mixing": {0: 1.0}}, metric="score"),
        lambda: ablations({"pbt-nas": {0: 1.0}, "late": {1: 1.0}}, metric="score"),
        lambda: diversity({}),
    ],
)
def test_nothing_to_draw_is_refused(draw):
    """An empty figure is never written."""
    with pytest.raises(ValueError, match=r"no |shares no seed"):
        draw()


def test_a_large_population_is_drawn_as_cells_and_bands(tmp_path):
    """Of thousands of member-steps: figures are no taller, labels apart, files small."""
    run = evolve(1, members=80, generations=30)
    assert run.member_steps > MOST_DRAWN
    lost = tuple(replace(s, score=None) for s in run.generations[0])

    for evolution in (run, replace(run, generations=(lost, *run.generations[1:]))):
        for draw in (phylogeny, member_curves):
            figure = draw(evolution)
            svg = plots.save(figure, tmp_path / draw.__name__, ["svg"])[0]
            assert figure.get_figheight() < 7
            assert len(figure.axes[0].texts) <= 10
            assert svg.stat().st_size < 400_000


def test_of_many_generations_means_are_drawn():
    """A line of a thousand scores would hide all others; it still ends at the member's score, and
    shares of options stay what they are."""
    run = evolve(1, members=4, generations=600)
    figure = member_curves(run)
    best = figure.axes[0].lines[-1]
    scores = {standing.score for standing in run.generations[-1]}
    picture = option_frequencies(run).axes[0].images[0].get_array()

    assert len(best.get_xdata()) <= 251
    assert "means of 3 generations" in figure.axes[0].get_ylabel()
    assert (best.get_xdata()[-1], best.get_ydata()[-1] in scores) == (run.epochs[-1], True)
    assert picture.shape[1] == 200
    columns = picture.filled(0).sum(axis=0)
    assert columns == pytest.approx([columns[0]] * 200), "each variable's shares add up to one"


def test_odd_runs_are_drawn_too():
    """One generation, a run where everybody failed once, and one where nobody is replaced."""
    run = small(1)
    lost = tuple(replace(s, score=None) for s in run.generations[0])
    odd = [
        evolve(1, members=2, generations=1, failing=0),
        replace(run, generations=(lost, *run.generations[1:])),
        replace(run, epochs=run.epochs[:1], generations=(lost,)),
        evolve(1, members=3, generations=4, algorithm=random_search),
    ]
    for evolution in odd:
        for draw in (phylogeny, member_curves):
            draw(evolution).draw_without_rendering()


def test_an_early_failure_does_not_press_all_lines_together():
    """Scores far below the living are cut off, and the figure says how many."""
    run = evolve(1, members=8, generations=4, failing=0)
    loser = min(run.generations[0], key=lambda s: s.score or 0.0)
    start = tuple(replace(s, score=-900.0) if s == loser else s for s in run.generations[0])
    spoilt = replace(run, generations=(start, *run.generations[1:]))

    axes = member_curves(spoilt).axes[0]

    assert axes.get_ylim()[0] > -2
    assert "1 lower score not shown" in [text.get_text() for text in axes.texts]
    assert not any("lower" in text.get_text() for text in member_curves(run).axes[0].texts)
    alike = tuple(
        tuple(s if s.score == -900.0 else replace(s, score=0.5) for s in standings)
        for standings in spoilt.generations
    )
    member_curves(replace(spoilt, generations=alike))  # no axis to cut, and no warning of that


def test_work_is_ticked_at_whole_epochs():
    """Of a short run too, in which ticks would otherwise read 2, 2, 2, 3."""
    short = Curve("run", "a", 1, "score", epochs=(2, 4), scores=(0.1, 0.2))

    assert all(float(x).is_integer() for x in score_curves([short]).axes[0].get_xticks())


def test_seeds_that_did_different_work_share_a_curve():
    """Where members failed, epochs differ between seeds: the mean is over the common work."""
    run = curve("pbt-nas", 0, evolve(1, failing=0))
    later = replace(run, seed=1, epochs=tuple(e + 30 for e in run.epochs))

    line = score_curves([run, later]).axes[0].lines[0]

    assert line.get_xdata()[0] == run.epochs[0] + 30
    assert line.get_xdata()[-1] == run.epochs[-1]


def test_an_algorithm_looks_the_same_in_every_figure():
    """The paper's algorithms keep colour and mark whatever else is shown; others differ."""
    alone, together = plots.looks(["searl"]), plots.looks(["x", "searl", "pbt-nas", "y"])

    assert alone["searl"] == together["searl"]
    assert len(set(together.values())) == 4


@given(st.lists(st.floats(0, 10), max_size=12), st.floats(0, 3))
def test_labels_keep_apart_and_in_order(positions, gap):
    """Labels stay in range and in order, with the gap between them as far as there is room."""
    moved = plots.spread_out(positions, gap, 0, 10)

    ordered = [moved[i] for i in sorted(range(len(positions)), key=lambda i: positions[i])]
    room = min(gap, 10 / max(1, len(positions) - 1))
    assert all(b - a >= room - 1e-9 for a, b in zip(ordered, ordered[1:], strict=False))
    assert all(-1e-9 <= position <= 10 + 1e-9 for position in moved)


def test_no_two_of_many_series_look_alike() -> None:
    """A legend of a study with many variants still says which line is which."""
    names = [f"variant-{i}" for i in range(16)]
    for looks in (plots.looks, plots.looks_in_turn):
        assert len(set(looks(names).values())) == len(names)
