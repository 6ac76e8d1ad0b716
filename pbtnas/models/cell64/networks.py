"""The networks of the space of 64 and the space itself.

A cell has two nodes, x1 = O01(x0) and x2 = O02(x0) + O12(x1), and all cells of a network make the
same choices.  The same skeleton is a network alone and a supernet: it has the operations that it
is told to have, and names its tensors by edge and operation (`cells.0.e01.max_pool_3x3.norm...`).

Shapes: B images, S side, C = `width` channels, s = `stem_factor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.models.cell64.operations import KERNELS, names, norm, operation
from pbtnas.models.edges import Candidates, Edge, Traversal, alone
from pbtnas.search.population import subnet_name
from pbtnas.search.space import Architecture, SearchSpace, Variable

EDGES = ("e01", "e02", "e12")
"""The edges of a cell, in the order of the variables; e01 leads from x0 to x1."""

INPUT_LAYER = "stem.conv1"


@dataclass(frozen=True, kw_only=True)
class Cell64Sizes:
    """What is not searched; the defaults are published.

    Args:
        width: channels inside of a cell, which returns twice as many.
        cells: number of cells.
        stem_factor: channels of the stem, as a multiple of `width`.
        classes: classes of images.
        kernels: sides of the kernels of the four operations.
        bn_momentum: weight of a batch in running statistics.
        parts: operations have the width of one of so many parts of the channels inside of a cell.
    """

    width: int = 16
    cells: int = 4
    stem_factor: int = 3
    classes: int = 10
    kernels: tuple[int, ...] = KERNELS
    bn_momentum: float = 0.4
    parts: int = 1

    def space(self) -> SearchSpace:
        """Three variables of four operations; each owns its edge in every cell."""
        return cell64_space(self.cells, self.kernels)

    def network(self, candidates: Candidates) -> nn.Module:
        """A network that has the operations of these options."""
        return Cell64(self, candidates)

    def nodes(self) -> tuple[int, ...]:
        """The node that the edge of each variable enters."""
        return 1, 2, 2

    def name(self, architecture: Architecture) -> str:
        """Three digits, counted from 1 as in the paper."""
        return subnet_name(architecture)


def cell64_space(cells: int = 4, kernels: Sequence[int] = KERNELS) -> SearchSpace:
    """Three variables of four operations; each owns its edge in every cell."""
    return SearchSpace(
        Variable(edge, names(kernels), tuple(f"cells.{i}.{edge}" for i in range(cells)))
        for edge in EDGES
    )


class Cell64(nn.Module):
    """Stem, cells, mean over the image, a linear head.

    Args:
        sizes: what is not searched.
        candidates: the options of each variable whose operations it has.
    """

    def __init__(self, sizes: Cell64Sizes, candidates: Candidates) -> None:
        super().__init__()
        width = sizes.stem_factor * sizes.width
        self.stem = Stem(width, sizes.bn_momentum)
        self.cells = nn.ModuleList()
        for _ in range(sizes.cells):
            self.cells.append(Cell(width, sizes, candidates))
            width = 2 * sizes.width
        self.head = nn.Linear(width, sizes.classes)

    def forward(self, images: Tensor, traversal: Traversal = alone) -> Tensor:
        """Normalised images [B, 3, S, S] to logits [B, classes]."""
        x = self.stem(images)
        for cell in self.cells:
            x = cell(x, traversal)
        # Not adaptive pooling, which has no deterministic gradient on GPUs.
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Stem(nn.Module):
    """Two convolutions, each normalised, without a nonlinearity."""

    def __init__(self, width: int, momentum: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.norm1 = norm(width, momentum, affine=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = norm(width, momentum, affine=True)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, sC, S, S]."""
        x: Tensor = self.norm2(self.conv2(self.norm1(self.conv1(images))))
        return x


class Cell(nn.Module):
    """An entry that brings its input to C channels, and three edges."""

    def __init__(self, inputs: int, sizes: Cell64Sizes, candidates: Candidates) -> None:
        super().__init__()
        self.entry = Entry(inputs, sizes.width, sizes.bn_momentum)
        self.e01, self.e02, self.e12 = (
            _edge(variable, sizes, options) for variable, options in enumerate(candidates)
        )

    def forward(self, x: Tensor, traversal: Traversal) -> Tensor:
        """[B, inputs, S, S] to [B, 2C, S, S]."""
        x0 = self.entry(x)
        x1 = traversal(self.e01, x0)
        x2 = traversal(self.e02, x0) + traversal(self.e12, x1)
        return torch.cat([x1, x2], dim=1)


class Entry(nn.Module):
    """Rectified, mixed across channels, normalised."""

    def __init__(self, inputs: int, width: int, momentum: float) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(inputs, width, 1, bias=False)
        self.norm = norm(width, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, S, S] to [B, C, S, S]."""
        entered: Tensor = self.norm(self.pointwise(F.relu(x)))
        return entered


def _edge(variable: int, sizes: Cell64Sizes, options: Sequence[int]) -> Edge:
    width = sizes.width // sizes.parts
    operations = {
        option: operation(option, width, sizes.kernels, sizes.bn_momentum) for option in options
    }
    return Edge(variable, names(sizes.kernels), operations)
