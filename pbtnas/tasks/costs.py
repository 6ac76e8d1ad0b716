"""Counts what a trained network costs where it is used: its parameters and multiply-adds.

Both are functions of the architecture alone: nothing is measured by a clock, and no data is looked
at.  They enter a result only where an objective of the run asks for them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection

import torch
from torch import nn

from pbtnas.tasks.faults import place_of
from pbtnas.tasks.findings import number_of
from pbtnas.tasks.optional import SaysCosts, parameters_of


def multiply_adds(network: nn.Module, use: Callable[[nn.Module], object]) -> float:
    """The multiply-adds of one use of a network: those of its convolutions, matrix products and
    attention; of nothing that works on single elements.

    Args:
        network: Network, which stays as it is.
        use: Calls the network that it is given, which is on the device "meta" as its inputs
            have to be: there are shapes, and no numbers.
    """
    from torch.utils.flop_counter import FlopCounterMode  # takes longer to import than many jobs

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        use(_without_numbers(network).eval())
    return float(counter.get_total_flops() / 2)


def costs_of(trainee: object, wanted: Collection[str]) -> dict[str, float]:
    """Those of the wanted numbers that a trainee says, or that can be counted.

    Raises `TaskFault` for what is no number, and what the trainee raises.
    """
    found: dict[str, float] = {}
    if isinstance(trainee, SaysCosts):
        place = place_of(trainee.costs)
        for name, value in trainee.costs().items():
            if name in wanted:
                found[name] = number_of(value, f"{place}: {name!r} of costs()")
    if "parameters" in wanted and "parameters" not in found:
        count = parameters_of(trainee)
        found |= {} if count is None else {"parameters": float(count)}
    return found


def _without_numbers(network: nn.Module) -> nn.Module:
    """A copy on the device "meta"; tensors that modules share are shared there too."""
    memo: dict[int, object] = {}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), requires_grad=False)
    for buffer in network.buffers():
        memo[id(buffer)] = buffer.detach().to("meta")
    return copy.deepcopy(network, memo)
