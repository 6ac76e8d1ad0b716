"""The operations an edge of the GAN networks can be, and how they are initialised.

Every option at a position keeps that position's interface (channels, resolution), and names
its tensors by role (`conv.weight`), never by which option was chosen around it.
Shapes: B images, C channels, H x W maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pbtnas.models.spectral import SpectralConv2d, SpectralLinear
from pbtnas.search.options import Option

CONVOLUTIONS: Mapping[Option, tuple[int, int]] = {
    "conv_1x1": (1, 1),
    "conv_3x3": (3, 1),
    "conv_5x5": (5, 1),
    "dil_conv_3x3": (3, 2),
    "dil_conv_5x5": (5, 2),
}
"""Kernel size and dilation by option."""

IMAGE_EDGES: tuple[Option, ...] = tuple(CONVOLUTIONS)
"""Options of an edge that changes the number of channels: convolutions only."""

EDGES: tuple[Option, ...] = ("none", "skip_connect", *CONVOLUTIONS)
"""Options of an edge between two nodes of equal shape."""

UPSAMPLINGS: tuple[Option, ...] = ("nearest", "bilinear", "deconv")

POOLINGS_AT_INPUT: tuple[Option, ...] = ("avg_pool_input", "max_pool_input")
"""Downsamplings that a discriminator branch applies at its start instead of its end."""

DOWNSAMPLINGS: tuple[Option, ...] = (
    *POOLINGS_AT_INPUT,
    "avg_pool",
    "max_pool",
    *(option for option in CONVOLUTIONS if option != "conv_1x1"),
)


def below(choices: Mapping[str, Option], path: str) -> dict[str, Option]:
    """The choices of the module at `path`, by their names relative to it."""
    prefix = path + "."
    return {n.removeprefix(prefix): o for n, o in choices.items() if n.startswith(prefix)}


def resize(maps: Tensor, size: int, mode: str) -> Tensor:
    """[B, C, S, S] -> [B, C, size, size], "nearest" or "bilinear" (corners not aligned)."""
    if mode == "bilinear" and maps.is_cuda:
        # torch's own kernel adds gradients in any order; what it offers instead is slow.
        return bilinear_by_products(maps, size)
    return F.interpolate(maps, size=(size, size), mode=mode)


def bilinear_by_products(maps: Tensor, size: int) -> Tensor:
    """As `resize`, to rounding: a product of matrices for rows and one for columns."""
    weights = _weights(maps.shape[-1], size, maps.device)
    return weights @ (maps @ weights.T)


@lru_cache(maxsize=64)
def _weights(old: int, new: int, device: torch.device) -> Tensor:
    """[new, old]: what each pixel of a row contributes to each pixel of the resized row."""
    with torch.inference_mode(False):
        rows = F.interpolate(torch.eye(old)[None], size=new, mode="linear")[0]
        return rows.T.contiguous().to(device)


class ActivatedConv(nn.Module):
    """ReLU, then a convolution: [B, in, H, W] -> [B, out, H', W'].

    Args:
        conv: the convolution.
        activate: False where the input is an image, which has no activation before it.
    """

    def __init__(self, conv: nn.Conv2d, activate: bool = True) -> None:
        super().__init__()
        self.conv = conv
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.relu(x) if self.activate else x)
        return out


def edge(
    option: Option,
    inputs: int,
    outputs: int,
    conv: type[nn.Conv2d] = nn.Conv2d,
    activate: bool = True,
) -> nn.Module | None:
    """One of `EDGES`, from `inputs` to `outputs` channels; None is an edge that is not there."""
    if option == "none":
        return None
    if option == "skip_connect":
        assert inputs == outputs, f"an identity cannot turn {inputs} channels into {outputs}"
        return nn.Identity()
    return ActivatedConv(_convolution(option, inputs, outputs, conv), activate)


def upsampling(option: Option, channels: int) -> nn.Module:
    """One of `UPSAMPLINGS`: [B, C, H, W] -> [B, C, 2H, 2W]."""
    if option == "deconv":
        return Deconvolution(channels)
    if option not in UPSAMPLINGS:
        raise ValueError(f"no upsampling {option!r}; there are {UPSAMPLINGS}")
    return Interpolation(channels, str(option))


def downsampling(option: Option, channels: int, conv: type[nn.Conv2d] = nn.Conv2d) -> nn.Module:
    """One of `DOWNSAMPLINGS`: [B, C, H, W] -> [B, C, H/2, W/2], for even H and W."""
    if option in ("avg_pool_input", "avg_pool"):
        return nn.AvgPool2d(2)
    if option in ("max_pool_input", "max_pool"):
        return nn.MaxPool2d(2)
    return ActivatedConv(_convolution(option, channels, channels, conv, stride=2))


def _convolution(
    option: Option, inputs: int, outputs: int, conv: type[nn.Conv2d], stride: int = 1
) -> nn.Conv2d:
    if option not in CONVOLUTIONS:
        raise ValueError(f"no operation {option!r}; convolutions are {IMAGE_EDGES}")
    kernel, dilation = CONVOLUTIONS[option]
    padding = dilation * (kernel - 1) // 2
    return conv(inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation)


class Interpolation(nn.Module):
    """Interpolate to twice the size, ReLU, 1x1 convolution: [B, C, H, W] -> [B, C, 2H, 2W]."""

    def __init__(self, channels: int, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "nearest":
            # Repeating pixels commutes with whatever works on single pixels: the same
            # numbers for a quarter of the work.
            small: Tensor = self.conv(F.relu(x))
            return resize(small, 2 * x.shape[2], "nearest")
        out: Tensor = self.conv(F.relu(resize(x, 2 * x.shape[2], self.mode)))
        return out


class Deconvolution(nn.Module):
    """ReLU, depth-wise transposed 3x3 convolution, 1x1: [B, C, H, W] -> [B, C, 2H, 2W]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.ConvTranspose2d(
            channels,
            channels,
            3,
            stride=2,
            padding=1,
            output_padding=1,
            groups=channels,
            bias=False,
        )
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(self.spread(F.relu(x)))
        return out


def add_edges(*edges: tuple[nn.Module | None, Tensor]) -> Tensor | None:
    """Sum of the edges that exist, each applied to its node; None when there is none."""
    total: Tensor | None = None
    for operation, node in edges:
        if operation is not None:
            term: Tensor = operation(node)
            total = term if total is None else total + term
    return total


def initialise(network: nn.Module) -> None:
    """Xavier-uniform convolutions, batch-norm scales N(1, 0.02); torch's defaults elsewhere.

    Transposed convolutions, linear layers and biases keep their defaults, as published.
    Estimates of spectral norms are settled on the new weights.
    Draws from torch's global RNG, in the order of the modules.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
        if isinstance(module, SpectralConv2d | SpectralLinear):
            module.norm.settle(module.weight)
