"""The four operations that an edge of the space of 64 chooses from.

All keep the number of channels and the side of their input.  Shapes: B images, C channels, S side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNELS = (3, 3, 5, 5)
"""Published sides of the kernels of the four operations, in their order."""


def norm(channels: int, momentum: float, *, affine: bool = False) -> nn.BatchNorm2d:
    """Batch normalisation; without weights inside of cells, as published."""
    return nn.BatchNorm2d(channels, momentum=momentum, affine=affine)


class MaxPool(nn.Module):
    """Normalised maximum over a window; it has no weights."""

    def __init__(self, channels: int, kernel: int, momentum: float) -> None:
        super().__init__()
        self.kernel = kernel
        self.norm = norm(channels, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, S, S] to [B, C, S, S]."""
        reach = self.kernel // 2
        if torch.is_grad_enabled():
            pooled = F.max_pool2d(x, self.kernel, stride=1, padding=reach)
        else:
            pooled = _maximum(_maximum(x, reach, dim=2), reach, dim=3)
        normalised: Tensor = self.norm(pooled)
        return normalised


def _maximum(x: Tensor, reach: int, dim: int) -> Tensor:
    """The maximum over a window along a dimension.

    Torch's pooling looks for the place of each maximum too, one number at a time on a processor;
    without gradients nobody wants it.
    """
    sides = (reach, reach) if dim == 3 else (0, 0, reach, reach)
    padded = F.pad(x, sides, value=-math.inf)
    windows = (padded.narrow(dim, start, x.shape[dim]) for start in range(2 * reach + 1))
    return reduce(torch.maximum, windows)


class SeparableConv(nn.Module):
    """Rectified, convolved channel by channel, mixed across channels, normalised."""

    def __init__(self, channels: int, kernel: int, momentum: float, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels,
            channels,
            kernel,
            padding=dilation * (kernel // 2),
            dilation=dilation,
            groups=channels,
            bias=False,
        )
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = norm(channels, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, S, S] to [B, C, S, S]."""
        convolved: Tensor = self.norm(self.pointwise(self.depthwise(F.relu(x))))
        return convolved


def names(kernels: Sequence[int] = KERNELS) -> tuple[str, ...]:
    """The options of a variable, which are the names of its operations."""
    pool, small, large, dilated = kernels
    return (
        f"max_pool_{pool}x{pool}",
        f"sep_conv_{small}x{small}",
        f"sep_conv_{large}x{large}",
        f"dil_conv_{dilated}x{dilated}",
    )


def operation(option: int, channels: int, kernels: Sequence[int], momentum: float) -> nn.Module:
    """A new operation of an option of a variable."""
    kernel = kernels[option]

    def separable() -> nn.Module:
        return SeparableConv(channels, kernel, momentum)

    make: Callable[[], nn.Module] = (
        lambda: MaxPool(channels, kernel, momentum),
        lambda: nn.Sequential(separable(), separable()),
        lambda: nn.Sequential(separable(), separable()),
        lambda: SeparableConv(channels, kernel, momentum, dilation=2),
    )[option]
    return make()
