"""A supernet of a space of your own: two convolutions, whose nine kernels share weights.

pbtnas run examples/own_supernet.yaml runs/own --task examples/own_supernet.py:Kernels --workers 1
"""

import torch
from torch import Tensor, nn

from pbtnas.models.edges import Candidates, Edge, Traversal, alone
from pbtnas.search import SearchSpace, layer
from pbtnas.tasks.weight_sharing import SupernetTask

KERNELS = ("k1", "k3", "k5")


def convolution(kernel: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 8, kernel, padding=kernel // 2), nn.BatchNorm2d(8))


class Network(nn.Module):
    def __init__(self, candidates: Candidates) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first, self.second = (
            Edge(variable, KERNELS, {i: convolution(2 * i + 1) for i in options})
            for variable, options in enumerate(candidates)
        )
        self.head = nn.Linear(8, 3)

    def forward(self, images: Tensor, traversal: Traversal = alone) -> Tensor:
        x = torch.relu(self.stem(images))
        for edge in (self.first, self.second):
            x = torch.relu(traversal(edge, x))  # not edge(x): the traversal chooses
        return self.head(x.mean((2, 3)))


class Kernels(SupernetTask):
    choices = SearchSpace([layer("first", KERNELS), layer("second", KERNELS)])

    def build(self, candidates: Candidates) -> nn.Module:
        return Network(candidates)

    def behind(self, cells: int, shared_head: bool) -> list[str]:
        behind = ["first", "second"][cells:]  # of sharing: prefix
        return behind if shared_head else [*behind, "head"]
