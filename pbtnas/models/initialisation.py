"""Initialises every tensor of a network from a stream of its own, named by the tensor.

So the same seed gives equal weights to tensors of the same name in networks of different
architectures: in a supernet, and in each of its subnets trained alone.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from pbtnas.search.seeding import derive


@torch.no_grad()
def initialise(network: nn.Module, seed: int) -> None:
    """Draw all weights and biases anew, with the bounds that torch uses for layers of its own.

    Weights of convolutions and linear layers, and the biases beside them, are uniform within
    1 / sqrt(inputs of a unit); normalisation starts as the identity.  Buffers stay as they are.
    """
    for path, module in network.named_modules():
        own = dict(module.named_parameters(recurse=False))
        weight = own.get("weight")
        if weight is None:
            continue
        if weight.dim() < 2:  # normalisation
            nn.init.ones_(weight)
            nn.init.zeros_(own["bias"])
            continue
        bound = 1 / math.sqrt(weight[0].numel())
        for name, parameter in own.items():
            stream = derive(seed, f"initial {path}.{name}")
            parameter.uniform_(-bound, bound, generator=torch.Generator().manual_seed(stream))
