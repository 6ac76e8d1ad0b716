"""Model soups: one network from the average of several (paper, section 5.5).

(Wortsman et al., "Model soups", 2022.)  Members of one lineage lie close enough to each other
for the average of their weights to be a network at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pbtnas.state import State

_AVERAGED = ("live", "buffers", "averaged")
_SINGULAR = re.compile(r"(\w*_)?[uv]")  # the last part of their names, torch's and ours


@torch.no_grad()
def average(best: State, others: Iterable[State], modules: Sequence[str] = ()) -> State:
    """The uniform mean of states of the same architecture, tensor by tensor.

    Parameters, buffers and averaged copies (EMA generator, target critic) are averaged, in
    double precision.  Integers, estimates of singular vectors (the mean of two directions is
    none), moments, `extra` and `info` are the best's.

    Args:
        best: the best member, whose tensors are kept where nothing is averaged; not changed.
        others: the other members, each read once, so that they need not fit into memory.
        modules: dotted paths of the modules to average; empty for all.

    Raises `ValueError` naming the tensor when one of the others lacks it or has it in another
    shape.
    """
    sums = {
        (section, name): tensor.to(torch.promote_types(tensor.dtype, torch.float64), copy=True)
        for section in _AVERAGED
        for name, tensor in getattr(best, section).items()
        if _is_averaged(section, name, tensor, modules)
    }
    count = 1
    for other in others:
        count += 1
        for (section, name), total in sums.items():
            tensor = getattr(other, section).get(name)
            if tensor is None or tensor.shape != total.shape:
                found = "missing" if tensor is None else f"of shape {list(tensor.shape)}"
                raise ValueError(
                    f"the {section} tensor {name!r} has shape {list(total.shape)} in the best "
                    f"member, but is {found} in one to be averaged with it"
                )
            total += tensor
    soup = replace(best, **{section: dict(getattr(best, section)) for section in _AVERAGED})
    for (section, name), total in sums.items():
        tensors: dict[str, Tensor] = getattr(soup, section)
        tensors[name] = (total / count).to(tensors[name].dtype)
    return soup


def _is_averaged(section: str, name: str, tensor: Tensor, modules: Sequence[str]) -> bool:
    if not (tensor.is_floating_point() or tensor.is_complex()):
        return False
    if section == "buffers" and _SINGULAR.fullmatch(name.rpartition(".")[2]):
        return False
    return not modules or any(name.startswith(f"{module}.") for module in modules)
