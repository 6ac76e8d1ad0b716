"""Initialises every tensor of a network from a stream of its own, named by the tensor.

So the same seed gives equal weights to tensors of the same name in networks of different
architectures: in a supernet, and in each of its subnets trained alone.  And a tensor can be
initialised without the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from pbtnas.search.seeding import derive

Fill = Callable[[Tensor], Tensor]
"""Writes initial values into a tensor on the CPU, and returns it."""


def initialise(network: nn.Module, seed: int) -> None:
    """Draw all weights and biases anew, with the bounds that torch uses for layers of its own.

    Weights of convolutions and linear layers, and the biases beside them, are uniform within
    1 / sqrt(inputs of a unit); normalisation starts as the identity.  Buffers stay as they are.
    """
    for _, parameter, fill in fills(network, seed):
        fill(parameter)


def fills(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Parameter, Fill]]:
    """How `initialise` fills each parameter, with its name; the network may be on any device."""
    for path, module in network.named_modules():
        own = dict(module.named_parameters(recurse=False))
        weight = own.get("weight")
        if weight is None:
            continue
        at = f"{path}." if path else ""
        if weight.dim() < 2:  # normalisation
            yield f"{at}weight", weight, nn.init.ones_
            yield f"{at}bias", own["bias"], nn.init.zeros_
            continue
        bound = 1 / math.sqrt(weight[0].numel())
        for name, parameter in own.items():
            stream = derive(seed, f"initial {path}.{name}")
            yield f"{at}{name}", parameter, partial(_uniform, bound=bound, stream=stream)


@torch.no_grad()
def _uniform(tensor: Tensor, *, bound: float, stream: int) -> Tensor:
    return tensor.uniform_(-bound, bound, generator=torch.Generator().manual_seed(stream))
