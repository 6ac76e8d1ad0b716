"""Spectral normalisation that never renames a weight.

The layers here hold `weight` and `bias` under the names of the plain layers, so that weights
can be inherited between networks with and without normalisation.  The power iteration's
estimates are buffers: copied with a module, never trained, never perturbed.
(Miyato et al., "Spectral Normalization for Generative Adversarial Networks", Algorithm 1.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralNorm(nn.Module):
    """Divides a weight by its largest singular value, as one power iteration estimates it.

    The weight is seen as a matrix [rows, columns]: its first dimension against all others.
    In training mode every forward improves the estimates by one iteration; in evaluation
    mode they stay.  They start as random vectors (torch's global RNG), for which sigma is near
    zero: `settle` them on the initial weight, or let the first forward be one in training.

    Buffers:
        u: left singular vector, [rows], float32, length 1.
        v: right singular vector, [columns], float32, length 1.
    """

    u: Tensor
    v: Tensor

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(shape[0]), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(shape[1:].numel()), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """`weight` / sigma, of the same shape; gradients flow through both.

        A weight on the device "meta", whose costs are counted, has no numbers and stays as it is.
        """
        if weight.is_meta:  # where there is no autocast, either
            return weight
        # Under autocast the products would run in half precision, and so would the estimates.
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self._iterate(matrix.detach())
            # Copies: the next forward moves the estimates while this graph may still be alive
            # (a discriminator sees real and generated images before one backward).
            u, v = self.u.clone(), self.v.clone()
            sigma = torch.dot(u, torch.mv(matrix, v))
            return weight / sigma

    def settle(self, weight: Tensor) -> None:
        """Improve the estimates by 15 iterations, torch's number for a new layer."""
        if weight.is_meta:  # no numbers to settle on
            return
        for _ in range(15):
            self._iterate(weight.detach().flatten(1))

    def _iterate(self, matrix: Tensor) -> None:
        improve(self.u, self.v, matrix)


@torch.no_grad()
def improve(u: Tensor, v: Tensor, matrix: Tensor) -> None:
    """Improve estimates [rows] and [columns] of a matrix's singular vectors by one iteration."""
    _normalise(torch.mv(matrix.t(), u), v)
    _normalise(torch.mv(matrix, v), u)


def _normalise(vector: Tensor, out: Tensor) -> None:
    # As `F.normalize`, in half of its calls.
    length = torch.linalg.vector_norm(vector, 2, 0, keepdim=True)
    torch.div(vector, length.clamp_min_(1e-12), out=out)


class SpectralConv2d(nn.Conv2d):
    """`nn.Conv2d` that convolves with its normalised weight; estimates in `norm.u`, `norm.v`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation)
        self.norm = SpectralNorm(self.weight.shape)

    def forward(self, input: Tensor) -> Tensor:
        """[B, in, H, W] -> [B, out, H', W']."""
        out: Tensor = self._conv_forward(input, self.norm(self.weight), self.bias)
        return out


class SpectralLinear(nn.Linear):
    """`nn.Linear` that multiplies with its normalised weight; estimates in `norm.u`, `norm.v`."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self.norm = SpectralNorm(self.weight.shape)

    def forward(self, input: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        return F.linear(input, self.norm(self.weight), self.bias)
