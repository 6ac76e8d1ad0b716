"""The helper for plain users, and the example that shows it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.supervised import Batches, Split
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
