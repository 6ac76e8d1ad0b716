"""Multiply-adds of running a supernet on an image, from its layers: no clock is asked.

Counted are convolutions and linear layers, without biases; nothing that works on single elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pbtnas.models.edges import Edge, Traversal
from pbtnas.search.space import Architecture
from pbtnas.supernet.network import Path, Sampled, present
from pbtnas.supernet.relaxation import Partial

TRAINING = 3
"""Forward passes that a forward and a backward pass count as."""


@dataclass(frozen=True)
class PassCosts:
    """Multiply-adds of a forward pass of one image.

    Args:
        fixed: of all layers that are not chosen.
        operations: of the operations of a variable in all cells, by variable and option.
    """

    fixed: int
    operations: Mapping[tuple[int, int], int]

    def path(self, architecture: Architecture) -> int:
        """Of one subnet."""
        return self.fixed + sum(self.operations[choice] for choice in enumerate(architecture))

    def mixed(self) -> int:
        """Of all operations."""
        return self.fixed + sum(self.operations.values())

    def of(self, traversal: Traversal) -> int:
        """Of a pass that is run so."""
        match traversal:
            case Path(architecture):
                return self.path(architecture)
            case Sampled(weights):
                return self.path(tuple(weights.argmax(dim=1).tolist()))
            case Partial(inner):
                return self.of(inner)
            case _:
                return self.mixed()


@torch.no_grad()
def pass_costs(network: nn.Module, side: int, parts: int = 1) -> PassCosts:
    """Those of a supernet whose edges give outputs of the shapes of their inputs.

    Args:
        network: a supernet on the CPU, called with images and a traversal; left in evaluation mode.
        side: pixels a side of its images.
        parts: K of `Partial`.
    """
    counted = 0
    operations: dict[tuple[int, int], int] = {}

    def note(layer: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal counted
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        counted += output.numel() * layer.weight[0].numel()

    def count(edge: Edge, x: Tensor) -> Tensor:
        nonlocal counted
        for option in present(edge):
            before, choice = counted, (edge.variable, option)
            edge.operation(option)(x)
            operations[choice] = operations.get(choice, 0) + counted - before
            counted = before
        return x

    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    try:
        network.eval()(torch.zeros(1, 3, side, side), Partial(count, parts))
    finally:
        for hook in hooks:
            hook.remove()
    return PassCosts(counted, operations)
