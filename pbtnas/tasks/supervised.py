"""A base class for tasks: you write the network and the data, and override what you like.

    class OwnTask(SupervisedTask):
        space = SearchSpace([...])

        def build(self, choices):
            return OwnNet(**choices)

        def data(self):
            return Split((train_x, train_y), (validation_x, validation_y), (test_x, test_y))

Everything else has a default for classification and can be overridden: how a step is made
(`batch_size`, `optimizer`, `schedule`, `clip_norm`, `precision`, `augment`), what is minimised
and maximised (`forward`, `loss`, `score`), and where batches come from.  Ladders of the space
named `learning_rate` and `batch_size` take the place of these.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.tasks.base import Preparation, TaskError
from pbtnas.tasks.choices import NO_CHOICES, with_choices
from pbtnas.tasks.returned import check_settings
from pbtnas.tasks.splits import Equal, Shuffled, Split, check, count, describe, in_order
from pbtnas.tasks.supervised_member import SupervisedTrainee

__all__ = ["Batch", "Batches", "Split", "SupervisedTask", "SupervisedTrainee"]

Batch = Any
"""Inputs [B, ...] and targets [B, ...] as a pair, or a mapping with the targets as "labels"."""


class Batches(Protocol):
    """An epoch: a `DataLoader`, a list, or anything else that has a length and can be walked."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Batch]: ...


class SupervisedTask(ABC):
    """A task in which one network learns targets; see the module for an example."""

    space: SearchSpace

    _split: Any = None

    batch_size = 64

    clip_norm: float | None = None
    """Gradients are scaled down to this norm of all together; None for never."""

    precision: str = "float32"
    """Of forward and backward passes in training: "float32", "bfloat16" or "float16".  The last
    scales the loss.  Scores are computed in float32."""

    closure: bool = False
    """Whether `optimizer.step` gets a closure that it can do without; it always gets one that it
    needs, as LBFGS does."""

    fused_adam: bool = False
    """Whether the default optimiser is torch's fused Adam: the same steps by one kernel, with other
    last bits.  A step of a small network takes a fifth to a third less time with it."""

    @abstractmethod
    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        """A freshly initialised network with the chosen option of every variable, by name.

        The modules that the space's variables own are named as in this network.
        """

    @abstractmethod
    def data(self) -> Split:
        """The data; called once in every process."""

    def optimizer(
        self, parameters: Iterable[nn.Parameter], choices: Mapping[str, Any] = NO_CHOICES
    ) -> Optimizer:
        """Adam with its defaults, but for `fused_adam` and the rung of a ladder `learning_rate`.

        One that is overridden may leave `choices` out.  What it takes from them is in force after
        `load`, too: a state has moments, and no learning rates.

        Args:
            parameters: those of the network.
            choices: the chosen option of every variable, by name.
        """
        rate = self._rung("learning_rate", choices)
        given = {} if rate is None else {"lr": rate}
        return torch.optim.Adam(parameters, fused=self.fused_adam or None, **given)

    def schedule(self, optimizer: Optimizer, steps: int) -> LRScheduler | None:
        """No schedule.  One of torch's makes a step with every step of the optimiser.

        It begins with the member, not with each job, and a child goes on where its base was: after
        as many epochs, where a ladder makes its epochs have another number of steps.

        Args:
            optimizer: what `optimizer` gave.
            steps: the number of steps in an epoch of this member.
        """
        return None

    def augment(self, inputs: Any, targets: Any, generator: Generator) -> tuple[Any, Any]:
        """A batch for training, as it is.  Chance comes from the generator, new for each step."""
        return inputs, targets

    def forward(self, network: nn.Module, inputs: Any) -> Any:
        """The outputs; a tuple is given to the network as arguments, a mapping by their names."""
        if isinstance(inputs, Mapping):
            return network(**inputs)
        if isinstance(inputs, tuple | list):
            return network(*inputs)
        return network(inputs)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        """What training minimises: the cross entropy of outputs [B, C], targets [B]."""
        return F.cross_entropy(outputs, targets)

    def score(self, outputs: Any, targets: Any) -> float:
        """What the search maximises, of all validation data: the accuracy."""
        return float((outputs.argmax(dim=1) == targets).double().mean())

    def train_batches(self, seed: int, choices: Mapping[str, Any] = NO_CHOICES) -> Batches:
        """One epoch: the training data in a random order, in whole batches.

        With a ladder named `batch_size`, an epoch is all training data for all members, in as few
        batches of one size, up to one example, as the rung allows.

        Override it to use a data loader; `choices` may be left out then.  Its order must be a
        function of the seed, and its length that of all other epochs of the member, or an
        interrupted job could not go on where it was.

        Args:
            seed: seed of the epoch.
            choices: the chosen option of every variable, by name.
        """
        train = self._split.train
        size = count(train[0])
        order = torch.randperm(size, generator=Generator().manual_seed(seed))
        rung = self._rung("batch_size", choices)
        if rung is not None:
            return Equal(train, order, rung)
        return Shuffled(train, order, min(self.batch_size, size))

    def validation_batches(self) -> Iterable[Batch]:
        """What the search and soups select by; of a two-way split, the test data.

        Always in the same order.
        """
        if getattr(self._split, "test", None) is None:
            return self.test_batches()
        return in_order(self._split.validation)

    def test_batches(self) -> Iterable[Batch]:
        """The data of the final evaluation, always in the same order."""
        return in_order(self._split.test or self._split.validation)

    def prepare(self, run: Preparation) -> None:
        """Get the data, and refuse what cannot be right."""
        self._split = self._checked()

    def look(self) -> str:
        """The data in words, for `--dry-run`; refuses what cannot be right."""
        split = self._checked()
        if isinstance(split, Split):
            return describe(split)
        return f"data() gives a {type(split).__name__}, which the task's own batches come from"

    def epoch_steps(self, choices: Mapping[str, Any] = NO_CHOICES) -> int:
        """Batches of an epoch, of which all of a member have the same number."""
        return len(with_choices(self.train_batches, 0, choices=choices))

    def create(self, architecture: Architecture, seed: int) -> SupervisedTrainee:
        """The network of an architecture with its optimiser."""
        return SupervisedTrainee(self, architecture, seed)

    @property
    def augments(self) -> bool:
        """Whether batches are changed for training."""
        return type(self).augment is not SupervisedTask.augment

    @property
    def has_test_data(self) -> bool:
        """Whether the final evaluation has examples that the search has not selected by."""
        own = type(self).validation_batches is not SupervisedTask.validation_batches
        return own or getattr(self._split, "test", None) is not None

    def _rung(self, name: str, choices: Mapping[str, Any]) -> Any:
        """What was chosen of a ladder of that name; None if there is no such ladder."""
        ladders = {variable.name for variable in self.space if variable.ordered}
        return choices.get(name) if name in ladders else None

    def _checked(self) -> Split:
        check_settings(self)
        split: Split = self.data()
        if isinstance(split, Split):
            check(split)
        elif not self._has_own_batches():
            raise TaskError(f"data() gives a {type(split).__name__}; expected a Split")
        return split

    def _has_own_batches(self) -> bool:
        """Whether the task gets on without a `Split`, because batches come from elsewhere."""
        base = SupervisedTask
        own_training = type(self).train_batches is not base.train_batches
        return own_training and type(self).test_batches is not base.test_batches
