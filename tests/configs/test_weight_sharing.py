"""The experiments of configs/weight_sharing: they load, and say what the paper did."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from pbtnas.config import Config, PlannedRun, load, load_study, parse
from pbtnas.engine.run_setup import check_start, check_task
from pbtnas.supernet.costs import TRAINING, PassCosts
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


SHARING = "sharing_or_population"
SPACES = ("nb201", "cell64")
POPULATIONS = ("pbt-nas", "random-search", "searl", "no-mixing")
LEARNING = [name for name in METHODS if name != "rs-ws"]


@cache
def runs_of(name: str) -> list[PlannedRun]:
    return load_study(CONFIGS.parent / "study" / f"{name}.yaml")


def first_seed(name: str) -> dict[str, Config]:
    """The configurations of a study by variant, with its first seed."""
    return {run.name: run.config for run in runs_of(name) if run.seed == 1}


def supernet_options(config: Config) -> SupernetOptions:
    assert config.task.name == "supernet"
    return parsed(SupernetOptions, config.task.options, config.task.places)


@pytest.mark.parametrize("name", [SHARING, f"{SHARING}_small"])
def test_the_study_of_sharing_or_population_is_one(name: str) -> None:
    """Every population fits its schedule, says what it costs, and has the budget of the others."""
    assert len({run.seed for run in runs_of(name)}) == (2 if name.endswith("small") else 10)
    steps = set()
    for variant, config in first_seed(name).items():
        space = variant.partition(".")[0]
        options, search = config.task.options, config.search
        if config.task.name == "supernet":
            continue
        assert config.task.name == space
        kind = {"nb201": Nb201Options, "cell64": Cell64Options}[space]
        read_options = parse(kind, options, "task", config.task.places)
        assert read_options.counts_cost(), variant
        assert search.generations * search.epochs == read_options.schedule_epochs, variant
        steps.add(search.granted_epochs() * read_options.epoch_steps(25_000))
    assert steps == {480 if name.endswith("small") else 2400}


@pytest.mark.parametrize("name", [SHARING, f"{SHARING}_small"])
def test_the_study_has_ten_methods_and_four_populations_a_space(name: str) -> None:
    """Each named by its space; methods have a result after 20 %, 50 % and 100 % of the steps."""
    variants = first_seed(name)

    assert set(variants) == {f"{s}.{a}" for s in SPACES for a in (*METHODS, *POPULATIONS)}
    for variant, config in variants.items():
        space, _, what = variant.partition(".")
        if what in POPULATIONS:
            assert config.search.algorithm == what
            continue
        options = supernet_options(config)
        assert (options.method, options.space) == (what, space)
        search = config.search
        assert (search.algorithm, search.population) == ("random-search", 1)
        assert (search.generations, search.epochs, options.schedule_epochs) == (10, 1, 10)


@pytest.mark.parametrize("space", SPACES)
def test_methods_cost_what_a_population_of_average_networks_does(space: str) -> None:
    """Within 4 %, training and scoring, as far as it is known before anything is drawn."""
    variants = first_seed(SHARING)
    budget = population_cost(variants[f"{space}.pbt-nas"])

    costs = {method: method_cost(variants[f"{space}.{method}"]) / budget for method in METHODS}

    assert {m: c for m, c in costs.items() if not 0.96 <= c <= 1} == {}


def mean_path(costs: PassCosts) -> float:
    """The multiply-adds of an average subnet."""
    variables = {variable for variable, _ in costs.operations}
    return costs.fixed + sum(costs.operations.values()) * len(variables) / len(costs.operations)


def population_cost(config: Config) -> float:
    space, search = str(config.task.name), config.search
    options = config.task.options
    task: Cell64Task | Nb201Task
    if space == "nb201":
        task = Nb201Task(parse(Nb201Options, options, "task", config.task.places))
    else:
        task = Cell64Task(parse(Cell64Options, options, "task", config.task.places))
    read_options = task.options
    one = mean_path(task.pass_costs([list(range(len(v.options))) for v in task.choices]))
    trained = search.granted_epochs() * read_options.epoch_steps(25_000) * read_options.batch_size
    scored = search.generations * search.population * (read_options.validation_images or 0)
    return one * (TRAINING * trained + scored)


def method_cost(config: Config) -> float:
    options, search = supernet_options(config), config.search
    costs = SupernetTask(options).passes
    one, batch = mean_path(costs), options.batch_size
    steps = search.granted_epochs() * options.epoch_steps(25_000)
    mixed = options.relaxation in ("softmax", "partial")
    step = TRAINING * batch * (costs.mixed() if mixed else one)
    spent = steps * step
    if options.architecture_step in ("adam", "exponentiated"):
        passes = 4 if options.gradient == "second-order" else 1
        spent += (steps - int(options.frozen_share * steps)) * step * passes
    if options.architecture_step == "reinforce":
        draws = options.controller_steps * options.controller_draws
        spent += steps // (options.controller_every or 1) * draws * batch * one
    choices = options.choices * options.choice_images if options.relaxation == "path" else 0
    return spent + search.generations * one * (choices + (options.validation_images or 0))


def test_rates_of_the_architecture_keep_their_product_with_the_steps() -> None:
    """That of the published searches, within 10 %; ENAS names 0.02 in both sizes of the study."""
    published = {  # rate times the steps in which the architecture learns
        "darts-1": 3e-4 * 9775,
        "darts-2": 3e-4 * 9775,
        "gdas": 3e-4 * 250 * 391,
        "pc-darts": 6e-4 * 35 * 98,
        "gaea-erm": 0.1 * 9775,
        "gaea-bilevel": 0.1 * 9775,
        "gaea-gdas": 0.01 * 200 * 391,
        "gaea-pc-darts": 0.1 * 50 * 98,
    }
    for name in (SHARING, f"{SHARING}_small"):
        variants = first_seed(name)
        for space in SPACES:
            assert supernet_options(variants[f"{space}.enas"]).architecture_rate == 0.02
            for method, product in published.items():
                options = supernet_options(variants[f"{space}.{method}"])
                steps = 10 * options.epoch_steps(25_000) * (1 - options.frozen_share)
                ours = options.architecture_rate * steps
                assert ours == pytest.approx(product, rel=0.1), (name, space, method)


def test_the_tiny_study_has_the_arms_of_one_space() -> None:
    """Two seeds and a tenth of the steps; rates keep their product with the steps."""
    usual, tiny = first_seed(SHARING), first_seed(f"{SHARING}_tiny")

    assert set(tiny) == {name for name in usual if name.startswith("nb201.")}
    assert {run.seed for run in runs_of(f"{SHARING}_tiny")} == {1, 2}
    for name, config in tiny.items():
        assert config.search == usual[name].search, name
        if config.task.name == "supernet":
            ours, theirs = supernet_options(config), supernet_options(usual[name])
            steps, whole = (each.steps_per_epoch or 0 for each in (ours, theirs))
            assert steps == pytest.approx(whole / 10, abs=1), name
            if ours.method not in ("rs-ws", "enas"):
                rates = ours.architecture_rate * steps, theirs.architecture_rate * whole
                assert rates[0] == pytest.approx(rates[1], rel=0.06), name
        else:
            assert config.task.options["steps_per_epoch"] == 5


def test_the_sweep_has_the_rates_of_the_study() -> None:
    """0.3, 1 and 3 times, of each method that learns, and nothing else differs."""
    usual, swept = first_seed(SHARING), first_seed(f"{SHARING}_rates")

    factors = (0.3, 1, 3)
    assert set(swept) == {f"{s}.{m}.x{f:g}" for s in SPACES for m in LEARNING for f in factors}
    for name, config in swept.items():
        variant, _, factor = name.partition(".x")
        ours, theirs = supernet_options(config), supernet_options(usual[variant])
        wanted = theirs.architecture_rate * float(factor)
        assert ours.architecture_rate == pytest.approx(wanted, rel=0.06), name
        assert replace(ours, architecture_rate=theirs.architecture_rate) == theirs, name
