"""What networks alone and supernets have in common: SGD on images, a schedule, an accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.search.seeding import derive
from pbtnas.state import State
from pbtnas.supernet.costs import TRAINING
from pbtnas.tasks.base import SPENT, Context, Diverged
from pbtnas.tasks.members import Learner

if TYPE_CHECKING:
    from pbtnas.tasks.weight_sharing.classifying import Classifying

Metrics = dict[str, float]
_STEPS = "steps"
_BEGUN = "steps_before_this_job"


class Classifier(Learner):
    """A network in training; its learning rate follows from the steps done so far.

    Args:
        task: data and options.
        network: initialised network.
        weights: parameters that SGD trains; None means all.
        others: optimisers of the other parameters.
    """

    def __init__(
        self,
        task: Classifying,
        network: nn.Module,
        weights: Sequence[nn.Parameter] | None = None,
        others: Sequence[torch.optim.Optimizer] = (),
    ) -> None:
        options = task.options
        if options.channels_last:
            network.to(memory_format=torch.channels_last)
        self.task = task
        self.optimizer = torch.optim.SGD(
            network.parameters() if weights is None else weights,
            options.learning_rate,
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            nesterov=options.nesterov,
        )
        super().__init__(network, [self.optimizer, *others])
        self.steps = 0  # since the member was created
        self._begun = 0  # before this job

    def train(self, epochs: int, context: Context) -> None:
        """Epochs of the task's steps.

        All that chance decides is a function of a seed, the job's unless the options pin one, and
        of the number of steps done.  Raises `Diverged` at a loss that is not finite.
        """
        self.move(context.device)
        self.networks.train()
        self._begun = self.steps - context.done
        seed = data_seed(self.task, context.seed)
        batches, steps = self.task.batches(context.device), self.task.epoch_steps()
        schedule = self.task.schedule
        for step in range(context.done, epochs * steps):
            rate = schedule.rate(self.steps)
            set_rate(self.optimizer, rate)
            what, loss = self.learn(*batches.at(seed, self.steps))
            if not math.isfinite(loss):
                raise Diverged(f"the loss{what} is {loss} at step {step + 1} of this job")
            self.steps += 1
            self.learnt(context)
            if (step + 1) % steps == 0:
                context.log(epoch=(step + 1) // steps, loss=loss, learning_rate=rate)
            context.tick(step + 1)

    def learn(self, images: Tensor, labels: Tensor) -> tuple[str, float]:
        """Make a step with a batch [B, 3, S, S], [B]; returns words for what, and its loss."""
        loss = F.cross_entropy(self.networks(images), labels)
        return "", self.update(loss)

    def learnt(self, context: Context) -> None:
        """Called after each step."""

    @property
    def job_steps(self) -> range:
        """The steps of this job, counted from the first of the member."""
        return range(self._begun, self.steps)

    def spent(self, context: Context, cost_at: Callable[[int], int], scoring: int) -> Metrics:
        """What this job has cost, as a metric; none unless it is to be counted.

        Args:
            context: the job, which trained before it scored.
            cost_at: multiply-adds of a forward pass of one image, by the step that made it.
            scoring: multiply-adds of scoring.
        """
        if context.final or not self.task.options.counts_cost():
            return {}
        batches = self.task.batches(context.device)
        trained = sum(cost_at(step) * batches.size_at(step) for step in self.job_steps)
        return {SPENT: float(TRAINING * trained + scoring)}

    def update(self, loss: Tensor) -> float:
        """Make a step of the optimiser down a loss; returns its value."""
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.before_step()
        self.optimizer.step()
        return loss.item()

    def before_step(self) -> None:
        """Called when gradients are there."""

    def state(self) -> State:
        """Everything that is trained, and the steps done; the tensors alias the network."""
        state = super().state()
        state.info[_STEPS] = self.steps
        if self.task.options.counts_cost():
            state.info[_BEGUN] = self._begun
        return state

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        super().load(state)
        steps = state.info.get(_STEPS, 0)
        assert isinstance(steps, int), "written by `state`"
        self.steps = steps
        begun = state.info.get(_BEGUN, steps)
        assert isinstance(begun, int), "written by `state`"
        self._begun = begun


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def data_seed(task: Classifying, seed: int, purpose: str = "images") -> int:
    """The seed of batches and augmentation: that of the options, or by the job's."""
    pinned = task.options.data_seed
    return derive(seed if pinned is None else pinned, purpose)


class Tally:
    """How many images got their class."""

    def __init__(self) -> None:
        self._right = torch.zeros((), dtype=torch.int64)
        self._finite = torch.ones((), dtype=torch.bool)
        self._images = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count the images of a batch, by logits [B, classes] and labels [B]."""
        right, finite = (logits.argmax(1) == labels).sum(), logits.isfinite().all()
        self._right = self._right.to(labels.device) + right
        self._finite = self._finite.to(labels.device) & finite
        self._images += len(labels)

    def accuracy(self) -> float:
        """The share of images whose class was found; NaN when outputs were not finite."""
        return int(self._right) / self._images if bool(self._finite) else math.nan


@torch.no_grad()
def accuracy(
    run: Callable[[Tensor], Tensor],
    batches: Iterable[tuple[Tensor, Tensor]],
    tick: Callable[[], None] = lambda: None,
) -> float:
    """The share of images whose class is found; NaN when outputs are not finite.

    Args:
        run: maps images [B, 3, S, S] to logits [B, classes].
        batches: images and labels [B].
        tick: called after each batch.
    """
    tally = Tally()
    for images, labels in batches:
        tally.add(run(images), labels)
        tick()
    return tally.accuracy()
