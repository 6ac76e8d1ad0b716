"""Optimiser moments by parameter name, so that they survive a change of architecture.

Torch numbers the state of an optimiser by the position of the parameter: one layer more and
everything behind it is lost or, worse, attached to the wrong parameter.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer


def moments(optimizer: Optimizer, named_parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All state of the optimiser as "<parameter name>/<moment>", aliasing its tensors.

    Raises `ValueError` for an optimiser that keeps anything but tensors (LBFGS).
    """
    found = {}
    for name, parameter in named_parameters.items():
        for moment, value in optimizer.state.get(parameter, {}).items():
            if value is None:
                continue
            if not isinstance(value, Tensor):
                raise ValueError(
                    f"{type(optimizer).__name__} keeps {moment!r} of {name!r} as a "
                    f"{type(value).__name__}; only optimisers whose state is tensors can be resumed"
                )
            found[f"{name}/{moment}"] = value
    return found


def load_moments(
    optimizer: Optimizer, named_parameters: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    """Replace all state of the optimiser by copies of what `moments` once gave.

    A parameter without moments starts fresh; moments of other parameters are ignored.  Moments
    move to the device and into the memory format of their parameter.
    """
    by_parameter: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, moment = key.rpartition("/")
        by_parameter.setdefault(name, {})[moment] = tensor.clone()
    position = {p: i for i, p in enumerate(_parameters(optimizer))}
    packed = {
        position[parameter]: by_parameter[name]
        for name, parameter in named_parameters.items()
        if name in by_parameter and parameter in position
    }
    # Torch's own loader knows which moments follow the parameter's device and type.
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": packed, "param_groups": groups})
    # Optimisers make moments in the memory format of the parameter, and their kernels may round,
    # or even pair elements, by the order in memory: so must these be.
    for parameter, state in optimizer.state.items():
        for moment, tensor in state.items():
            if tensor.shape == parameter.shape and tensor.stride() != parameter.stride():
                state[moment] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
