"""How a supernet is run: as one subnet, or with all operations of an edge mixed.

These are traversals: a network calls one with each edge and its input (`models.edges`).
Weights are [variables, options]; options that an edge does not have are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor, nn

from pbtnas.models.edges import Edge
from pbtnas.search.space import Architecture


@dataclass(frozen=True)
class Path:
    """One subnet: each edge uses the operation that the architecture chooses."""

    architecture: Architecture

    def __call__(self, edge: Edge, x: Tensor) -> Tensor:
        """The output of the chosen operation."""
        output: Tensor = edge.operation(self.architecture[edge.variable])(x)
        return output


@dataclass(frozen=True)
class Mixed:
    """All operations: each edge sums their outputs, weighted (DARTS)."""

    weights: Tensor

    def __call__(self, edge: Edge, x: Tensor) -> Tensor:
        """The weighted sum of all outputs."""
        weights = self.weights[edge.variable]
        outputs = [weights[option] * edge.operation(option)(x) for option in present(edge)]
        return _sum(outputs)


@dataclass(frozen=True)
class Sampled:
    """One subnet, drawn: each edge uses the operation of weight 1, times that weight (GDAS).

    Args:
        weights: one-hot rows in value; gradients flow to what they were made from.
        unchosen: whether the weights of the other operations, 0 in value, are added to the output,
            which gives them a gradient ("summed", as in the authors' code), or left out.
    """

    weights: Tensor
    unchosen: Literal["summed", "left out"] = "summed"

    def __call__(self, edge: Edge, x: Tensor) -> Tensor:
        """The output of the drawn operation."""
        weights = self.weights[edge.variable]
        drawn = self._drawn[edge.variable]
        output: Tensor = weights[drawn] * edge.operation(drawn)(x)
        if self.unchosen == "left out":
            return output
        others = [weights[option] for option in present(edge) if option != drawn]
        return _sum([output, *others])

    @cached_property
    def _drawn(self) -> list[int]:
        # Of all edges at once: each look at a tensor waits for the GPU.
        drawn: list[int] = self.weights.argmax(dim=1).tolist()
        return drawn


def present(edge: Edge) -> list[int]:
    """The options whose operations an edge has, ascending."""
    return [option for option, name in enumerate(edge.options) if name in edge]


class UsedTensors:
    """Which parameters and buffers of a network its subnets use.

    Args:
        network: the network as it is now, with the operations of several subnets.
    """

    def __init__(self, network: nn.Module) -> None:
        named = (*network.named_parameters(), *network.named_buffers())
        self.names = [name for name, _ in named]
        self._edges = [(path, e) for path, e in network.named_modules() if isinstance(e, Edge)]

    def by(self, architecture: Architecture) -> tuple[str, ...]:
        """The names of those that a subnet uses: what a network of it alone has."""
        idle = tuple(
            f"{path}.{name}."
            for path, edge in self._edges
            for name in edge
            if name != edge.options[architecture[edge.variable]]
        )
        return tuple(name for name in self.names if not name.startswith(idle))


def _sum(terms: list[Tensor]) -> Tensor:
    # From the first term, not from 0: a sum of one term is the term, bit by bit.
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
