"""DrQ-v2 with searched layers: from a choice per variable to encoder, actor and critic.

Shapes: B batch, K stacked frames, A action dimensions, F `feature_dim`, R the flattened
representation.  (The fixed parts follow Yarats et al., "Mastering Visual Continuous Control",
2021.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pbtnas.models.drqv2.layers import ACTIVATIONS, Conv2d, Linear, conv_layer, linear_layer

Choices = Mapping[str, Any]
"""The chosen option by variable name, as `SearchSpace.decode` gives it."""


@dataclass(frozen=True)
class Sizes:
    """The sizes that are not searched.

    Args:
        observation: (3K, H, W) of uint8 pixels, or (n,) of float32 state features.
        actions: A, the length of an action.
        hidden: width of the layers of actor and critic.
        channels: width of the encoder.
    """

    observation: tuple[int, ...]
    actions: int
    hidden: int = 1024
    channels: int = 32

    @property
    def pixels(self) -> bool:
        """Whether the agent sees images, and has an encoder."""
        return len(self.observation) == 3

    @property
    def representation(self) -> int:
        """R, what the trunks of actor and critic see."""
        if not self.pixels:
            return math.prod(self.observation)
        _, height, width = self.observation
        return self.channels * ((height - 3) // 2 + 1) * ((width - 3) // 2 + 1)


class Encoder(nn.Module):
    """Pixels to `channels` maps of half the resolution, flattened."""

    def __init__(self, choices: Choices, sizes: Sizes) -> None:
        super().__init__()
        spectral = choices["encoder.spectral_norm"]
        activations = [choices[f"encoder.convnet_activation.{i}"] for i in range(4)]
        self.convnet = nn.Sequential(
            nn.Sequential(
                Conv2d(sizes.observation[0], sizes.channels, 3, spectral, stride=2),
                ACTIVATIONS[activations[0]](),
            ),
            *(
                conv_layer(
                    choices[f"encoder.convnet.{i}"], sizes.channels, activations[i], spectral
                )
                for i in (1, 2, 3)
            ),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """[B, 3K, H, W] in 0..255, any dtype -> [B, R] float32."""
        maps: Tensor = self.convnet(pixels.float() / 255.0 - 0.5)
        return maps.flatten(1)


class Actor(nn.Module):
    """Representation to the mean of the action distribution."""

    def __init__(self, choices: Choices, sizes: Sizes) -> None:
        super().__init__()
        features = choices["actor.feature_dim"]
        self.trunk = _trunk(sizes.representation, features, choices["actor.trunk_activation"])
        self.policy = _stack(
            "actor.policy", choices, (features, sizes.hidden, sizes.actions), "actor.spectral_norm"
        )

    def forward(self, representation: Tensor) -> Tensor:
        """[B, R] -> mean [B, A] in (-1, 1)."""
        return torch.tanh(self.policy(self.trunk(representation)))


class Critic(nn.Module):
    """Two Q networks of separate architecture on one trunk."""

    def __init__(self, choices: Choices, sizes: Sizes) -> None:
        super().__init__()
        features = choices["critic.feature_dim"]
        self.trunk = _trunk(sizes.representation, features, choices["critic.trunk_activation"])
        widths = (features + sizes.actions, sizes.hidden, 1)
        self.Q1 = _stack("critic.Q1", choices, widths, "critic.spectral_norm_Q1")
        self.Q2 = _stack("critic.Q2", choices, widths, "critic.spectral_norm_Q2")

    def forward(self, representation: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """[B, R], [B, A] -> two estimates of the return, each [B]."""
        x = torch.cat([self.trunk(representation), action], dim=1)
        return self.Q1(x).squeeze(1), self.Q2(x).squeeze(1)


class DrQV2(nn.Module):
    """Encoder, actor and critic of one architecture; without an encoder for state features.

    `choices` are those of `drqv2_space(pixels=sizes.pixels)`.  Initial weights are drawn from
    torch's global RNG.
    """

    def __init__(self, choices: Choices, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(choices, sizes) if sizes.pixels else nn.Flatten()
        self.actor = Actor(choices, sizes)
        self.critic = Critic(choices, sizes)


def truncated_normal(
    mean: Tensor, std: float, generator: torch.Generator, clip: float | None = None
) -> Tensor:
    """Actions around `mean`, strictly inside (-1, 1).

    Args:
        mean: [B, A] in (-1, 1).
        std: standard deviation of the noise.
        generator: consumed for one normal number per element; on the device of `mean`.
        clip: limit of the noise, to smooth targets; none when exploring.

    Returns:
        [B, A]; its gradient with respect to `mean` is one even where the action was cut off,
        so that a mean near the border still learns.
    """
    noise = torch.empty_like(mean).normal_(generator=generator) * std
    if clip is not None:
        noise = noise.clamp(-clip, clip)
    action = mean + noise
    inside = action.clamp(-1.0 + 1e-6, 1.0 - 1e-6)
    return action + (inside - action).detach()


def _trunk(inputs: int, features: int, activation: str) -> nn.Sequential:
    # Never normalised spectrally, and always owned by `feature_dim`.
    linear = nn.Linear(inputs, features)
    nn.init.orthogonal_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.LayerNorm(features), ACTIVATIONS[activation]())


def _stack(name: str, choices: Choices, widths: tuple[int, int, int], norm: str) -> nn.Sequential:
    """First layer, three searched layers and a head, as modules `name`.0 to `name`.4."""
    inputs, hidden, outputs = widths
    spectral = choices[norm]
    activations = [choices[f"{name}_activation.{i}"] for i in range(4)]
    head = nn.Linear(hidden, outputs)
    nn.init.orthogonal_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(
        nn.Sequential(Linear(inputs, hidden, spectral), ACTIVATIONS[activations[0]]()),
        *(
            linear_layer(choices[f"{name}.{i}"], hidden, activations[i], spectral)
            for i in (1, 2, 3)
        ),
        head,
    )
