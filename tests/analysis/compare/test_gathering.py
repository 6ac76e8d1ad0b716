"""Runs gathered from studies and directories: names, who is missing, what tells them apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbtnas.analysis.compare.gathering import Gathered, NamedRun, comparable, gather, settings_of
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.catalogue import study_figures
from pbtnas.analysis.report.tables import settings_table
from pbtnas.records import paths
from pbtnas.store.run_directory import NotARun, NotYetARun, create
from tests.analysis.made_runs import config_of, search, story, study, write


def run(name: str, task: dict[str, Any], **of_search: Any) -> NamedRun:
    """A run that has nothing but a configuration."""
    base = {"algorithm": "pbt-nas", "population": 6, "generations": 2, "epochs": 1}
    usual = {"first_epochs": None, "shrink": 0.4, "perturb": 0.1}
    config = {"task": task, "search": base | usual | of_search, "run": {"seed": 1}}
    return NamedRun(name, History(Path(name), "id", {}, config, (), (), None, ()))


def test_a_study_stands_for_its_runs_under_its_own_names(tmp_path: Path) -> None:
    """Names are the study's; a run that has not begun is known and not finished."""
    root = study(tmp_path / "s", seeds=(1, 2), unbegun=("random-search-s2",))

    found = gather([root])

    assert [(r.name, r.seed) for r in found.runs] == [
        ("pbt-nas", 1),
        ("pbt-nas", 2),
        ("random-search", 1),
    ]
    assert found.unfinished == ["random-search-s2"]
    assert len(found.finished) == 3


def test_only_the_wanted_names_are_read(tmp_path: Path) -> None:
    """Patterns are as in a shell; a pattern nobody has is an error."""
    root = study(tmp_path / "s", seeds=(1,))

    assert [r.name for r in gather([root], ["pbt*"]).runs] == ["pbt-nas"]
    with pytest.raises(NotARun, match="no runs named nope"):
        gather([root], ["nope"])


def test_run_directories_are_named_by_their_algorithm(tmp_path: Path) -> None:
    """Outside of a study the configuration tells; a missing directory is the user's slip."""
    write(tmp_path / "mine", story(search()))

    assert [r.name for r in gather([tmp_path / "mine"]).runs] == ["pbt-nas"]
    with pytest.raises(NotYetARun):
        gather([tmp_path / "mine", tmp_path / "other"])


def test_a_run_in_work_is_not_finished(tmp_path: Path) -> None:
    """It is gathered, for its configuration and progress, and listed as unfinished."""
    writes = story(search())
    write(tmp_path / "mine", writes[: len(writes) // 2])

    found = gather([tmp_path / "mine"])

    assert (found.finished, found.unfinished) == ([], ["mine"])


@pytest.mark.parametrize("lost", [paths.manifest(1), paths.selection(2)])
def test_a_damaged_run_is_not_taken_for_a_whole_one(tmp_path: Path, lost: str) -> None:
    """What rests on lost records is left out by name, instead of ending early in a figure."""
    root = study(tmp_path / "s", seeds=(1,))
    (root / paths.STUDY_RUNS / "pbt-nas-s1" / lost).write_text("{")

    found = gather([root])

    assert found.unfinished == ["pbt-nas-s1 is damaged"]
    assert [r.name for r in found.finished] == ["random-search"]


def test_tasks_are_told_apart_by_as_few_words_as_it_takes() -> None:
    """One option where one will do, else several; nothing where there is a single task."""
    tasks = [
        {"name": "gan", "data": "cifar10", "space": "gan", "width": 256},
        {"name": "gan", "data": "cifar10", "space": "gan-hard", "width": 256},
        {"name": "gan", "data": "stl10", "space": "gan-hard", "width": 270},
    ]
    runs = [run(str(i), task) for i, task in enumerate(tasks)]

    assert list(settings_of(runs)) == ["cifar10 gan", "cifar10 gan-hard", "stl10 gan-hard"]
    assert list(settings_of(runs[:2])) == ["gan", "gan-hard"]
    assert list(settings_of(runs[:1])) == [""]
    sizes = [run("a", {"name": "gan", "width": 1}), run("b", {"name": "gan", "width": 2})]
    assert list(settings_of(sizes)) == ["width 1", "width 2"]
    other = run("c", {"name": "digits"})
    assert list(settings_of([*sizes, other])) == ["gan width 1", "gan width 2", "digits"]


def test_tasks_that_many_options_tell_apart_are_called_by_the_variants() -> None:
    """A study of supernets has an arm a task; what several variants share is told by options."""
    base = {"name": "supernet", "sharing": "all", "order": "cycle", "groups": 1, "prefix": 0}
    changes: dict[str, dict[str, Any]] = {
        "seeds": {},
        "permuted": {"order": "permuted"},
        "groups-4": {"sharing": "groups", "groups": 4},
        "groups-16": {"sharing": "groups", "groups": 16},
        "prefix-1": {"sharing": "prefix", "prefix": 1},
        "prefix-2": {"sharing": "prefix", "prefix": 2},
    }
    arms = [run(name, {**base, **options}) for name, options in changes.items()]
    assert list(settings_of(arms)) == list(changes)
    searches = [run(name, {"name": "cell64", "order": "cycle"}) for name in ("pbt-nas", "searl")]
    assert list(settings_of([*arms, *searches])) == [*changes, ""]
    shared = run("twin", arms[0].history.config["task"])
    assert list(settings_of([*arms, *searches, shared]))[0] == "supernet"
    same = [run("a", {"name": "g", "x": None}), run("b", {"name": "g"})]
    assert [len(runs) for runs in settings_of(same).values()] == [1, 1]


def test_comparable_runs_share_task_and_budget() -> None:
    """Population sizes of one task are groups of their own."""
    runs = [run("six", {"name": "t"}), run("nine", {"name": "t"}, population=9)]

    groups = comparable(runs)

    assert {label: [r.name for r in group] for label, group in groups.items()} == {
        "12 network-epochs": ["six"],
        "18 network-epochs": ["nine"],
    }


def test_a_study_has_the_figures_of_what_it_varies(tmp_path: Path) -> None:
    """Curves always; ablations beside PBT-NAS; population only where it varies; by task."""
    two = gather([study(tmp_path / "two", seeds=(1,))]).finished
    sizes = {"pbt-nas": 6, "larger": 8}
    varied = gather([study(tmp_path / "varied", seeds=(1,), populations=sizes)]).finished

    assert list(study_figures(two)) == ["curves", "ablations"]
    assert list(study_figures(varied)) == ["curves", "population"]
    other = replace(
        two[0],
        history=replace(
            two[0].history, config={**two[0].history.config, "task": {"name": "a/b c"}}
        ),
    )
    assert list(study_figures([other, *two])) == ["a-b-c-curves", "tiny-curves", "tiny-ablations"]
    copied = {**two[0].history.config["search"], "shrink": 1.0, "perturb": 0.0}
    history = replace(two[0].history, config={**two[0].history.config, "search": copied})
    assert "spectrum" in study_figures([*two, NamedRun("copy", history)])


def test_arms_that_differ_in_more_than_their_population_have_no_line_in_common(
    tmp_path: Path,
) -> None:
    """A line by size would else join runs of other epochs or options; what follows from the size,
    as the number of parents, may differ."""
    sizes = {"pbt-nas": 6, "larger": 8}
    small, large = gather([study(tmp_path / "s", seeds=(1,), populations=sizes)]).finished

    def with_search(run: NamedRun, name: str, **changed: Any) -> NamedRun:
        config = run.history.config
        searched = {**config, "search": {**config["search"], **changed}}
        return NamedRun(name, replace(run.history, config=searched))

    longer = with_search(large, "longer", explore="step")
    assert "population" not in study_figures([small, longer])
    assert "population" in study_figures([small, with_search(large, "more", parents=3)])
    pair = [with_search(run, f"{run.name}-step", explore="step") for run in (small, large)]
    drawn = study_figures([small, large, *pair])["population"]()
    labels = drawn.axes[0].get_legend_handles_labels()[1]
    assert len(set(labels)) == 2 and all("pbt-nas (" in label for label in labels)


def test_nothing_finished_is_nothing_to_draw() -> None:
    """An empty set of runs has no figures, rather than empty ones."""
    assert study_figures(Gathered((), ("a",)).finished) == {}


def test_runs_are_told_apart_by_the_defaults_that_they_had(tmp_path: Path) -> None:
    """Two runs with one configuration, begun before and after a default changed, are of different
    tasks; beside a run that does not record its defaults, what was given is compared."""
    config = config_of(search())
    about = {"hash": "sha256", "space": "s"}
    for name, options in (("a", {"side": 16}), ("b", {"side": 32}), ("old", None)):
        create(tmp_path / name, config, about=about, options=options)
    a, b, old = (tmp_path / name for name in ("a", "b", "old"))

    assert list(comparable(gather([a, b]).runs)) == ["side 16", "side 32"]
    assert list(comparable(gather([a, b, old]).runs)) == [""]
    rows = {row[0]: row for row in settings_table(History.read(a)).rows}
    assert rows["task.side"] == ("task.side", "16", "the task's default")
    assert settings_table(History.read(old)).notes
