"""A base class for tasks: you write the network and the data, and override what you like.

    class OwnTask(SupervisedTask):
        space = SearchSpace([...])

        def build(self, choices):
            return OwnNet(**choices)

        def data(self):
            return Split(train_x, train_y, test_x, test_y)

Everything else has a default for classification and can be overridden: `batch_size`,
`optimizer`, `loss`, `score`, and `train_batches` with `test_batches` for data loaders.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation
from pbtnas.tasks.members import Learner

Batch = tuple[Tensor, Tensor]
"""Inputs [B, ...] and targets [B, ...]."""


class Batches(Protocol):
    """An epoch: a `DataLoader`, a list, or anything else that has a length and can be walked."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Split:
    """Inputs and targets [N, ...] to train with, and others to score with."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


class SupervisedTask(ABC):
    """A task in which one network learns targets; see the module for an example."""

    space: SearchSpace
    batch_size = 64

    @abstractmethod
    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        """A freshly initialised network with the chosen option of every variable, by name.

        The modules that the space's variables own are named as in this network.
        """

    @abstractmethod
    def data(self) -> Split:
        """The data; called once in every process."""

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        """Adam with its defaults."""
        return torch.optim.Adam(parameters)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What training minimises: the cross entropy of outputs [B, C], targets [B]."""
        return F.cross_entropy(outputs, targets)

    def score(self, outputs: Tensor, targets: Tensor) -> float:
        """What the search maximises, of all test data: the accuracy."""
        return float((outputs.argmax(dim=1) == targets).double().mean())

    def train_batches(self, seed: int) -> Batches:
        """One epoch: the training data in a random order, in whole batches.

        Override it to use a data loader.  Its order must be a function of the seed and its
        length the same for all, or an interrupted job could not go on where it was.
        """
        x, y = self._split.train_x, self._split.train_y
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
        return _Shuffled(x, y, order, min(self.batch_size, len(x)))

    def test_batches(self) -> Iterable[Batch]:
        """The test data, always in the same order."""
        return zip(
            torch.split(self._split.test_x, 1000),
            torch.split(self._split.test_y, 1000),
            strict=True,
        )

    def prepare(self, run: Preparation) -> None:
        """Get the data."""
        self._split = self.data()

    def create(self, architecture: Architecture, seed: int) -> SupervisedTrainee:
        """The network of an architecture with its optimiser."""
        return SupervisedTrainee(self, architecture, seed)


class SupervisedTrainee(Learner):
    """One member: a network and its optimiser."""

    def __init__(self, task: SupervisedTask, architecture: Architecture, seed: int) -> None:
        self._task = task
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = task.build(task.space.decode(architecture))
        self._optimizer = task.optimizer(self.network.parameters())
        super().__init__(self.network, [self._optimizer])

    def train(self, epochs: int, context: Context) -> None:
        """Epochs of `train_batches`.  Raises `Diverged` at a loss that is not finite."""
        self.move(context.device)
        self.network.train()
        first_epoch, skipped = divmod(context.done, len(self._epoch(context, 0)))
        for epoch in range(first_epoch, epochs):
            batches = self._epoch(context, epoch)
            first_step = epoch * len(batches) + skipped + 1
            for step, (x, y) in enumerate(islice(batches, skipped, None), first_step):
                loss = self._step(x.to(context.device), y.to(context.device))
                if not math.isfinite(loss):
                    raise Diverged(f"the loss is {loss} at step {step} of this job")
                if step % len(batches) == 0:
                    context.log(epoch=epoch + 1, loss=loss)
                context.tick(step)
            skipped = 0

    def _epoch(self, context: Context, epoch: int) -> Batches:
        return self._task.train_batches(derive(context.seed, "supervised-epoch", epoch))

    def _step(self, x: Tensor, y: Tensor) -> float:
        loss = self._task.loss(self.network(x), y)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        self._optimizer.step()
        return loss.item()

    @torch.no_grad()
    def evaluate(self, context: Context) -> Evaluation:
        """Score and loss on all test data; a NaN score if the outputs are not finite."""
        self.move(context.device)
        self.network.eval()
        outputs, targets = [], []
        for x, y in self._task.test_batches():
            outputs.append(self.network(x.to(context.device)).cpu())
            targets.append(y.cpu())
            context.tick()
        predicted, wanted = torch.cat(outputs), torch.cat(targets)
        # The accuracy of NaNs would be an innocent number.
        finite = bool(predicted.isfinite().all())
        score = self._task.score(predicted, wanted) if finite else math.nan
        return Evaluation(score, {"loss": self._task.loss(predicted, wanted).item()})

    def trained_network(self) -> nn.Module:
        """What `build` made."""
        return self.network


@dataclass(frozen=True)
class _Shuffled:
    """Whole batches of x and y [N, ...] in the given order [N]; a rest of N is left out."""

    x: Tensor
    y: Tensor
    order: Tensor
    batch_size: int

    def __len__(self) -> int:
        return len(self.order) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        for batch in torch.split(self.order, self.batch_size)[: len(self)]:
            yield self.x[batch], self.y[batch]
