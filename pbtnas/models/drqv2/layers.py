"""Layers of the DrQ-v2 networks: spectral norm as a switch, and the searched operations.

Shapes: B batch, C channels (the same before and after every searched convolution), H and W
height and width, N features (the same before and after every searched linear layer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pbtnas.models.spectral import SpectralNorm

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "swish": nn.SiLU,
}
RESIDUAL_WIDTH = {"residual_05": 0.5, "residual_2": 2.0}
SETTLING_ITERATIONS = 15
"""Power iterations until the estimates fit a weight they were not made for."""


class SwitchedNorm(SpectralNorm):
    """A spectral norm that can be off; its buffers exist either way.

    While it is off nothing is iterated, so the estimates go stale.  `settle` makes them fit,
    from a start that depends on nothing but the weight: a member that inherits the switch "on"
    with this weight must not divide by a singular value of an older one.
    """

    def __init__(self, shape: torch.Size, on: bool) -> None:
        super().__init__(shape)
        self.on = on

    def forward(self, weight: Tensor) -> Tensor:
        """The normalised weight when on, else the weight."""
        return super().forward(weight) if self.on else weight

    @torch.no_grad()
    def settle(self, weight: Tensor) -> None:
        """Estimate the singular vectors of this weight anew, whatever was estimated before."""
        # On the CPU: what was trained on a GPU has the same estimates wherever it is loaded.
        matrix = weight.flatten(1).cpu()
        u = F.normalize(torch.ones(len(matrix)), dim=0)
        for _ in range(SETTLING_ITERATIONS):
            v = F.normalize(torch.mv(matrix.t(), u), dim=0)
            u = F.normalize(torch.mv(matrix, v), dim=0)
        self.u.copy_(u)
        self.v.copy_(v)


class Linear(nn.Linear):
    """`nn.Linear` with a spectral norm that can be off; parameter names are the same.

    Orthogonal weight, zero bias.  `state_dict()` settles the estimates of a norm that is off.
    """

    def __init__(self, inputs: int, outputs: int, spectral: bool) -> None:
        super().__init__(inputs, outputs)
        self.norm = SwitchedNorm(self.weight.shape, on=spectral)
        _initialise(self, gain=1.0)

    def forward(self, input: Tensor) -> Tensor:
        """[..., inputs] -> [..., outputs]."""
        return F.linear(input, self.norm(self.weight), self.bias)


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` with a spectral norm that can be off; parameter names are the same.

    Orthogonal weight (gain of ReLU), zero bias.  `state_dict()` settles the estimates of a
    norm that is off.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        spectral: bool,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups)
        self.norm = SwitchedNorm(self.weight.shape, on=spectral)
        _initialise(self, gain=nn.init.calculate_gain("relu"))

    def forward(self, input: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H', W']."""
        out: Tensor = self._conv_forward(input, self.norm(self.weight), self.bias)
        return out


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that the body keeps."""
        out: Tensor = x + self.body(x)
        return out


def linear_layer(option: str, width: int, activation: str, spectral: bool) -> nn.Module:
    """One searched layer of an actor or a critic, [B, N] -> [B, N] with N = width."""
    act = ACTIVATIONS[activation]
    if option == "identity":
        return nn.Identity()
    if option == "linear":
        return nn.Sequential(Linear(width, width, spectral), act())
    hidden = int(RESIDUAL_WIDTH[option] * width)
    return Residual(
        nn.LayerNorm(width),
        Linear(width, hidden, spectral),
        act(),
        Linear(hidden, width, spectral),
    )


def conv_layer(option: str, channels: int, activation: str, spectral: bool) -> nn.Module:
    """One searched layer of the encoder, [B, C, H, W] -> [B, C, H, W] with C = channels."""
    act = ACTIVATIONS[activation]
    if option == "identity":
        return nn.Identity()
    kind, _, size = option.rpartition("_")
    kernel = int(size)

    def conv(k: int, groups: int = 1) -> Conv2d:
        return Conv2d(channels, channels, k, spectral, padding=k // 2, groups=groups)

    if kind == "conv":
        return nn.Sequential(conv(kernel), act())
    if kind == "residual":
        return nn.Sequential(Residual(conv(kernel), act(), conv(kernel)), act())
    if kind == "sep_conv":
        return nn.Sequential(conv(kernel, groups=channels), conv(1), act())
    raise ValueError(f"no such convolution: {option!r}")


def _initialise(layer: Linear | Conv2d, gain: float) -> None:
    # On the raw weight: with a norm that replaces the weight, the authors' orthogonal
    # initialisation had no effect where spectral norm was on.
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    layer.norm.settle(layer.weight)
    layer.register_state_dict_pre_hook(_settle_what_is_off)  # type: ignore[no-untyped-call]


def _settle_what_is_off(layer: nn.Module, prefix: str, keep_vars: bool) -> None:
    assert isinstance(layer, Linear | Conv2d)
    if not layer.norm.on:
        layer.norm.settle(layer.weight)
