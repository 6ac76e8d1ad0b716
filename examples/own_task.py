"""Search your own network: which operation at two positions, and which activation.

pbtnas task check --task examples/own_task.py:OwnTask
pbtnas run configs/own_task.yaml runs/own --workers 2 --task examples/own_task.py:OwnTask
"""

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pbtnas.search import SearchSpace, layer, switch
from pbtnas.tasks.supervised import Split, SupervisedTask

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sine": torch.sin}


class Skip(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class OwnNet(nn.Module):
    """Every option takes and gives 32 numbers: what surrounds it never changes its shape."""

    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        options = {"nothing": nn.Identity, "linear": nn.Linear, "skip": Skip}
        self.stem = nn.Linear(64, 32)
        self.first = options[choices["first"]](32, 32)
        self.second = options[choices["second"]](32, 32)
        self.head = nn.Linear(32, 10)
        self.activation = ACTIVATIONS[choices["activation"]]

    def forward(self, x: Tensor) -> Tensor:
        for module in (self.stem, self.first, self.second):
            x = self.activation(module(x))
        outputs: Tensor = self.head(x)
        return outputs


class OwnTask(SupervisedTask):
    space = SearchSpace(
        [
            layer("first", ("nothing", "linear", "skip")),  # owns the weights of OwnNet.first
            layer("second", ("nothing", "linear", "skip")),
            switch("activation", tuple(ACTIVATIONS)),  # owns no weights
        ]
    )

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return OwnNet(choices)

    def data(self) -> Split:
        x, y = (torch.from_numpy(a) for a in load_digits(return_X_y=True))
        x = x.float() / 16
        return Split((x[:1400], y[:1400]), (x[1400:1600], y[1400:1600]), (x[1600:], y[1600:]))
