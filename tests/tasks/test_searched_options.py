"""`task.search_also`: options of the built-in tasks as ladders, and what cannot be one."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pbtnas.config import ConfigError, parse
from pbtnas.search import Architecture, SearchSpace
from pbtnas.tasks.base import Task, Trainee
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    copy_of,
    difference,
    train,
)
from pbtnas.tasks.digits import DigitsOptions, DigitsProblem, DigitsTask
from pbtnas.tasks.digits_training import AdversarialSteps
from pbtnas.tasks.drqv2 import task as drqv2
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.drqv2.task import DrQV2Task
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.loading import complete_options, load_task
from pbtnas.tasks.optional import epoch_steps
from tests.tasks import test_drqv2, test_gan

OWN: dict[str, dict[str, Any]] = {
    "digits": {},
    "gan": {},
    "drqv2": {"environment": "cartpole_swingup", "observations": "state"},
}
"""Options that a task needs in any case."""

EVERY = {
    "digits": ["learning_rate", "batch_size", "ema_decay"],
    "gan": [
        *("learning_rate", "discriminator_learning_rate", "ema_decay"),
        *("batch_size", "generator_batch_size"),
    ],
    "drqv2": [
        *("learning_rate", "batch_size", "nstep", "discount", "tau"),
        *("stddev_start", "stddev_end", "stddev_clip"),
    ],
}


@pytest.mark.parametrize(
    ("task", "name", "low", "high", "rungs"),
    [
        ("digits", "learning_rate", 1e-4, 1e-2, 21),
        ("digits", "batch_size", 16, 256, 5),
        ("digits", "ema_decay", 0.9, 0.999, 21),
        ("gan", "learning_rate", 2e-5, 2e-3, 21),
        ("gan", "discriminator_learning_rate", 2e-5, 2e-3, 21),
        ("gan", "ema_decay", 0.99, 0.9999, 21),
        ("gan", "generator_batch_size", 20, 320, 5),
        ("drqv2", "learning_rate", 1e-5, 1e-3, 21),
        ("drqv2", "nstep", 1, 6, 6),
        ("drqv2", "discount", 0.9, 0.999, 21),
        ("drqv2", "tau", 1e-3, 0.1, 21),
        ("drqv2", "stddev_end", 0.025, 0.4, 13),
    ],
)
def test_a_ladder_lies_around_the_value_of_its_option(
    task: str, name: str, low: float, high: float, rungs: int
) -> None:
    """The ranges are those of the documentation; the networks' variables stay as they are."""
    usual = load_task(task, OWN[task]).space
    space = load_task(task, OWN[task] | {"search_also": [name]}).space

    assert space.variables[:-1] == usual.variables
    ladder = space.variables[-1]
    assert (ladder.name, ladder.ordered, ladder.modules) == (name, True, ())
    assert (ladder.options[0], ladder.options[-1], len(ladder.options)) == (low, high, rungs)


def test_ranges_end_where_an_option_does() -> None:
    """A share is at most 1, a decay at least 0, and a batch of digits at least 2."""
    given = OWN["drqv2"] | {"tau": 0.5, "discount": 0.5, "search_also": ["tau", "discount"]}
    discount, tau = load_task("drqv2", given).space.variables[-2:]
    batch = load_task("digits", {"batch_size": 4, "search_also": ["batch_size"]}).space.variables

    assert (tau.options[0], tau.options[-1]) == (0.05, 1.0)
    assert (discount.options[0], discount.options[-1]) == (0.0, 0.95)
    assert batch[-1].options == (2, 3, 6, 10, 16)


@pytest.mark.parametrize("task", OWN)
def test_without_ladders_a_run_is_the_same_as_before(task: str) -> None:
    """Newer options at their defaults are not recorded, and the space has no ladder."""
    made = load_task(task, OWN[task])

    recorded = complete_options(made, OWN[task])

    assert not {"search_also", "discriminator_learning_rate"} & recorded.keys()
    assert not any(variable.ordered for variable in made.space)
    searched = OWN[task] | {"search_also": ["learning_rate"]}
    again = load_task(task, searched)
    assert complete_options(again, searched)["search_also"] == ["learning_rate"]


MAY = "expected some of learning_rate, batch_size, ema_decay"


@pytest.mark.parametrize(
    ("task", "options", "sentence"),
    [
        (
            "digits",
            {"search_also": ["lerning_rate"]},
            f"task.search_also: {MAY}, since the task has no option 'lerning_rate'; did you mean "
            "'learning_rate'?, not [\"lerning_rate\"]",
        ),
        (
            "digits",
            {"search_also": ["images"]},
            f'task.search_also: {MAY}, since images is the same for all members, not ["images"]',
        ),
        (
            "gan",
            {"search_also": ["width"]},
            "task.search_also: expected some of learning_rate, discriminator_learning_rate, "
            "ema_decay, batch_size, generator_batch_size, since width decides shapes of tensors, "
            'which cannot move, not ["width"]',
        ),
        (
            "digits",
            {"search_also": ["ema_decay", "ema_decay"]},
            f'task.search_also: {MAY}, each once, not ["ema_decay", "ema_decay"]',
        ),
        (
            "digits",
            {"search_also": ["learning_rate"], "learning_rate": 0},
            "task.learning_rate: expected a value around which task.search_also can lay a ladder, "
            "from 1/10 to 10 times the value, 21 rungs (0.0 has no multiples), not 0.0",
        ),
        (
            "gan",
            {"search_also": ["batch_size"], "steps_per_epoch": 10},
            "task.steps_per_epoch: expected null with task.search_also batch_size, not 10",
        ),
        (
            "drqv2",
            {"search_also": ["nstep"], "nstep": 6, "replay_capacity": 10},
            "task.nstep: expected at most 5 with task.search_also nstep, whose ladder goes to "
            "twice as many: an episode in the buffer has at most 10 steps, not 6",
        ),
    ],
)
def test_what_cannot_be_searched_is_refused(
    task: str, options: dict[str, Any], sentence: str
) -> None:
    """One sentence with the key, what was expected and what was given."""
    with pytest.raises(ConfigError) as refusal:
        load_task(task, OWN[task] | options)

    assert refusal.value.problems == [sentence]


@pytest.mark.parametrize("task", OWN)
def test_no_other_option_can_be_searched(task: str) -> None:
    """What decides shapes, data, budget or score is the same for all members."""
    declared: Any = {"digits": DigitsOptions, "gan": GanOptions, "drqv2": DrQV2Options}[task]

    for field in fields(declared):
        given = OWN[task] | {"search_also": [field.name]}
        if field.name in EVERY[task]:
            parse(declared, given, "task")
        else:
            with pytest.raises(ConfigError, match="expected some of"):
                parse(declared, given, "task")


def digits(directory: Path) -> Task:
    """The digits without a judge, which takes seconds to train."""
    task = DigitsTask(DigitsOptions(search_also=tuple(EVERY["digits"])))
    images = torch.rand(300, 64, generator=torch.Generator().manual_seed(0))
    task._problem = DigitsProblem(images, None, None)  # type: ignore[arg-type]
    return task


def gan(directory: Path) -> Task:
    """The tiny GAN, whose batches may have all of its ten images."""
    searched = tuple(EVERY["gan"])
    task = test_gan.TinyGan(replace(test_gan.TINY, batch_size=2, search_also=searched))
    task.prepare(RehearsalProducts(directory))
    return task


def agent(directory: Path) -> Task:
    """The agent in the toy; its networks are small."""
    task = DrQV2Task(replace(test_drqv2.TINY, search_also=tuple(EVERY["drqv2"])))
    task.prepare(RehearsalProducts(directory, dict(test_drqv2.FACTS)))
    return task


@pytest.fixture(params=[digits, gan, agent])
def task(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """Each of the tasks, with all of its ladders."""
    monkeypatch.setattr(
        drqv2,
        "make_environment",
        lambda options, seed, _: test_drqv2.StackedFrames(
            test_drqv2.Toy(seed), options.frame_stack
        ),
    )
    made: Task = request.param(tmp_path)
    return made


def on(space: SearchSpace, **rungs: int) -> Architecture:
    """The first options, middle rungs, and these."""
    return tuple(
        rungs.get(v.name, len(v.options) // 2 if v.ordered else 0) for v in space.variables
    )


def rates(trainee: Trainee) -> list[float]:
    """The learning rates of all optimisers."""
    inner: Any = getattr(trainee, "adversaries", None) or getattr(trainee, "agent", trainee)
    return [group["lr"] for o in inner._optimizers for group in o.param_groups]


def test_a_rung_that_moved_is_in_force_after_load(task: Task, tmp_path: Path) -> None:
    """A rung that moved is in force, with the parent's weights and moments."""
    here, there = (on(task.space, learning_rate=rung) for rung in (10, 11))
    parent = train(task.create(here, 1), 2, Rehearsal(tmp_path)).state

    kept, moved = (task.create(at, 2) for at in (here, there))
    for trainee in (kept, moved):
        trainee.load(copy_of(parent))

    (ladder,) = (v for v in task.space if v.name == "learning_rate")
    assert (rates(kept)[0], rates(moved)[0]) == ladder.options[10:12]
    assert difference(kept.state(), parent) is None
    assert difference(moved.state(), parent) is None
    ends = [train(trainee, 2, Rehearsal(tmp_path, seed=3)).state for trainee in (kept, moved)]
    assert any(not torch.equal(tensor, ends[1].live[name]) for name, tensor in ends[0].live.items())


def test_an_interruption_changes_nothing_with_ladders(task: Task, tmp_path: Path) -> None:
    """A job that was killed in the middle of an epoch ends with equal bits; its steps are told."""
    at = on(task.space, batch_size=4, nstep=3, ema_decay=4)
    whole = train(task.create(at, 1), 2, Rehearsal(tmp_path, seed=7))
    steps = epoch_steps(task, task.space.decode(at))
    assert steps is None or whole.done == 2 * steps
    half = train(task.create(at, 1), 2, Rehearsal(tmp_path, seed=7, stop_at=whole.done - 1))
    other = task.create(at, 2)
    other.load(half.state)

    resumed = train(other, 2, Rehearsal(tmp_path, seed=7), half)

    assert difference(resumed.state, whole.state) is None


@pytest.mark.parametrize("rung", [1, 4])
@pytest.mark.parametrize("make", [digits, gan])
def test_an_epoch_has_all_images_on_every_rung(
    make: Any, rung: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members with larger batches make fewer steps, and see as many images."""
    task = make(tmp_path)
    seen: list[int] = []
    trainee = task.create(on(task.space, batch_size=rung), 1)
    if make is digits:
        step = AdversarialSteps.step
        monkeypatch.setattr(
            AdversarialSteps,
            "step",
            lambda steps, real, z: (seen.append(len(real)), step(steps, real, z))[1],
        )
    else:
        inner = trainee.adversaries
        learn = inner.discriminator_step
        monkeypatch.setattr(
            inner, "discriminator_step", lambda real, z: (seen.append(len(real)), learn(real, z))[1]
        )

    train(trainee, 1, Rehearsal(tmp_path))

    assert sum(seen) == len(task.problem.images)
    (ladder,) = (v for v in task.space if v.name == "batch_size")
    assert max(seen) <= ladder.options[rung]


def test_too_few_images_for_the_largest_batch_are_refused(tmp_path: Path) -> None:
    """Before the run, and not when a member has climbed to that rung."""
    task = test_gan.TinyGan(replace(test_gan.TINY, search_also=("batch_size",)))

    with pytest.raises(Exception, match="expected at least 16, for task.batch_size may rise to 16"):
        task.prepare(RehearsalProducts(tmp_path))
