"""What batch normalisation uses when a subnet is scored.

`running` are the estimates that training keeps, which all subnets that share them have moved;
`batch` those of the images being scored; `recalibrated` those of a few batches of training images,
which the subnet sees for this alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Statistics = Literal["running", "batch", "recalibrated"]

_ESTIMATES = ("running_mean", "running_var", "num_batches_tracked")


@contextmanager
def scoring(
    network: nn.Module,
    statistics: Statistics,
    run: Callable[[Tensor], object],
    batches: Callable[[], Iterable[Tensor]],
) -> Iterator[None]:
    """Let normalisation use these statistics, and give it its own estimates back after.

    Args:
        network: the network, in evaluation mode.
        statistics: what normalisation is to use.
        run: runs the network as the subnet that is scored.
        batches: makes the training images to recalibrate with.
    """
    if statistics == "running":
        yield
        return
    # Those of operations that the subnet does not use may have none at the moment.
    norms = [
        module
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module._buffers["running_mean"] is not None
    ]
    kept = [{name: norm._buffers[name] for name in _ESTIMATES} for norm in norms]
    momenta = [norm.momentum for norm in norms]
    try:
        if statistics == "recalibrated":
            _recalibrate(norms, run, batches())
        else:
            for norm in norms:
                # In evaluation mode it takes those of the batch when it has no others.
                norm._buffers["running_mean"] = norm._buffers["running_var"] = None
        yield
    finally:
        for norm, estimates, momentum in zip(norms, kept, momenta, strict=True):
            norm._buffers.update(estimates)
            norm.momentum = momentum
            norm.training = False


def _recalibrate(
    norms: Iterable[_BatchNorm], run: Callable[[Tensor], object], batches: Iterable[Tensor]
) -> None:
    """Give norms new estimates: the mean over batches, each of which counts alike."""
    for norm in norms:
        for name in _ESTIMATES:
            estimate = norm._buffers[name]
            norm._buffers[name] = None if estimate is None else estimate.clone()
        norm.reset_running_stats()
        norm.momentum = None
        norm.training = True
    with torch.no_grad():
        for images in batches:
            run(images)
    for norm in norms:
        norm.training = False
