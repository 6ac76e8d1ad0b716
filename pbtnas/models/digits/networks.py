"""The networks of the task `digits` and the space they are searched in.

Two small fully connected networks that play a GAN on 8x8 images.  Every option keeps the
interface of its position (width in, width out), and no switch renames a tensor: batch
normalisation has no parameters, and spectral normalisation keeps its estimates when off.

Shapes: B images a batch, P = 64 pixels an image, W = 64 units a layer, L = 18 latents.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.models.gan.ops import below
from pbtnas.models.spectral import SpectralLinear
from pbtnas.search.options import Option
from pbtnas.search.space import SearchSpace, Variable, layer, switch

PIXELS = 64
WIDTH = 64
LATENTS = 18
LAYERS = 3

OPERATIONS = ("identity", "linear", "residual-x0.5", "residual-x2.0")
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "id": lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "swish": F.silu,
}
PROJECTIONS = ("off", "third", "whole")


def digits_space() -> SearchSpace:
    """Four choices per generator layer and three per discriminator layer: 21 variables."""
    generator = [v for i in range(LAYERS) for v in _generator_variables(f"generator.layers.{i}")]
    discriminator = [
        v for i in range(LAYERS) for v in _discriminator_variables(f"discriminator.layers.{i}")
    ]
    return SearchSpace(generator + discriminator)


def _generator_variables(at: str) -> list[Variable]:
    return [
        layer(f"{at}.op", ("none", *OPERATIONS)),
        switch(f"{at}.activation", tuple(ACTIVATIONS)),
        switch(f"{at}.batch_norm", (False, True)),
        layer(f"{at}.projection", PROJECTIONS),
    ]


def _discriminator_variables(at: str) -> list[Variable]:
    return [
        layer(f"{at}.op", OPERATIONS),
        switch(f"{at}.activation", tuple(ACTIVATIONS)),
        switch(f"{at}.spectral_norm", (False, True)),
    ]


class Generator(nn.Module):
    """Latents to images: a linear stem, the searched layers, a linear head with tanh."""

    def __init__(self, choices: Mapping[str, Option]) -> None:
        super().__init__()
        self.stem = nn.Linear(LATENTS, WIDTH)
        self.layers = nn.ModuleList(
            GeneratorLayer(i, below(choices, f"generator.layers.{i}")) for i in range(LAYERS)
        )
        self.head = nn.Linear(WIDTH, PIXELS)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [B, L] to images [B, P] in [-1, 1]."""
        x = self.stem(latents)
        for searched in self.layers:
            x = searched(x, latents)
        return torch.tanh(self.head(x))


class GeneratorLayer(nn.Module):
    """activation(norm(op(x) + projection(latents)))."""

    def __init__(self, position: int, choices: Mapping[str, Option]) -> None:
        super().__init__()
        self.op = operation(str(choices["op"]), nn.Linear)
        self.projection = LatentProjection(str(choices["projection"]), position)
        self.activation = ACTIVATIONS[str(choices["activation"])]
        self.batch_norm = bool(choices["batch_norm"])

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Activations [B, W] and latents [B, L] to activations [B, W]."""
        x = self.projection(self.op(x), latents)
        if self.batch_norm:
            # The batch's own statistics, in evaluation too: there is nothing to inherit.
            x = F.batch_norm(x, None, None, training=True)
        return self.activation(x)


class LatentProjection(nn.Module):
    """Adds a linear map of the latents: of none, of the layer's own third, or of all of them."""

    def __init__(self, option: str, position: int) -> None:
        super().__init__()
        third = LATENTS // LAYERS
        self.latents = {
            "off": None,
            "third": slice(third * position, third * (position + 1)),
            "whole": slice(0, LATENTS),
        }[option]
        if self.latents is not None:
            self.linear = nn.Linear(self.latents.stop - self.latents.start, WIDTH)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Activations [B, W] and latents [B, L] to activations [B, W]."""
        if self.latents is None:
            return x
        projected: Tensor = self.linear(latents[:, self.latents])
        return x + projected


class Discriminator(nn.Module):
    """Images to realness: the searched layers (an image is as wide as a layer), a linear head."""

    def __init__(self, choices: Mapping[str, Option]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DiscriminatorLayer(below(choices, f"discriminator.layers.{i}")) for i in range(LAYERS)
        )
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images [B, P] to realness [B, 1], unbounded."""
        x = images
        for searched in self.layers:
            x = searched(x)
        realness: Tensor = self.head(x)
        return realness


class DiscriminatorLayer(nn.Module):
    """activation(op(x)), with the weights of op spectrally normalised or not."""

    def __init__(self, choices: Mapping[str, Option]) -> None:
        super().__init__()
        normalised = bool(choices["spectral_norm"])
        self.op = operation(
            str(choices["op"]), lambda i, o: SwitchedSpectralLinear(i, o, normalised)
        )
        self.activation = ACTIVATIONS[str(choices["activation"])]

    def forward(self, x: Tensor) -> Tensor:
        """Activations [B, W] to activations [B, W]."""
        return self.activation(self.op(x))


def operation(option: str, linear: Callable[[int, int], nn.Module]) -> nn.Module:
    """The operation of that name, width in and width out, built from `linear(inputs, outputs)`."""
    match option:
        case "none":
            return Zero()
        case "identity":
            return nn.Identity()
        case "linear":
            return linear(WIDTH, WIDTH)
    hidden = {"residual-x0.5": WIDTH // 2, "residual-x2.0": WIDTH * 2}[option]
    return Residual(linear(WIDTH, hidden), linear(hidden, WIDTH))


class Zero(nn.Module):
    """x * 0: silences its input, yet passes (zero) gradients to whatever made it."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to zeros of that shape."""
        return x * 0


class Residual(nn.Module):
    """x + outer(relu(inner(x)))."""

    def __init__(self, inner: nn.Module, outer: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.outer = outer

    def forward(self, x: Tensor) -> Tensor:
        """Activations [B, W] to activations [B, W]."""
        change: Tensor = self.outer(torch.relu(self.inner(x)))
        return x + change


class SwitchedSpectralLinear(SpectralLinear):
    """A linear layer with spectral normalisation on or off.

    Off, it still has the estimates, so that the switch neither renames nor removes a tensor;
    switched on again, a few training steps bring them up to date.
    """

    def __init__(self, inputs: int, outputs: int, normalised: bool) -> None:
        super().__init__(inputs, outputs)
        self.normalised = normalised

    def forward(self, input: Tensor) -> Tensor:
        """Activations [B, inputs] to activations [B, outputs]."""
        if self.normalised:
            return super().forward(input)
        return F.linear(input, self.weight, self.bias)
