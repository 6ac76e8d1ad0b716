"""Ladders in a `SupervisedTask`: what a rung decides, before and after it moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from pbtnas.search import SearchSpace, ladder
from pbtnas.state import State
from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, copy_of, evaluate, train
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.optional import epoch_steps
from pbtnas.tasks.supervised import Batches, SupervisedTrainee
from tests.tasks.broken import TinyTask
from tests.tasks.contract import TaskContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_ladders.py"
EPOCHS = 4  # that the schedule lasts


class Laddered(TinyTask):
    """The tiny task with ladders of its rate and its batches, and a schedule over some epochs."""

    space = SearchSpace(
        [
            *TinyTask.space,
            ladder("learning_rate", 1e-3, 1e-1, steps=5),
            ladder("batch_size", 3, 24, steps=4, integer=True),
        ]
    )

    def optimizer(
        self, parameters: Iterable[nn.Parameter], choices: Mapping[str, Any] | None = None
    ) -> Optimizer:
        assert choices is not None
        return torch.optim.AdamW(parameters, lr=choices["learning_rate"])

    def schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        rate = optimizer.param_groups[0]["lr"]
        return OneCycleLR(optimizer, rate, total_steps=EPOCHS * steps + 1, cycle_momentum=False)


class TestLaddered(TaskContract):
    """A task with ladders keeps the contract; a job that was interrupted ends with equal bits."""

    def make_task(self) -> Task:
        return Laddered()


def prepared(task: TinyTask, directory: Path) -> TinyTask:
    task.prepare(RehearsalProducts(directory))
    return task


def groups(trainee: SupervisedTrainee) -> list[dict[str, Any]]:
    return trainee._optimizer.param_groups


def child(task: TinyTask, architecture: tuple[int, ...], state: State) -> SupervisedTrainee:
    """A member that has loaded the state of a parent."""
    trainee = task.create(architecture, 5)
    trainee.load(copy_of(state))
    return trainee


def test_a_rung_that_moved_is_in_force_with_the_parents_moments(tmp_path: Path) -> None:
    """A child trains with its own rate, and its optimiser goes on where its parent's was."""

    class Constant(Laddered):
        def schedule(self, optimizer: Optimizer, steps: int) -> None:  # type: ignore[override]
            return None

    task = prepared(Constant(), tmp_path)
    parent = train(task.create((0, 0, 2, 1), 0), 1, Rehearsal(tmp_path)).state

    moved = child(task, (0, 0, 3, 1), parent)

    rungs = task.space.variables[2].options
    assert [group["lr"] for group in groups(moved)] == [rungs[3]] != [rungs[2]]
    assert moved.state().optimizer.keys() == parent.optimizer.keys() != set()
    for name, moment in moved.state().optimizer.items():
        assert torch.equal(moment, parent.optimizer[name])
    train(moved, 1, Rehearsal(tmp_path))
    assert groups(moved)[0]["lr"] == rungs[3]


@pytest.mark.parametrize("rung", range(4))
def test_an_epoch_shows_every_example_once_on_every_rung(rung: int, tmp_path: Path) -> None:
    """Members with other batch sizes train on as many examples, in batches of one size."""
    task = prepared(Laddered(), tmp_path)
    choices = task.space.decode((0, 0, 0, rung))

    batches = task.train_batches(7, choices)

    sizes = [len(x) for x, _ in batches]
    shown = torch.cat([x for x, _ in batches])
    assert len({tuple(row) for row in shown.tolist()}) == len(shown) == 40
    assert choices["batch_size"] >= max(sizes) >= min(sizes) >= max(sizes) - 1
    assert len(sizes) == len(batches) == epoch_steps(task, choices)


def test_a_schedule_goes_on_by_epochs_when_the_batch_size_moves(tmp_path: Path) -> None:
    """Half of the cycle is over for a child of other batches, too; its end is not overrun."""
    task = prepared(Laddered(), tmp_path)
    parent = train(task.create((0, 0, 2, 0), 0), 2, Rehearsal(tmp_path)).state

    rates = []
    for rung in (0, 3):
        moved = child(task, (0, 0, 2, rung), parent)
        train(moved, EPOCHS - 2, Rehearsal(tmp_path))
        rates.append(groups(moved)[0]["lr"])

    assert rates[0] == pytest.approx(rates[1], rel=1e-3)
    assert rates[0] < 1e-5  # of 1e-2: the end of the cycle


def test_ladders_of_the_default_names_need_no_method(tmp_path: Path) -> None:
    """A ladder `learning_rate` is that of the default optimiser."""

    class Default(Laddered):
        optimizer = TinyTask.__bases__[0].optimizer  # type: ignore[assignment]

    trainee = prepared(Default(), tmp_path).create((0, 0, 4, 0), 0)

    assert groups(trainee)[0]["lr"] == 1e-1


def test_a_switch_called_batch_size_is_left_to_the_task(tmp_path: Path) -> None:
    """Names mean something of ladders alone: searches of before have the epochs they had."""
    space = SearchSpace([*TinyTask.space, ladder("batch_size", 2, 3, 2, integer=True)])
    switched = prepared(TinyTask(), tmp_path)

    assert len(switched.train_batches(0, {"batch_size": 2})) == 5
    switched.space = space
    assert len(switched.train_batches(0, {"batch_size": 2})) == 20


def test_methods_with_one_argument_go_on(tmp_path: Path) -> None:
    """A task of before may add a ladder, and keep an optimiser with defaults of its own."""

    class Before(Laddered):
        def optimizer(self, parameters: Any, lr: float = 0.25) -> Optimizer:  # type: ignore[override]
            return torch.optim.SGD(parameters, lr=lr)

        def train_batches(self, seed: int) -> Batches:  # type: ignore[override]
            return TinyTask.train_batches(self, seed)

    trainee = prepared(Before(), tmp_path).create((0, 0, 0, 0), 0)

    assert groups(trainee)[0]["lr"] == 0.25
    assert train(trainee, 1, Rehearsal(tmp_path)).done == 5


def test_a_second_argument_of_any_name_is_the_choices(tmp_path: Path) -> None:
    """What must be given cannot be anything else."""

    class Named(Laddered):
        def optimizer(self, parameters: Any, chosen: Any) -> Optimizer:  # type: ignore[override]
            return torch.optim.SGD(parameters, lr=chosen.pop("learning_rate"))

        def train_batches(self, seed: int, chosen: Any) -> Batches:  # type: ignore[override]
            return super().train_batches(seed, {"batch_size": chosen["batch_size"]})

    trainee = prepared(Named(), tmp_path).create((0, 0, 4, 3), 0)

    assert groups(trainee)[0]["lr"] == 1e-1
    assert train(trainee, 1, Rehearsal(tmp_path)).done == 2


def test_the_example_of_ladders_learns(tmp_path: Path) -> None:
    """Two epochs on middle rungs are better than none."""
    task = load_task("Tuned", {}, task_file=f"{EXAMPLE}:Tuned")
    task.prepare(RehearsalProducts(tmp_path))
    trainee = task.create(tuple(len(v.options) // 2 for v in task.space), 0)
    before = evaluate(trainee, Rehearsal(tmp_path)).score

    train(trainee, 2, Rehearsal(tmp_path))

    assert evaluate(trainee, Rehearsal(tmp_path)).score > before
