"""What a step does to operations that its subnet does not use.

`frozen` leaves them as they are.  `decays` is what published results were made with, as PyTorch was
then: an operation that was trained once has a gradient of zero from there on, so that weight decay
and momentum move it at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor

Inactive = Literal["frozen", "decays"]


def give_zero_gradients(parameters: Mapping[str, Tensor], trained: Iterable[str]) -> None:
    """Give a gradient of zero to parameters that have none.

    Args:
        parameters: all parameters by name, after a backward pass.
        trained: names of those that have been trained at least once.
    """
    for name in trained:
        parameter = parameters[name]
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
