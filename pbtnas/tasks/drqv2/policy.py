"""A trained agent, as it is exported and used, and how it plays an episode.

Shapes: K stacked frames, A action dimensions, n state features times K.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from pbtnas.models.drqv2.networks import DrQV2, Sizes
from pbtnas.rl.environments import StackedFrames
from pbtnas.rl.episodes import Array

VIDEO_SIZE = 192  # pixels
VIDEO_FPS = 25


class Policy(nn.Module):
    """Encoder and actor: what an agent needs to act.

    Args:
        networks: the agent's networks; they are shared, not copied.
        sizes: the sizes they were built with.
    """

    def __init__(self, networks: DrQV2, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = networks.encoder
        self.actor = networks.actor
        self.observation = sizes.observation
        self.dtype = np.dtype(np.uint8 if sizes.pixels else np.float32)
        self.example = (
            f"action = network.act(observation)  # {self.dtype} {list(self.observation)} "
            f"-> float32 [{sizes.actions}] in (-1, 1)"
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Observations [B, 3K, H, W] or [B, n] to mean actions [B, A] in (-1, 1)."""
        actions: Tensor = self.actor(self.encoder(observations))
        return actions

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """The mean action [A] float32 in (-1, 1) for one observation.

        Args:
            observation: the last K frames, oldest first, as (3K, H, W) uint8 RGB; or the last K
                vectors of state features as (n,) float32.  At the start of an episode the first
                is repeated K times.

        Raises `ValueError` for another shape or dtype.
        """
        if observation.shape != self.observation or observation.dtype != self.dtype:
            raise ValueError(
                f"an observation of this agent is {self.dtype} {list(self.observation)}, "
                f"not {observation.dtype} {list(observation.shape)}"
            )
        self.eval()
        device = next(self.parameters()).device
        action: Array = self(torch.from_numpy(observation).to(device)[None])[0].cpu().numpy()
        return action


def play_episode(
    act: Callable[[Array], Array],
    environment: StackedFrames,
    observation: Array,
    *,
    film: list[Array] | None,
    tick: Callable[[], object] = lambda: None,
) -> tuple[float, int]:
    """Return and length of an episode from its first observation on; frames go into `film`.

    The return is NaN as soon as an action is not finite.
    """
    reward, length, last = 0.0, 0, False
    while not last:
        if film is not None:
            film.append(environment.render(VIDEO_SIZE))
        action = act(observation)
        if not np.isfinite(action).all():
            return float("nan"), length
        step = environment.step(action)
        observation, last = step.observation, step.last
        reward += step.reward
        length += 1
        tick()
    return reward, length
