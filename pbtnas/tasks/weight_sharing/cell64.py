"""The task `cell64`: networks of the space of 64, each with weights of its own.

Trained with the search that replaces nobody and one member an architecture, they are the ground
truth of shared weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from pbtnas.models.edges import only
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import LazyTensor
from pbtnas.tasks.base import Context, Evaluation
from pbtnas.tasks.costs import multiply_adds
from pbtnas.tasks.weight_sharing.classifier import Classifier, accuracy
from pbtnas.tasks.weight_sharing.classifying import Classifying, unseen
from pbtnas.tasks.weight_sharing.options import Cell64Options


class Cell64Task(Classifying):
    """Search the space of 64: three variables of four operations."""

    Options = Cell64Options
    space: SearchSpace

    def __init__(self, options: Cell64Options | None = None) -> None:
        super().__init__(options or Cell64Options())
        self.space = self.choices

    def create(self, architecture: Architecture, seed: int) -> Cell64Trainee:
        """A network with the chosen operations and its optimiser, on the CPU."""
        self.space.check(architecture)
        return Cell64Trainee(self, self.network(only(architecture), seed))

    def create_modules(self, architecture: Architecture, seed: int) -> Mapping[str, LazyTensor]:
        """The tensors of such a network, each drawn from its own stream when it is needed."""
        self.space.check(architecture)
        return self.initial(only(architecture), seed)


class Cell64Trainee(Classifier):
    """One member: a network with weights of its own."""

    def evaluate(self, context: Context) -> Evaluation:
        """The accuracy on the validation images; on the test half if final."""
        self.move(context.device)
        part = "test" if context.final else "validation"
        self.networks.eval()
        found = accuracy(self.networks, self.task.scored(part, context.device), context.tick)
        self.networks.train()
        return Evaluation(found, unseen(self.task, context))

    def trained_network(self) -> nn.Module:
        """The network, which maps normalised images to logits."""
        return self.networks

    def costs(self) -> Mapping[str, float]:
        """The multiply-adds of one image."""
        side = self.task.options.side
        image = torch.zeros(1, 3, side, side, device="meta")
        return {"multiply_adds": multiply_adds(self.networks, lambda n: n(image))}
