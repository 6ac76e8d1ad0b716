"""An edge of a cell: the operations that one variable chooses from, and how a network uses them.

A network that is trained alone has the chosen operation of each edge.  A supernet has several,
and a traversal says what an edge computes of them.  The tensors have the same names in both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from pbtnas.search.space import Architecture, SearchSpace

Candidates = Sequence[Sequence[int]]
"""For each variable of a space the options whose operations a network has, ascending."""


class Edge(nn.ModuleDict):
    """The operations of one variable that a network has, by option.

    Args:
        variable: index of the variable in the space.
        options: names of all its options; an operation is the module of that name.
        operations: operations by index of their option.
    """

    def __init__(
        self, variable: int, options: Sequence[str], operations: Mapping[int, nn.Module]
    ) -> None:
        super().__init__({options[option]: module for option, module in operations.items()})
        self.variable = variable
        self.options = tuple(options)

    def operation(self, option: int) -> nn.Module:
        """The operation of an option.  Raises `KeyError` if the network does not have it."""
        return self[self.options[option]]


Traversal = Callable[[Edge, Tensor], Tensor]
"""What an edge makes of its input."""


def alone(edge: Edge, x: Tensor) -> Tensor:
    """The traversal of a network that has one operation for each edge."""
    (operation,) = edge.values()
    output: Tensor = operation(x)
    return output


class Sizes(Protocol):
    """What is not searched of the networks of a space, and what follows from it."""

    def space(self) -> SearchSpace:
        """The space whose architectures these networks have."""

    def network(self, candidates: Candidates) -> nn.Module:
        """A network that has the operations of these options.

        It is called with normalised images [B, 3, S, S] and a traversal, which it calls with each
        edge and its input; without a traversal it is a network alone.
        """

    def nodes(self) -> tuple[int, ...]:
        """The node of a cell that the edge of each variable enters."""

    def name(self, architecture: Architecture) -> str:
        """What an architecture is called, as the space's authors call it."""


def only(architecture: Sequence[int]) -> Candidates:
    """The candidates of a network that is trained alone."""
    return [(option,) for option in architecture]


def joint(architectures: Sequence[Sequence[int]]) -> Candidates:
    """The candidates of a network that spans all these architectures."""
    return [sorted(set(options)) for options in zip(*architectures, strict=True)]
