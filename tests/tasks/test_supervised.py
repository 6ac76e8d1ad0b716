"""The helper for plain users, and the example that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.supervised import Batches, Split, SupervisedTask
from tests.tasks.broken import TinyTask
from tests.tasks.contract import TaskContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_task.py"


class TestOwnTask(TaskContract):
    """The example keeps the contract without a line about states or seeds."""

    def make_task(self) -> Task:
        return load_task("OwnTask", {}, task_file=f"{EXAMPLE}:OwnTask")

    def test_it_learns(self, task: Task, tmp_path: Path) -> None:
        """Ten epochs tell most digits apart, on images that selected nothing."""
        trainee = task.create((2, 2, 0), 0)

        train(trainee, 10, Rehearsal(tmp_path))

        assert evaluate(trainee, Rehearsal(tmp_path, final=True)).score > 0.8


class LoaderTask(TinyTask):
    """The tiny task, fed by a data loader."""

    def train_batches(self, seed: int) -> Batches:
        data = TensorDataset(self._split.train_x, self._split.train_y)
        order = torch.Generator().manual_seed(seed)
        loader: Batches = DataLoader(data, batch_size=8, shuffle=True, generator=order)
        return loader


class TestLoaderTask(TaskContract):
    """A data loader whose order comes from the seed keeps the contract."""

    epochs = 2

    def make_task(self) -> Task:
        return LoaderTask()


def test_the_example_is_short() -> None:
    """It is the first thing people copy: at most 60 lines."""
    assert len(EXAMPLE.read_text().splitlines()) <= 60


def test_an_epoch_is_whole_batches_of_different_examples(tmp_path: Path) -> None:
    """40 examples in batches of 8 are 5 steps that show each once; a rest is left out."""
    task = TinyTask()
    task.prepare(RehearsalProducts(tmp_path))

    batches = list(task.train_batches(3))
    task.batch_size = 12
    fewer = task.train_batches(3)

    shown = torch.cat([x for x, _ in batches])
    assert [len(x) for x, _ in batches] == [8] * 5
    assert len({tuple(row) for row in shown.tolist()}) == 40
    assert [len(x) for x, _ in fewer] == [12] * 3 and len(fewer) == 3


def test_little_data_is_one_batch(tmp_path: Path) -> None:
    """Fewer examples than a batch still train."""

    class Little(TinyTask):
        batch_size = 1000

    task = Little()
    task.prepare(RehearsalProducts(tmp_path))

    assert train(task.create((0, 0), 0), 3, Rehearsal(tmp_path)).done == 3


def test_epochs_have_different_orders(tmp_path: Path) -> None:
    """Two epochs of a job are not the first one twice, and another job's differ."""
    task = TinyTask()
    task.prepare(RehearsalProducts(tmp_path))
    orders = []

    class Spy(TinyTask):
        def train_batches(self, seed: int) -> Batches:
            orders.append(seed)
            return task.train_batches(seed)

        def data(self) -> Split:
            return task.data()

    spy = Spy()
    spy.prepare(RehearsalProducts(tmp_path))
    for seed in (1, 2):
        train(spy.create((0, 0), 0), 2, Rehearsal(tmp_path, seed=seed))

    assert len(set(orders)) == 4


def test_logged_losses_fall(tmp_path: Path) -> None:
    """Every epoch logs one line, and the optimiser does its work."""
    task = TinyTask()
    task.prepare(RehearsalProducts(tmp_path))
    context = Rehearsal(tmp_path)
    trainee = task.create((0, 0), 0)

    train(trainee, 20, context)

    losses = [line["loss"] for line in context.logged]
    assert [line["epoch"] for line in context.logged] == list(range(1, 21))
    assert sum(losses[-5:]) < sum(losses[:5])


def test_the_default_optimiser_is_fused_only_when_asked_for() -> None:
    """Fused, its last bits are others: runs that began without it must go on without it."""

    class Fused(TinyTask):
        fused_adam = True

    weights = [nn.Parameter(torch.zeros(1))]
    plain, fused = (SupervisedTask.optimizer(task, weights) for task in (TinyTask(), Fused()))

    assert not plain.defaults["fused"] and fused.defaults["fused"]


def test_gradients_of_a_step_do_not_stay_for_the_next(tmp_path: Path) -> None:
    """Two epochs end as with torch's own `zero_grad`, which an optimiser may also override."""
    calls = []

    class Own(torch.optim.Adam):
        def zero_grad(self, set_to_none: bool = True) -> None:
            calls.append(set_to_none)
            super().zero_grad(set_to_none)

    class OwnZeroGrad(TinyTask):
        def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            return Own(parameters, lr=1e-2)

    ended = []
    for task in (TinyTask(), OwnZeroGrad()):
        task.prepare(RehearsalProducts(tmp_path))
        ended.append(train(task.create((0, 0), 0), 2, Rehearsal(tmp_path)).state)

    assert len(calls) == 10
    assert all(torch.equal(a, ended[1].live[name]) for name, a in ended[0].live.items())
