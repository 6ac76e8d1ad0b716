"""A tiny task that keeps the contract, and ways to break it."""

from __future__ import annotations

import math
import random
import secrets
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pbtnas.search import Architecture, SearchSpace, layer, switch
from pbtnas.state import State
from pbtnas.tasks.base import Context, Evaluation, Preparation, Trainee
from pbtnas.tasks.supervised import Split, SupervisedTask, SupervisedTrainee


class Net(nn.Module):
    """Two layers with dropout (global RNG) and batch norm (buffers)."""

    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        hidden = {"linear": nn.Linear(4, 4), "nothing": nn.Identity()}[choices["hidden"]]
        self.hidden = hidden
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout(0.2)
        self.activation = {"relu": torch.relu, "tanh": torch.tanh}[choices["activation"]]
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 4] to [B, 2]."""
        outputs: Tensor = self.head(self.dropout(self.norm(self.activation(self.hidden(x)))))
        return outputs


class TinyTask(SupervisedTask):
    """Which side of a plane is a point on?"""

    space = SearchSpace(
        [layer("hidden", ("linear", "nothing")), switch("activation", ("relu", "tanh"))]
    )
    batch_size = 8

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return Net(choices)

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=1e-2)

    def data(self) -> Split:
        x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        y = (x.sum(dim=1) > 0).long()
        return Split(x[:40], y[:40], x[40:], y[40:])


class Wrapped(TinyTask):
    """`TinyTask` with another trainee."""

    trainee: type[SupervisedTrainee]

    def create(self, architecture: Architecture, seed: int) -> SupervisedTrainee:
        return self.trainee(self, architecture, seed)


class UnseededTask(TinyTask):
    """Initialises from whatever the global random numbers are."""

    def create(self, architecture: Architecture, seed: int) -> SupervisedTrainee:
        return super().create(architecture, torch.randint(1000, ()).item() + seed)


class ForgetfulTask(Wrapped):
    """Its state lacks the optimiser's moments."""

    class trainee(SupervisedTrainee):
        def state(self) -> State:
            return replace(super().state(), optimizer={})


class RestartingTask(Wrapped):
    """Does not go on behind `context.done`."""

    class trainee(SupervisedTrainee):
        def train(self, epochs: int, context: Context) -> None:
            context.done = 0
            super().train(epochs, context)


class SilentTask(Wrapped):
    """Never says how far it is."""

    class trainee(SupervisedTrainee):
        def train(self, epochs: int, context: Context) -> None:
            tick = context.tick
            context.tick = lambda done=None: tick()  # type: ignore[method-assign]
            super().train(epochs, context)


class LearnsWhenJudgedTask(Wrapped):
    """An evaluation in training mode moves the running statistics."""

    class trainee(SupervisedTrainee):
        def evaluate(self, context: Context) -> Evaluation:
            self.network.train()
            for x, _ in self._task.test_batches():
                self.network(x)
            return super().evaluate(context)


class LenientTask(Wrapped):
    """Loads what fits and ignores the rest."""

    class trainee(SupervisedTrainee):
        def load(self, state: State) -> None:
            self.network.load_state_dict(dict(state.live), strict=False)


class AliasingTask(Wrapped):
    """Trains on inside the tensors of the state that it was given."""

    class trainee(SupervisedTrainee):
        def load(self, state: State) -> None:
            super().load(state)
            for name, parameter in self.network.named_parameters():
                parameter.data = state.live[name]


class ProudTask(TinyTask):
    """Finds a number good whose weights are NaN."""

    def create(self, architecture: Architecture, seed: int) -> Trainee:  # type: ignore[override]
        class Proud(SupervisedTrainee):
            def evaluate(self, context: Context) -> Evaluation:
                evaluation = super().evaluate(context)
                return replace(evaluation, score=0.5 if math.isnan(evaluation.score) else 1.0)

        return Proud(self, architecture, seed)


class RenamingTask(TinyTask):
    """Its switch renames a weight."""

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        net = super().build(choices)
        if choices["activation"] == "tanh":
            net.out, net.head = net.head, nn.Identity()
            net.forward = lambda x: net.out(net.hidden(x))  # type: ignore[method-assign]
        return net


class TypoTask(TinyTask):
    """A variable owns a module that does not exist."""

    space = SearchSpace([layer("hiden", ("linear", "nothing")), *TinyTask.space.variables[1:]])

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return super().build({"hidden": choices["hiden"], **choices})


class ScatteringTask(TinyTask):
    """Its loss needs an operation that may give other bits each time."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        places = torch.zeros(1, dtype=torch.int64)
        return super().loss(outputs, targets) + torch.zeros(2).put_(places, torch.ones(1)).sum()


class WideningTask(TinyTask):
    """An option changes the interface of its position."""

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        net = super().build(choices)
        if choices["hidden"] == "linear":
            net.hidden = nn.Linear(4, 5)
        return net


class LookingTask(TinyTask):
    """Its networks look at their numbers, so that what they cost cannot be counted on shapes."""

    def forward(self, network: nn.Module, x: Tensor) -> Tensor:
        return network(x / x.abs().max().item())


class LeavingTask(TinyTask):
    """It ends the process, as a script does."""

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        sys.exit(0)


class RandomProductTask(TinyTask):
    """Its product is another one whenever it is made."""

    def prepare(self, run: Preparation) -> None:
        super().prepare(run)
        run.lookup("token") or run.publish("token", secrets.token_bytes(8))


class ThreadedProductTask(TinyTask):
    """Its product is a sum whose order depends on the number of threads."""

    def prepare(self, run: Preparation) -> None:
        super().prepare(run)
        numbers = torch.rand(1_000_001, generator=torch.Generator().manual_seed(0))
        run.lookup("sum") or run.publish("sum", struct.pack("<f", numbers.sum().item()))


class GlobalNoiseTask(TinyTask):
    """Its product comes from the global generators of torch, numpy and random."""

    def prepare(self, run: Preparation) -> None:
        super().prepare(run)
        noise = [torch.rand(()).item(), np.random.random(), random.random()]  # noqa: NPY002
        run.lookup("noise") or run.publish("noise", struct.pack("<3d", *noise))
