"""A task some of whose options cannot work on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pbtnas.search import SearchSpace, layer
from pbtnas.tasks.supervised import Split, SupervisedTask


class Hungry(nn.Linear):
    """Needs more memory than there is."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.empty(1 << 46, device=x.device).sum()


class Astray(nn.Linear):
    """Reads beyond the end of a table, which a kernel asserts."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, torch.full((8,), 99, device=x.device)]


LAYERS = {"linear": nn.Linear, "hungry": Hungry, "astray": Astray}


class Net(nn.Module):
    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        self.hidden = LAYERS[choices["hidden"]](4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(self.hidden(x)))
        return out


class Planted(SupervisedTask):
    """Which side of a plane is a point on?"""

    space = SearchSpace([layer("hidden", tuple(LAYERS))])
    batch_size = 8

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return Net(choices)

    def data(self) -> Split:
        x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
        y = (x.sum(dim=1) > 0).long()
        return Split(x[:40], y[:40], x[40:], y[40:])
