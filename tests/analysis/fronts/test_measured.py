"""Runs in several objectives: fronts, hypervolumes and reference points."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pbtnas.analysis.fronts.hypervolume import hypervolume
from pbtnas.analysis.fronts.measured import (
    BadReference,
    Measured,
    check_reference,
    front_volume,
    measured,
    reference_point,
)
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots import fronts as plots_fronts
from pbtnas.search.archive import Archive
from pbtnas.search.objectives import objectives_of
from pbtnas.search.population import Member
from tests.analysis.made_runs import SIZED, TWO, search, story, write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> History:
    """A finished run of two objectives, a score and a size."""
    root = tmp_path_factory.mktemp("two") / "run"
    write(root, story(search(objectives=TWO)))
    return History.read(root)


def test_a_run_is_measured_by_all_its_members(run: History) -> None:
    """The hypervolume after each generation counts every member up to there, and only grows."""
    seen = measured(run)
    reference = (0.0, -2000.0)
    so_far = [point for generation in seen.everyone[:2] for point in generation]

    assert [len(points) for points in seen.everyone] == [6, 4, 6, 6]
    volumes = seen.volumes(reference)
    assert volumes[1] == hypervolume(so_far, reference)
    assert volumes == sorted(volumes)
    assert front_volume(seen, "0,2000").volume == volumes[-1]


def test_a_run_of_one_objective_is_measured_by_those_beside_it(tmp_path: Path) -> None:
    """Baselines that select by the score alone can be compared, for they report the same."""
    made = search()
    write(tmp_path / "run", story(replace(made, origin=SIZED)))
    history = History.read(tmp_path / "run")

    assert not measured(history).unbeaten
    assert measured(history, TWO).unbeaten


def test_without_a_point_it_is_the_worst_that_the_run_began_with(run: History) -> None:
    """A screen shows a run growing before anybody has chosen a point, and says against what."""
    found = front_volume(measured(run))
    scores, sizes = zip(*measured(run).everyone[0], strict=True)

    assert found.reference == (min(scores), min(sizes))
    assert found.against.startswith(f"score {min(scores):.6g}, size {-min(sizes):.6g}, the worst")
    assert found.volume > 0


@pytest.mark.parametrize("text", ["1", "1,2,3", "a,b", "1,", "1,nan", "1,inf", ""])
def test_a_point_has_a_number_for_each_objective(text: str) -> None:
    """What else is given is shown with the names of what was expected."""
    with pytest.raises(BadReference) as caught:
        reference_point(text, TWO)
    assert str(caught.value) == (
        "--reference-point: expected 2 numbers with commas between them, of score and size, "
        f"not {text!r}"
    )


def test_values_are_given_as_they_are_reported() -> None:
    """Nobody has to turn the sign of an objective of which smaller is better."""
    three = objectives_of(["score", "size smaller", "fid smaller at_most 40"], 24)

    assert reference_point("-3, 2e4 ,50", three) == (-3.0, -20000.0, -50.0)


def test_a_point_that_a_member_does_not_dominate_is_refused(run: History) -> None:
    """It would silently not count: the sentence has the run, the objective and both values."""
    seen = measured(run)
    smallest = -max(size for _, size in seen.unbeaten)

    check_reference((0.0, -2000.0), [seen])
    with pytest.raises(BadReference, match=r"a member of run run .* has size \d+, expected below"):
        check_reference((0.0, -smallest), [seen])
    with pytest.raises(BadReference, match=r"has score [\d.]+, expected above 100; give a point"):
        check_reference((100.0, -2000.0), [seen])


def test_names_of_a_front_do_not_cover_each_other_and_only_what_is_drawn_is_in_the_legend() -> None:
    """Of many members that are close together only some are named, the ends always; a reference
    point far off is not in sight, so it is not in the legend."""
    close = [(0.5 + i * 1e-4, -100.0 - i * 1e-2) for i in range(20)]
    points = ((0.0, -10.0), *close, (1.0, -900.0))
    members = [Member(i, (0,), point[0], point) for i, point in enumerate(points)]
    archive = Archive(24).after(0, members)
    run = Measured("run", TWO, (points,), (archive,), True)

    (axes,) = plots_fronts.front(run).axes
    named = [text.get_text() for text in axes.texts]
    assert named[0] == "1" and named[-1] == "22" and len(named) == 3
    for reference, shown in (((-50.0, -5000.0), False), ((0.001, -899.0), True)):
        (legend,) = plots_fronts.fronts({"a": [run]}, reference).legends
        assert ("reference point" in [text.get_text() for text in legend.texts]) is shown
