"""Tasks whose members cannot work on a GPU, or not while a neighbour does."""

from __future__ import annotations

import time
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


class Wide(nn.Linear):
    """Holds three fifths of the device's memory for a moment, in its first batch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.held = False

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda and not self.held:
            self.held = True
            total = torch.cuda.get_device_properties(x.device).total_memory
            room = torch.empty(total * 3 // 5, dtype=torch.uint8, device=x.device)
            time.sleep(2)
            del room
        return super().forward(x)


class WideNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = Wide(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(torch.relu(self.hidden(x)))
        return out


class Neighbours(Planted):
    """Any member fits on the GPU, and no two of them do."""

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        return WideNet()
