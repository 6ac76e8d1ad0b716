"""A run directory belongs to one configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_type_hints

import pytest

from pbtnas.analysis.history.run import History
from pbtnas.config import Config, ConfigError, SearchConfig, TaskConfig, from_json, load, parse
from pbtnas.engine.run_setup import (
    ChangedConfig,
    UnfitArchitecture,
    UnfitPopulation,
    UnfitSchedule,
    check_task,
    search_of,
    start_run,
)
from pbtnas.protocol.generations import first_manifest, next_manifest
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import Result, Selected
from pbtnas.records.task_code import SourceFile, TaskCode
from pbtnas.search.exploring import Exploration
from pbtnas.search.ladders import ladder
from pbtnas.search.population import every_architecture
from pbtnas.search.space import SearchSpace, Variable, layer, switch
from pbtnas.store.fsck import check, repair
from pbtnas.store.run_directory import OtherSpace, Run, open_run, space_digest
from pbtnas.store.task_code import OtherCode
from pbtnas.tasks.base import Task, TaskError
from pbtnas.tasks.loading import complete_options

SPACE = SearchSpace([switch("activation", ["relu", "tanh"])])


def configs(directory: Path) -> tuple[Config, Config]:
    """One with 4 members and one with 5."""
    path = directory / "config.yaml"
    path.write_text("task: {name: digits}\nsearch: {population: 4, generations: 2, epochs: 1}\n")
    config = load(path, ())
    return config, replace(config, search=replace(config.search, population=5))


def test_a_directory_without_a_job_may_be_deleted(tmp_path: Path) -> None:
    """Who mends a configuration after a failed start is told that nothing is lost by deleting."""
    first, second = configs(tmp_path)
    start_run(tmp_path / "run", first, SPACE)

    with pytest.raises(ChangedConfig, match="population.*4.*5[^/]*no job yet: delete it"):
        start_run(tmp_path / "run", second, SPACE)


def test_a_run_with_ladders_says_so_in_its_configuration(tmp_path: Path) -> None:
    """It stores what moves them even at the defaults, so that a pbtnas of before ladders refuses it
    by an unknown key, and goes on when the defaults become others."""
    config, _ = configs(tmp_path)
    space = SearchSpace([*SPACE, ladder("rate", 0.001, 0.1, 5)])
    keys = {"explore": "step", "explore_rungs": 1, "resample_probability": 0.25}
    plain = start_run(tmp_path / "plain", config, SPACE)
    run = start_run(tmp_path / "ladders", config, space)
    stored = run.config["search"]

    assert stored == {**plain.config["search"], **keys}
    hints = get_type_hints(SearchConfig)
    before = [
        (f.name, hints[f.name], field(default=f.default, metadata=f.metadata))
        for f in fields(SearchConfig)
        if f.name not in keys
    ]
    with pytest.raises(ConfigError) as refused:
        parse(make_dataclass("Before", before, kw_only=True), stored, "search")
    assert [problem.split(";")[0] for problem in refused.value.problems] == [
        f"search.{key}: unknown key" for key in keys
    ]
    assert start_run(tmp_path / "ladders", from_json(run.config), space) == run
    assert search_of(config, space).origin == search_of(config, space, run.config).origin
    assert search_of(config, space).exploration == Exploration("step", 1, 0.25)


def test_a_space_without_ladders_has_the_digest_of_before_there_were_any() -> None:
    """Runs begun before can go on: the digest was computed by the version before ladders."""
    space = SearchSpace(
        [
            layer("generator.c0", ("none", "linear")),
            Variable("width", (1, 2, 3), ("generator.c1",)),
            switch("norm", (False, True)),
        ]
    )

    assert space_digest(space).startswith("d8ae30f5b5b5117d28014dc209294636faece3bd")


def test_another_ladder_is_another_space(tmp_path: Path) -> None:
    """A rung that moved, or options that only now are ordered, would change what jobs mean."""
    config, _ = configs(tmp_path)
    rungs = Variable("rate", (0.001, 0.01, 0.1))
    start_run(tmp_path / "run", config, SearchSpace([ladder("rate", 0.001, 0.1, 3)]))

    for other in (ladder("rate", 0.001, 0.2, 3), ladder("rate", 0.001, 0.1, 4), rungs):
        with pytest.raises(OtherSpace, match="another search space"):
            start_run(tmp_path / "run", config, SearchSpace([other]))


LONG = "long.yaml:4: search.generations: expected at most 20 epochs .* not 21"


def test_a_schedule_limits_the_epochs_of_a_member(tmp_path: Path) -> None:
    """A run that trains longer than the task's schedule lasts is refused before anything runs."""
    task: Any = SimpleNamespace(most_epochs=20, space=SPACE)
    path = tmp_path / "long.yaml"
    path.write_text("task: {name: any}\nsearch:\n  population: 2\n  generations: 10\n  epochs: 2\n")

    check_task(load(path), task)
    with pytest.raises(TaskError, match=LONG):
        check_task(load(path, ["search.first_epochs=3"]), task)


def test_a_task_may_need_every_architecture(tmp_path: Path) -> None:
    """Groups of a supernet are parts of one whole: a run that would lose some is refused."""
    task: Any = SimpleNamespace(trains_every=True, space=SPACE)
    path = tmp_path / "some.yaml"
    path.write_text("task: {name: any}\nsearch:\n  population: 2\n  generations: 2\n  epochs: 1\n")
    every, nobody = "search.start=every", "search.algorithm=random-search"

    check_task(load(path, [every, nobody]), task)
    check_task(load(path, [every, "search.generations=1"]), task)
    with pytest.raises(TaskError, match="some.yaml:2: search.start: expected every, .* not strat"):
        check_task(load(path, [nobody]), task)
    with pytest.raises(TaskError, match="algorithm: expected one of random-search, .* not pbt"):
        check_task(load(path, [every]), task)


def test_every_architecture_needs_a_member_each(tmp_path: Path) -> None:
    """A population of another size is refused before anything is made."""
    config, _ = configs(tmp_path)
    every = replace(config, search=replace(config.search, start="every"))

    with pytest.raises(
        UnfitPopulation, match=f"search.population: expected {SPACE.size} with search.start every"
    ):
        start_run(tmp_path / "run", every, SPACE)
    assert not (tmp_path / "run").exists()

    fits = replace(every, search=replace(every.search, population=SPACE.size))
    begun = start_run(tmp_path / "run", fits, SPACE)
    jobs = first_manifest(search_of(fits, SPACE, begun.config)).jobs
    assert [job.architecture for job in jobs] == every_architecture(SPACE)


def test_listed_architectures_are_the_first_population(tmp_path: Path) -> None:
    """In their order; one that is none of the space is refused before anything is made."""
    config, _ = configs(tmp_path)

    def listed(*architectures: tuple[int, ...]) -> Config:
        search = replace(config.search, start="listed", architectures=architectures)
        return replace(config, search=replace(search, population=len(architectures)))

    with pytest.raises(
        UnfitArchitecture, match=r"search.architectures: member 1: .* not \[2\]: .*options 0 to 1"
    ):
        start_run(tmp_path / "run", listed((1,), (2,)), SPACE)
    assert not (tmp_path / "run").exists()

    fits = listed((1,), (0,))
    begun = start_run(tmp_path / "run", fits, SPACE)
    jobs = first_manifest(search_of(from_json(begun.config), SPACE, begun.config)).jobs
    assert [job.architecture for job in jobs] == [(1,), (0,)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("start=listed", "architectures: expected 4 architectures, as many as .* there are 0"),
        ("start=listed architectures=[[0],[1]]", "expected 4 architectures, .* there are 2"),
        ("start=listed architectures=[[0],[1],[1],[2]]", "expected every architecture once"),
        ("architectures=[[0],[1],[3],[2]]", r"expected \[\] with search.start stratified"),
        ("start=listed architectures=[a]", "architectures: expected a list, each item a list"),
    ],
)
def test_listed_architectures_are_one_a_member(tmp_path: Path, values: str, sentence: str) -> None:
    """Too few, one twice, and a list that nothing takes are told with the file's line."""
    configs(tmp_path)

    with pytest.raises(ConfigError, match=sentence):
        load(tmp_path / "config.yaml", [f"search.{value}" for value in values.split()])


def test_a_schedule_moves_ladders_only(tmp_path: Path) -> None:
    """One that is of another space, or changes the network on the way, is refused before anything
    is made; one that fits gives each generation its own architecture."""
    config, _ = configs(tmp_path)
    space = SearchSpace([*SPACE, ladder("rate", 0.1, 0.4, steps=3)])
    single = replace(config.search, population=1, algorithm="random-search")

    def begin(*schedule: tuple[int, ...]) -> Run:
        search = replace(single, schedule=schedule)
        return start_run(tmp_path / "run", replace(config, search=search), space)

    with pytest.raises(UnfitSchedule, match="generation 1: .*'rate' has options 0 to 2, not 3"):
        begin((0, 0), (0, 3))
    with pytest.raises(UnfitSchedule, match="generation 1: expected option 0 of .*'activation'"):
        begin((0, 0), (1, 0))
    assert not (tmp_path / "run").exists()

    begun = begin((1, 0), (1, 2))
    search = search_of(from_json(begun.config), space, begun.config)
    (first,) = first_manifest(search).jobs
    assert first.architecture == (1, 0)
    selected = Selected(0, Digest("m"), (0,), (), (Result(0, "ok", 1.0, {}, Digest("c")),))
    (second,) = next_manifest(search, first_manifest(search), selected, {}).jobs
    assert (second.architecture, second.inputs) == ((1, 2), ("c",))


def test_engine_settings_can_be_changed_in_a_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They decide no outcome, so a limit that proved too short need not end a search: the latest
    hold for whoever opens the run, the chain begins as before, and who looks sees them."""
    first, second = configs(tmp_path)
    root = tmp_path / "run"
    begun = start_run(root, first, SPACE)
    origin = search_of(first, SPACE, begun.config).origin

    for hang_s in (700.0, 800.0):
        changed = replace(first, engine=replace(first.engine, hang_s=hang_s))
        with caplog.at_level("INFO"):
            run = start_run(root, changed, SPACE)
        assert run.config["engine"]["hang_s"] == hang_s
    assert "engine.hang_s: stored 700.0, given 800.0: from now on" in caplog.text
    assert History.read(root).config == open_run(root).config == run.config
    assert search_of(from_json(run.config), SPACE, run.config).origin == origin
    with pytest.raises(ChangedConfig, match="population"):
        start_run(root, replace(second, engine=changed.engine), SPACE)


def test_damaged_engine_settings_are_ignored_and_reported(tmp_path: Path) -> None:
    """No outcome rests on them; those before hold again, and those after are found also after a
    repair."""
    first, _ = configs(tmp_path)
    root = tmp_path / "run"
    start_run(root, first, SPACE)
    for hang_s in (700.0, 800.0):
        start_run(root, replace(first, engine=replace(first.engine, hang_s=hang_s)), SPACE)
    (root / paths.engine(2)).write_bytes(b"{")

    assert open_run(root).config["engine"]["hang_s"] == 700
    (fault,) = check(root)
    assert fault.name == paths.engine(2)
    start_run(root, replace(first, engine=replace(first.engine, hang_s=900.0)), SPACE)
    assert open_run(root).config["engine"]["hang_s"] == 900
    repair(root, check(root))
    assert open_run(root).config["engine"]["hang_s"] == 900
    assert check(root) == []


def test_a_run_that_has_begun_keeps_its_configuration(tmp_path: Path) -> None:
    """Nobody is told to delete a run that has jobs; the stored configuration goes on."""
    first, second = configs(tmp_path)
    start_run(tmp_path / "run", first, SPACE)
    manifest = tmp_path / "run" / paths.manifest(0)
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")

    with pytest.raises(ChangedConfig, match="go on with the stored one"):
        start_run(tmp_path / "run", second, SPACE)
    assert start_run(tmp_path / "run", first, SPACE).config["search"]["population"] == 4


@dataclass(frozen=True)
class Now:
    """Options of a task as a later version has them; `width` was 8, and there was no `depth`."""

    images: int = 100
    width: int = 16
    depth: int = 2


class OfNow:
    """A task of that version."""

    Options = Now


def now(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the defaults of that version."""
    return complete_options(cast("Task", OfNow()), options)


def then(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the defaults of the version before."""
    return {"images": 100, "width": 8, **options}


def with_options(config: Config, **options: Any) -> Config:
    return replace(config, task=TaskConfig("digits", options))


def test_a_changed_default_of_the_task_is_noticed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run goes on with the defaults that it was started with, and says so; a configuration that
    means the new ones is refused; what enters the fingerprint is what was given, as ever."""
    config, root = with_options(configs(tmp_path)[0], images=50), tmp_path / "run"
    run = start_run(root, config, SPACE, then)
    assert run.options == {"images": 50, "width": 8}
    assert run.config["task"] == {"name": "digits", "images": 50}

    with pytest.raises(ChangedConfig, match="task.width: stored 8, given 16, the default here"):
        start_run(root, config, SPACE, now)
    resumed = from_json(run.config, recorded=run.options)
    assert start_run(root, resumed, SPACE, now) == run
    assert resumed.task.in_force == {"images": 50, "width": 8}
    assert start_run(root, with_options(config, images=50, width=8), SPACE, now) == run
    assert "task.width: the default is 16 here; the run goes on with 8" in caplog.text
    assert "task.depth: the run was started without it; the default here holds, 2" in caplog.text


def test_a_run_without_recorded_defaults_goes_on_and_says_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs begun by older versions are resumed as they always were."""
    config, root = with_options(configs(tmp_path)[0], images=50), tmp_path / "run"
    begun = start_run(root, config, SPACE)

    assert start_run(root, config, SPACE, now) == begun
    assert begun.options is None
    assert "those here are taken: width 16, depth 2" in caplog.text


def code(text: str, **versions: str) -> TaskCode:
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return TaskCode("own.py", {"own.py": SourceFile(sha256, text)}, versions=versions)


def test_the_code_of_the_task_is_recorded_and_no_fingerprint_depends_on_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Other code is refused until somebody accepts it; other versions are told in one line."""
    config, _ = configs(tmp_path)
    root = tmp_path / "run"
    begun = code("x = 1", torch="1.0", numpy="2.0")
    run = start_run(root, config, SPACE, code=begun)
    without = start_run(tmp_path / "without", config, SPACE)
    assert run.codes.in_force == begun
    assert (run.config, without.codes.known) == (without.config, ())

    with pytest.raises(OtherCode, match="own.py"):
        start_run(root, config, SPACE, code=code("x = 2"))
    with pytest.raises(ChangedConfig):  # nothing is accepted for a search that does not go on
        start_run(root, configs(tmp_path)[1], SPACE, code=code("x = 2"), accept=True)
    assert open_run(root).codes.in_force == begun
    run = start_run(root, config, SPACE, code=code("x = 2"), accept=True)
    assert run.codes.in_force == code("x = 2")
    assert "was started with numpy 2.0 (" in caplog.text and "torch 1.0 (" in caplog.text


def test_a_run_that_records_no_code_goes_on_and_says_what_it_lacks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is recorded of it that was not there."""
    config, _ = configs(tmp_path)
    root = tmp_path / "run"
    start_run(root, config, SPACE)

    assert start_run(root, config, SPACE, code=code("x = 1")).codes.known == ()
    assert "does not record with which code of its task it was started" in caplog.text
    assert "--accept-code-change records it" in caplog.text
