"""The five operations that an edge of a NAS-Bench-201 cell chooses from.

All keep the number of channels and the side of their input.  Shapes: B images, C channels, S side.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.models.nb201.text import OPERATIONS


class Zero(nn.Module):
    """Nothing comes through."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, S, S] to zeros of that shape."""
        # A product, as published: the input has a gradient of zero, not none.
        return x * 0


class NormalisedConv(nn.Module):
    """Rectified, convolved, normalised.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        kernel: side of the kernel, odd.
        momentum: weight of a batch in running statistics.
        affine: whether normalisation has weights; the convolution has a bias where it has none.
        stride: 2 halves the side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        momentum: float,
        *,
        affine: bool,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=not affine
        )
        self.norm = nn.BatchNorm2d(outputs, momentum=momentum, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, S, S] to [B, outputs, S / stride, S / stride]."""
        convolved: Tensor = self.norm(self.conv(F.relu(x)))
        return convolved


def operation(option: int, channels: int, momentum: float, *, affine: bool) -> nn.Module:
    """A new operation of an option of a variable."""
    match OPERATIONS[option]:
        case "none":
            return Zero()
        case "skip_connect":
            return nn.Identity()
        case "avg_pool_3x3":
            return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        case name:
            kernel = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}[name]
            return NormalisedConv(channels, channels, kernel, momentum, affine=affine)
