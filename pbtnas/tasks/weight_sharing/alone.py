"""What the tasks of networks that are trained alone have in common, whatever their space."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from pbtnas.models.edges import only
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import LazyTensor
from pbtnas.tasks.base import Context, Evaluation
from pbtnas.tasks.weight_sharing.classifier import Classifier, Metrics, accuracy
from pbtnas.tasks.weight_sharing.classifying import Classifying, unseen
from pbtnas.tasks.weight_sharing.image_options import ImageOptions


class AloneTask(Classifying):
    """Search a space of networks, each of which has weights of its own."""

    space: SearchSpace

    def __init__(self, options: ImageOptions) -> None:
        super().__init__(options)
        self.space = self.choices

    def create(self, architecture: Architecture, seed: int) -> AloneTrainee:
        """A network with the chosen operations and its optimiser, on the CPU."""
        self.space.check(architecture)
        return AloneTrainee(self, architecture, seed)

    def create_modules(self, architecture: Architecture, seed: int) -> Mapping[str, LazyTensor]:
        """The tensors of such a network, each drawn from its own stream when it is needed."""
        self.space.check(architecture)
        return self.initial(only(architecture), seed)


class AloneTrainee(Classifier):
    """One member: a network with weights of its own.

    Args:
        task: data and options.
        architecture: what the network chooses.
        seed: what its weights derive from.
    """

    task: AloneTask

    def __init__(self, task: AloneTask, architecture: Architecture, seed: int) -> None:
        super().__init__(task, task.network(only(architecture), seed))
        self._architecture = architecture

    def evaluate(self, context: Context) -> Evaluation:
        """The accuracy on the validation images; on the test half if final."""
        self.move(context.device)
        part = "test" if context.final else "validation"
        self.networks.eval()
        found = accuracy(self.networks, self.task.scored(part, context.device), context.tick)
        self.networks.train()
        return Evaluation(found, unseen(self.task, context) | self._cost(part, context))

    def _cost(self, part: str, context: Context) -> Metrics:
        if not self.task.options.counts_cost():
            return {}
        one = self.task.pass_costs(only(self._architecture)).path(self._architecture)
        return self.spent(context, lambda _: one, one * self.task.images(part))

    def trained_network(self) -> nn.Module:
        """The network, which maps normalised images to logits."""
        return self.networks
