"""The experiments of configs/weight_sharing: they load, and say what the paper did."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.config import Config, load, load_study, parse
from pbtnas.engine.run_setup import check_start, check_task
from pbtnas.supernet.methods import METHODS
from pbtnas.tasks.making import parsed
from pbtnas.tasks.weight_sharing import Cell64Task, Nb201Task, SupernetTask
from pbtnas.tasks.weight_sharing.nb201 import Nb201Options
from pbtnas.tasks.weight_sharing.options import Cell64Options, SupernetOptions

CONFIGS = Path(__file__).parents[2] / "configs" / "weight_sharing"
NAMES = sorted(str(p.relative_to(CONFIGS).with_suffix("")) for p in CONFIGS.rglob("*.yaml"))
EXPERIMENTS = [name for name in NAMES if "base_" not in name]
PUBLISHED = [
    name for name in EXPERIMENTS if name.startswith("paper/") and not name.startswith("paper/nb201")
]
Found = Cell64Task | Nb201Task | SupernetTask


def read(name: str) -> tuple[Config, Found]:
    """A configuration and its task, both checked."""
    config = load(CONFIGS / f"{name}.yaml")
    options, places = config.task.options, config.task.places
    if config.task.name == "cell64":
        return config, Cell64Task(parse(Cell64Options, options, "task", places))
    if config.task.name == "nb201":
        return config, Nb201Task(parse(Nb201Options, options, "task", places))
    assert config.task.name == "supernet"
    return config, SupernetTask(parsed(SupernetOptions, options, places))


@pytest.mark.parametrize("name", NAMES)
def test_every_config_is_one(name: str) -> None:
    """Options, population and generations fit the task and its schedule."""
    config, task = read(name)

    check_start(config, task.space)
    check_task(config, task)
    if isinstance(task, SupernetTask):
        assert config.search.population == len(task.parts)
        assert config.search.start == "every" or len(task.parts) == 1, "each part once, in order"
        assert config.search.algorithm == "random-search", "nobody is replaced"


@pytest.mark.parametrize("method", METHODS)
def test_published_searches_of_nb201_have_its_size_and_the_methods_epochs(method: str) -> None:
    """Nothing of a method is changed: 50 or 250 epochs, of which GAEA's own go half the way."""
    config, task = read(f"paper/nb201_{method.replace('-', '_')}")
    options, search = task.options, config.search
    assert isinstance(options, SupernetOptions)

    assert (options.width, options.cells, options.side) == (16, 5, 32)
    assert config.task.options.keys() == {"method", "space", "cells", "bn_momentum"}
    half = method in ("gaea-erm", "gaea-bilevel")
    assert search.generations * search.epochs * (2 if half else 1) == options.schedule_epochs
    assert options.schedule_epochs in (50, 250)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_header_begins_with_the_command(name: str) -> None:
    """Who opens the file sees how to run it."""
    first = (CONFIGS / f"{name}.yaml").read_text().splitlines()[0]

    assert f"pbtnas run configs/weight_sharing/{name}.yaml runs/" in first


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings_are_those_of_the_paper(name: str) -> None:
    """Networks, images and SGD of appendix A, to the end of the schedule."""
    config, task = read(name)
    options = task.options
    assert options.as_published
    usual = Cell64Options()
    assert isinstance(options, Cell64Options)
    for key in ("width", "cells", "stem_factor", "bn_momentum", "batch_size", "learning_rate"):
        assert getattr(options, key) == getattr(usual, key)
    assert (options.epoch_steps(50_000), options.momentum, options.weight_decay) == (196, 0.9, 1e-3)
    assert options.schedule(196).rate(0) == 0.025
    if isinstance(options, SupernetOptions):
        assert (options.inactive, options.statistics) == ("decays", "running")
        assert options.dense_rows == 64
    search = config.search
    assert search.generations * search.epochs == options.schedule_epochs


def test_the_stability_study_is_one() -> None:
    """Each run fits its task and schedule, and every supernet reaches its last mini-batches."""
    runs = load_study(CONFIGS.parent / "study" / "stability.yaml")

    assert {run.seed for run in runs} == {1, 2, 3}
    for run in runs[: len({run.name for run in runs})]:
        options, search = run.config.task.options, run.config.search
        kind = SupernetOptions if run.config.task.name == "supernet" else Cell64Options
        parsed = parse(kind, options, "task", run.config.task.places)
        task = SupernetTask(parsed) if isinstance(parsed, SupernetOptions) else Cell64Task(parsed)
        check_start(run.config, task.space)
        check_task(run.config, task)
        assert search.generations * search.epochs == parsed.schedule_epochs, run.name
        if isinstance(task, SupernetTask):
            assert search.population == len(task.parts), run.name
            assert task.options.dense_rows == 16, run.name


@pytest.mark.parametrize("name", ["sharing_or_population", "sharing_or_population_small"])
def test_the_study_of_sharing_or_population_is_one(name: str) -> None:
    """Every population fits its schedule, says what it costs, and has the budget of the others."""
    runs = load_study(CONFIGS.parent / "study" / f"{name}.yaml")

    assert len({run.seed for run in runs}) == (2 if name.endswith("small") else 10)
    steps = set()
    for run in runs[: len({run.name for run in runs})]:
        space = run.name.partition(".")[0]
        options, search = run.config.task.options, run.config.search
        if run.config.task.name == "supernet":
            continue
        assert run.config.task.name == space
        kind = {"nb201": Nb201Options, "cell64": Cell64Options}[space]
        parsed = parse(kind, options, "task", run.config.task.places)
        assert parsed.counts_cost(), run.name
        assert search.generations * search.epochs == parsed.schedule_epochs, run.name
        steps.add(search.granted_epochs() * parsed.epoch_steps(25_000))
    assert steps == {480 if name.endswith("small") else 2400}
