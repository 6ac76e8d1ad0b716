"""Rates subnets of a trained supernet one by one, as they are or after tuning each alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from pbtnas.models.edges import only
from pbtnas.search.space import Architecture
from pbtnas.supernet.statistics import Statistics, scoring
from pbtnas.tasks.base import Context, Evaluation, TaskError
from pbtnas.tasks.weight_sharing.classifier import accuracy, data_seed
from pbtnas.tasks.weight_sharing.classifying import unseen
from pbtnas.tasks.weight_sharing.sharing_member import SupernetTrainee

if TYPE_CHECKING:
    from pbtnas.tasks.weight_sharing.supernet import SupernetTask


class SubnetRater(SupernetTrainee):
    """Holds the state of a member, and rates some of its subnets.

    Args:
        task: data and options.
        subnets: all subnets of the member by name.
        names: names of those to rate.
        at: numbers of mini-batches of tuning after which each is rated, ascending.
        statistics: what normalisation uses then.
    """

    def __init__(
        self,
        task: SupernetTask,
        subnets: Mapping[str, Architecture],
        names: Sequence[str],
        at: Sequence[int],
        statistics: Statistics,
    ) -> None:
        super().__init__(task, subnets, seed=0)
        self._rated = list(names)
        self._at = sorted(set(at))
        self._statistics = statistics

    def evaluate(self, context: Context) -> Evaluation:
        """The accuracies as metrics, "NAME@STEPS" each, and the mean of the last ones.

        On all held-out images, on the test half if final.  Every subnet is tuned with the same
        batches, which the seed of the context decides, from the state of the member.
        """
        self.move(context.device)
        part = "test" if context.final else "held_out"
        found = {
            f"{name}@{steps}": value
            for name in self._rated
            for steps, value in self._accuracies(name, part, context)
        }
        last = [found[f"{name}@{self._at[-1]}"] for name in self._rated]
        finite = [value for value in last if math.isfinite(value)]
        score = sum(finite) / len(last) if finite else math.nan
        return Evaluation(score, found | unseen(self.task, context))

    def _accuracies(self, name: str, part: str, context: Context) -> Iterator[tuple[int, float]]:
        """The accuracy of a subnet at each number of steps."""
        if self._at == [0]:
            yield 0, self.accuracies_of([name], part, context, self._statistics)[name]
            return
        network = self.alone(name, context.device)
        options = self.task.options
        optimizer = torch.optim.SGD(
            network.parameters(),
            self.task.schedule.rate(self.steps),
            momentum=options.momentum,
            weight_decay=options.weight_decay,
            nesterov=options.nesterov,
        )
        batches, seed = self.task.batches(context.device), data_seed(self.task, context.seed)
        for step in range(self._at[-1] + 1):
            if step in self._at:
                yield step, self._accuracy_alone(network, part, context)
            if step < self._at[-1]:
                images, labels = batches.at(seed, step)
                optimizer.zero_grad()
                torch.autograd.backward(F.cross_entropy(network(images), labels))
                optimizer.step()
                context.tick()

    def _accuracy_alone(self, network: nn.Module, part: str, context: Context) -> float:
        batches, options = self.task.batches(context.device), self.task.options
        network.eval()
        with scoring(
            network,
            self._statistics,
            network,
            lambda: batches.some(options.recalibration_batches),
        ):
            found = accuracy(network, self.task.scored(part, context.device), context.tick)
        network.train()
        return found

    @torch.no_grad()
    def alone(self, name: str, device: str = "cpu") -> nn.Module:
        """A network of a subnet alone, with copies of its shared weights.

        Raises `TaskError` where operations see a part of the channels.
        """
        if self.task.options.partial_channels > 1:
            raise TaskError(
                f"task.partial_channels {self.task.options.partial_channels}: a subnet of this "
                "supernet is no network alone; train its architecture with the task "
                f"{self.task.options.space}"
            )
        network = self.task.network(only(self.supernet.subnets[name]), seed=0).to(device)
        if self.task.options.channels_last:
            network.to(memory_format=torch.channels_last)
        tensors = self.supernet.extract(name)
        for here, tensor in (*network.named_parameters(), *network.named_buffers()):
            tensor.copy_(tensors[here])
        return network

    def trained_network(self) -> nn.Module:
        """The network of the first subnet alone, which maps normalised images to logits."""
        return self.alone(self._rated[0])
