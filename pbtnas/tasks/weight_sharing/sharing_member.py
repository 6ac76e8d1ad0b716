"""One member of the task `supernet`: a network of a part, whose subnets share weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.models.edges import Traversal, joint
from pbtnas.search.seeding import derive, stream
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.supernet.common import computed_once
from pbtnas.supernet.costs import PassCosts
from pbtnas.supernet.inactive import give_zero_gradients
from pbtnas.supernet.orders import subnet_at
from pbtnas.supernet.sharing import Supernet
from pbtnas.supernet.statistics import Statistics, scoring
from pbtnas.tasks.base import SUBNET, Context, Evaluation
from pbtnas.tasks.weight_sharing.classifier import Classifier, Metrics, Tally, accuracy
from pbtnas.tasks.weight_sharing.classifying import unseen
from pbtnas.tasks.weight_sharing.learnt_architecture import ARCHITECTURE
from pbtnas.tasks.weight_sharing.rows import Rows

if TYPE_CHECKING:
    from pbtnas.tasks.weight_sharing.options import SupernetOptions
    from pbtnas.tasks.weight_sharing.supernet import SupernetTask

_ORDER = "order_seed"
_SUBNETS = "subnets"


def scored_subnets(names: Sequence[str], options: SupernetOptions) -> list[str]:
    """Which of the subnets of a part are scored, in their order."""
    if options.scored or options.method is not None:
        return list(options.scored)
    most = options.most_scored()
    if most is None or most >= len(names):
        return list(names)
    chosen = stream(0, "scored subnets").sample(range(len(names)), most)
    return [names[i] for i in sorted(chosen)]


class SupernetTrainee(Classifier):
    """One member: a supernet of a part.

    Args:
        task: data and options.
        subnets: subnets of the part by name.
        seed: what weights and order derive from, unless the options pin them.
    """

    task: SupernetTask

    def __init__(self, task: SupernetTask, subnets: Mapping[str, Architecture], seed: int) -> None:
        options = task.options
        network = task.network(joint(list(subnets.values())), seed)
        weights = list(network.parameters())
        self.architecture = task.learnt_architecture(seed)
        if self.architecture is None:
            self.supernet = Supernet(network, subnets, task.is_private)
            super().__init__(task, network)
        else:
            self.supernet = Supernet(network, subnets, task.is_private, self.architecture.subnet)
            network.add_module(ARCHITECTURE, self.architecture.module)
            super().__init__(task, network, weights, self.architecture.optimizers)
        self.names = list(subnets)
        self.scored = scored_subnets(self.names, options)
        self.rows = Rows(self.scored)
        self._order_seed = (
            derive(seed, "order") if options.order_seed is None else options.order_seed
        )
        self._passes: PassCosts | None = None
        self._trained: set[str] = set()  # subnets, for `inactive: decays`
        self._moving: set[str] = set()  # their parameters

    def subnet(self, step: int) -> str:
        """The subnet that a step trains."""
        options = self.task.options
        return self.names[subnet_at(options.order, step, len(self.names), self._order_seed)]

    def learn(self, images: Tensor, labels: Tensor) -> tuple[str, float]:
        """Make a step of the subnet whose turn it is."""
        subnet = self.subnet(self.steps)
        with self.supernet.entered(subnet) as path:
            loss = F.cross_entropy(self.networks(images, path), labels)
        self._note(subnet)
        return f" of subnet {subnet}", self.update(loss)

    def learnt(self, context: Context) -> None:
        """Score all subnets after each of the last steps of the schedule."""
        total = self.task.schedule.steps
        if total - self.task.options.dense_rows < self.steps <= total:
            found = self.accuracies("validation", context)
            self.rows.add(self.steps, self.subnet(self.steps - 1), found)

    def before_step(self) -> None:
        """Let operations that the step does not use decay, if they are to."""
        if self.task.options.inactive == "decays":
            give_zero_gradients(self._parameters, self._moving)

    def _note(self, subnet: str) -> None:
        if subnet not in self._trained:
            self._trained.add(subnet)
            self._moving.update(self.supernet.names(subnet).values() & self._parameters.keys())

    def accuracies(self, part: str, context: Context) -> dict[str, float]:
        """The accuracy of each scored subnet by name; NaN where outputs are not finite."""
        return self.accuracies_of(self.scored, part, context, self.task.options.statistics)

    def accuracies_of(
        self, names: Sequence[str], part: str, context: Context, statistics: Statistics
    ) -> dict[str, float]:
        """The accuracies of some subnets with the shared weights."""
        self.networks.eval()
        if statistics == "running":
            found = self._accuracies_together(names, part, context)
        else:  # which the subnets do not have in common
            found = {}
            for name in names:
                found[name] = self._accuracy(name, part, context.device, statistics)
                context.tick()  # not before: a snapshot needs the estimates that training keeps
        self.networks.train()
        return found

    @torch.no_grad()
    def _accuracies_together(
        self, names: Sequence[str], part: str, context: Context
    ) -> dict[str, float]:
        tallies = {name: Tally() for name in names}
        for images, labels in self.task.scored(part, context.device):
            with computed_once(self.supernet, images):
                for name, tally in tallies.items():
                    with self.supernet.entered(name) as path:
                        tally.add(self.networks(images, path), labels)
                    context.tick()
        return {name: tally.accuracy() for name, tally in tallies.items()}

    def _accuracy(self, name: str, part: str, device: str, statistics: Statistics) -> float:
        with self.supernet.entered(name) as path:

            def run(images: Tensor) -> Tensor:
                logits: Tensor = self.networks(images, path)
                return logits

            with self.scoring_as(path, statistics):
                return accuracy(run, self.task.scored(part, device))

    def scoring_as(self, run: Traversal, statistics: Statistics) -> AbstractContextManager[None]:
        """Let normalisation use these statistics while a subnet, run so, is scored."""
        batches = self.task.batches(str(self.device))
        return scoring(
            self.networks,
            statistics,
            lambda images: self.networks(images, run),
            lambda: batches.some(self.task.options.recalibration_batches),
        )

    def evaluate(self, context: Context) -> Evaluation:
        """The mean accuracy of the subnets, and that of each as a metric.

        On the validation images, on the test half if final.  A subnet whose outputs are not finite
        has no accuracy, and counts as 0 in the mean.
        """
        self.move(context.device)
        found = self.accuracies("test" if context.final else "validation", context)
        finite = [value for value in found.values() if math.isfinite(value)]
        score = sum(finite) / len(found) if finite else math.nan
        metrics = {f"{SUBNET}{name}": value for name, value in found.items()}
        return Evaluation(score, metrics | unseen(self.task, context) | self._cost(context))

    def _cost(self, context: Context) -> Metrics:
        """What this job has cost: its steps, rows, and this evaluation.

        A subnet counts as a whole network wherever it is scored, although what several have in
        common is computed once.
        """
        options = self.task.options
        if not options.counts_cost():
            return {}
        if self._passes is None:
            self._passes = self.task.pass_costs(joint(list(self.supernet.subnets.values())))
        passes, subnets = self._passes, self.supernet.subnets
        images = self.task.images("validation")
        if options.statistics == "recalibrated":
            batches = self.task.batches(context.device).some(options.recalibration_batches)
            images += sum(map(len, batches))
        once = images * sum(passes.path(subnets[name]) for name in self.scored)
        total = self.task.schedule.steps
        rows = [s for s in self.job_steps if total - options.dense_rows <= s < total]
        return self.spent(
            context, lambda step: passes.path(subnets[self.subnet(step)]), once * (1 + len(rows))
        )

    def state(self) -> State:
        """Everything that is trained, the rows of accuracies, and what goes on."""
        state = super().state()
        state.extra = self.rows.tensors()
        state.info |= {_ORDER: self._order_seed, _SUBNETS: list(self.scored)}
        return state

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        super().load(state)
        seed = state.info.get(_ORDER, self._order_seed)
        assert isinstance(seed, int), "written by `state`"
        self._order_seed = seed
        self.rows = Rows.of(self.scored, state.extra)
        self._trained, self._moving = set(), set()
        if self.task.options.inactive == "decays":
            for step in range(self.steps):
                if len(self._trained) == len(self.names):
                    break
                self._note(self.subnet(step))
