"""The agent of DrQ-v2: how it acts, and how an update changes it.

(Yarats et al., 2021, section 3; the recipe of PBT-NAS differs in the numbers only.)
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.models.drqv2.networks import DrQV2, truncated_normal
from pbtnas.models.spectral import SpectralNorm
from pbtnas.rl.augmentation import random_shift
from pbtnas.rl.episodes import Array
from pbtnas.rl.replay import Batch
from pbtnas.state import State
from pbtnas.tasks.drqv2.options import DrQV2Options
from pbtnas.tasks.moments import load_moments, moments
from pbtnas.tasks.sections import fill

_TARGET = "critic."
"""Prefix of the target critic's tensors: it is an averaged copy of `critic`."""


class Agent:
    """Networks, the critic's averaged copy (its target), and an optimiser for each network.

    Spectral norms are in training mode only inside `update`: their estimates never depend on
    how often the agent acted.  Nothing else here has two modes.
    """

    def __init__(self, networks: DrQV2, options: DrQV2Options) -> None:
        self.networks = networks.eval()
        self.target = copy.deepcopy(networks.critic).requires_grad_(False).eval()
        self.device = torch.device("cpu")
        self._options = options
        self._optimizers = {
            name: torch.optim.Adam(parameters, options.learning_rate, fused=True)
            for name, network in networks.named_children()
            if (parameters := list(network.parameters()))  # state features: no encoder to train
        }
        self._actor_parameters = list(networks.actor.parameters())
        every = itertools.chain(networks.modules(), self.target.modules())
        self._norms = [module for module in every if isinstance(module, SpectralNorm)]
        self._averaged = list(
            zip(self.target.parameters(), networks.critic.parameters(), strict=True)
        )

    @torch.no_grad()
    def act(self, observation: Array) -> Array:
        """The mean action [A] float32 for an observation (3K, H, W) uint8 or (n,) float32."""
        action: Array = self._mean(observation)[0].cpu().numpy()
        return action

    @torch.no_grad()
    def explore(self, observation: Array, std: float, generator: torch.Generator) -> Array:
        """A random action [A] around the mean; `generator` is on the agent's device."""
        action = truncated_normal(self._mean(observation), std, generator)
        explored: Array = action[0].cpu().numpy()
        return explored

    def update(self, batch: Batch, std: float, generator: torch.Generator) -> dict[str, float]:
        """One step of all networks and of the target; what to log.

        Args:
            batch: of the replay buffer.
            std: of the noise of actions.
            generator: on the agent's device; consumed.
        """
        self._iterate_norms(True)
        seen = self._represent(batch.observations, generator)
        with torch.no_grad():
            wanted = self._wanted(batch, std, generator)
        q1, q2 = self.networks.critic(seen, self._tensor(batch.actions))
        critic_loss = F.mse_loss(q1, wanted) + F.mse_loss(q2, wanted)
        self._descend(critic_loss, "encoder", "critic")

        seen = seen.detach()
        mean = self.networks.actor(seen)
        action = truncated_normal(mean, std, generator, self._options.stddev_clip)
        actor_loss = -torch.minimum(*self.networks.critic(seen, action)).mean()
        self._descend(actor_loss, "actor", inputs=self._actor_parameters)

        self._average()
        self._iterate_norms(False)
        return {
            "critic_loss": critic_loss.item(),
            "actor_loss": actor_loss.item(),
            "q": wanted.mean().item(),
        }

    def move(self, device: str) -> None:
        """Go there, with the optimisers' moments."""
        kept = self._moments()
        self.device = torch.device(device)
        self.networks.to(device)
        self.target.to(device)
        self._load_moments(kept)

    def state(self) -> State:
        """What is trained; the tensors alias the networks."""
        # Not `named_buffers`: only `state_dict` makes the estimates of spectral norms that are
        # off fit their weights, and a child may switch them on.
        tensors = self.networks.state_dict()
        live = self._parameters()
        return State(
            live={name: tensor for name, tensor in tensors.items() if name in live},
            buffers={name: tensor for name, tensor in tensors.items() if name not in live},
            averaged=dict(self.target.state_dict(prefix=_TARGET)),
            optimizer=self._moments(),
        )

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        fill("live", self._parameters(), state.live)
        fill("buffers", dict(self.networks.named_buffers()), state.buffers)
        fill("averaged", dict(_tensors(self.target, _TARGET)), state.averaged)
        self._load_moments(state.optimizer)

    def _mean(self, observation: Array) -> Tensor:
        seen = self.networks.encoder(self._tensor(observation)[None])
        mean: Tensor = self.networks.actor(seen)
        return mean

    def _represent(self, observations: Array, generator: torch.Generator) -> Tensor:
        inputs = self._tensor(observations)
        if inputs.dim() == 4:
            inputs = random_shift(inputs, generator)
        seen: Tensor = self.networks.encoder(inputs)
        return seen

    def _wanted(self, batch: Batch, std: float, generator: torch.Generator) -> Tensor:
        """The n-step targets of both Q networks, [B]."""
        following = self._represent(batch.next_observations, generator)
        mean = self.networks.actor(following)
        action = truncated_normal(mean, std, generator, self._options.stddev_clip)
        value = torch.minimum(*self.target(following, action))
        return self._tensor(batch.rewards) + self._tensor(batch.discounts) * value

    def _descend(self, loss: Tensor, *names: str, inputs: list[nn.Parameter] | None = None) -> None:
        optimizers = [self._optimizers[name] for name in names if name in self._optimizers]
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss, inputs=inputs)
        for optimizer in optimizers:
            optimizer.step()

    def _iterate_norms(self, on: bool) -> None:
        # Twice an update: `train` and `eval` would walk through all modules, for a tenth of the
        # time of a small agent's update.
        for norm in self._norms:
            norm.training = on

    @torch.no_grad()
    def _average(self) -> None:
        for average, live in self._averaged:
            average.lerp_(live, self._options.tau)

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _parameters(self) -> dict[str, Tensor]:
        return dict(self.networks.named_parameters())

    def _moments(self) -> dict[str, Tensor]:
        live = self._parameters()
        every = (moments(optimizer, live) for optimizer in self._optimizers.values())
        return {name: moment for found in every for name, moment in found.items()}

    def _load_moments(self, tensors: dict[str, Tensor]) -> None:
        for optimizer in self._optimizers.values():
            load_moments(optimizer, self._parameters(), tensors)


def _tensors(network: nn.Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    parameters = network.named_parameters(prefix=prefix.rstrip("."))
    return itertools.chain(parameters, network.named_buffers(prefix=prefix.rstrip(".")))
