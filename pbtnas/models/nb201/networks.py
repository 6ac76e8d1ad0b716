"""The networks of NAS-Bench-201 and the space itself.

A cell has the nodes 0 to 3; each sums its edges from all nodes before it, and all cells of a
network make the same choices.  There are three stages of cells, the channels doubled and the side
halved between them.  The same skeleton is a network alone and a supernet, as in `models.cell64`.

Shapes: B images, S side, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.models.edges import Candidates, Edge, Traversal, alone
from pbtnas.models.nb201 import text
from pbtnas.models.nb201.operations import NormalisedConv, operation
from pbtnas.models.nb201.text import EDGES, OPERATIONS
from pbtnas.search.space import Architecture, SearchSpace, Variable

STAGES = 3


@dataclass(frozen=True, kw_only=True)
class Nb201Sizes:
    """What is not searched; the defaults are published.

    Args:
        width: channels of the first stage.
        cells: cells of each of the three stages.
        classes: classes of images.
        bn_momentum: weight of a batch in running statistics.
        affine: whether normalisation in cells has weights, and convolutions there no bias: as
            networks were trained alone, but not as supernets were.
    """

    width: int = 16
    cells: int = 5
    classes: int = 10
    bn_momentum: float = 0.1
    affine: bool = True
    parts: int = 1

    def space(self) -> SearchSpace:
        """Six variables of five operations; each owns its edge in every cell."""
        return nb201_space(self.cells)

    def network(self, candidates: Candidates) -> nn.Module:
        """A network that has the operations of these options."""
        return Nb201(self, candidates)

    def nodes(self) -> tuple[int, ...]:
        """The node that the edge of each variable enters."""
        return 1, 2, 2, 3, 3, 3

    def name(self, architecture: Architecture) -> str:
        """The six digits of the published table."""
        return text.digits(architecture)


def nb201_space(cells: int = 5) -> SearchSpace:
    """Six variables of five operations, for so many cells in each stage."""
    return SearchSpace(
        Variable(edge, OPERATIONS, tuple(f"cells.{i}.{edge}" for i in range(STAGES * cells)))
        for edge in EDGES
    )


class Nb201(nn.Module):
    """Stem, three stages of cells, mean over the image, a linear head.

    Args:
        sizes: what is not searched.
        candidates: the options of each variable whose operations it has.
    """

    def __init__(self, sizes: Nb201Sizes, candidates: Candidates) -> None:
        super().__init__()
        self.stage_cells = sizes.cells
        self.stem = Stem(sizes.width, sizes.bn_momentum)
        self.cells = nn.ModuleList()
        self.reductions = nn.ModuleList()
        for stage in range(STAGES):
            width = sizes.width * 2**stage
            if stage:
                self.reductions.append(Reduction(width // 2, sizes.bn_momentum))
            self.cells.extend(Cell(width, sizes, candidates) for _ in range(sizes.cells))
        self.norm = nn.BatchNorm2d(width, momentum=sizes.bn_momentum)
        self.head = nn.Linear(width, sizes.classes)

    def forward(self, images: Tensor, traversal: Traversal = alone) -> Tensor:
        """Normalised images [B, 3, S, S] to logits [B, classes]."""
        x = self.stem(images)
        for number, cell in enumerate(self.cells):
            stage, place = divmod(number, self.stage_cells)
            if stage and not place:
                x = self.reductions[stage - 1](x)
            x = cell(x, traversal)
        x = F.relu(self.norm(x))
        # Not adaptive pooling, which has no deterministic gradient on GPUs.
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Stem(nn.Module):
    """A normalised convolution."""

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width, momentum=momentum)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, C, S, S]."""
        x: Tensor = self.norm1(self.conv1(images))
        return x


class Reduction(nn.Module):
    """The residual block between stages: twice the channels, half the side."""

    def __init__(self, inputs: int, momentum: float) -> None:
        super().__init__()
        outputs = 2 * inputs
        # Affine in supernets too: the block is not searched.
        self.first = NormalisedConv(inputs, outputs, 3, momentum, affine=True, stride=2)
        self.second = NormalisedConv(outputs, outputs, 3, momentum, affine=True)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, S, S] to [B, 2C, S / 2, S / 2]; an odd side is rounded up."""
        halved = F.avg_pool2d(x, 2, ceil_mode=True)
        reduced: Tensor = self.shortcut(halved) + self.second(self.first(x))
        return reduced


class Cell(nn.Module):
    """Four nodes, the first of which is the input and the last the output; six edges."""

    def __init__(self, width: int, sizes: Nb201Sizes, candidates: Candidates) -> None:
        super().__init__()
        self.e01, self.e02, self.e12, self.e03, self.e13, self.e23 = (
            _edge(variable, width, sizes, options) for variable, options in enumerate(candidates)
        )

    def forward(self, x: Tensor, traversal: Traversal) -> Tensor:
        """[B, C, S, S] to [B, C, S, S]."""
        x1 = traversal(self.e01, x)
        x2 = traversal(self.e02, x) + traversal(self.e12, x1)
        x3: Tensor = traversal(self.e03, x) + traversal(self.e13, x1) + traversal(self.e23, x2)
        return x3


def _edge(variable: int, width: int, sizes: Nb201Sizes, options: Sequence[int]) -> Edge:
    operations = {
        option: operation(option, width // sizes.parts, sizes.bn_momentum, affine=sizes.affine)
        for option in options
    }
    return Edge(variable, OPERATIONS, operations)
