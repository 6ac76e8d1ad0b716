"""Writing a section of a `State` into the tensors of a network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


@torch.no_grad()
def fill(section: str, targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy `values` into `targets` in place, name by name.

    Raises `ValueError` naming the section and the tensor when one is missing, left over or of
    another shape; nothing was written then.
    """
    for name, target in targets.items():
        if name not in values:
            raise ValueError(f"the state lacks the {section} tensor {name!r}")
        if values[name].shape != target.shape:
            raise ValueError(
                f"the {section} tensor {name!r} has shape {list(values[name].shape)} in the "
                f"state, but {list(target.shape)} in this architecture"
            )
    left_over = sorted(set(values) - set(targets))
    if left_over:
        raise ValueError(f"this architecture has no {section} tensor {left_over[0]!r}")
    for name, target in targets.items():
        target.copy_(values[name])
