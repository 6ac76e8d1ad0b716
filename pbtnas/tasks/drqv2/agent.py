"""The agent of DrQ-v2: how it acts, and how an update changes it.

(Yarats et al., 2021, section 3; the recipe of PBT-NAS differs in the numbers only.)
"""

from __future__ import annotations

import copy
import itertools

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
from pbtnas.tasks.members import Learner


class Agent(Learner):
    """Networks, the critic's averaged copy (its target), and an optimiser for each network.

    Spectral norms are in training mode only inside `update`: their estimates never depend on
    how often the agent acted.  Nothing else here has two modes.
    """

    networks: DrQV2

    def __init__(self, networks: DrQV2, options: DrQV2Options) -> None:
        networks.eval()
        self.target = copy.deepcopy(networks.critic).requires_grad_(False)
        self._options = options
        self._adams = {
            name: torch.optim.Adam(parameters, options.learning_rate, fused=True)
            for name, network in networks.named_children()
            if (parameters := list(network.parameters()))  # state features: no encoder to train
        }
        self._actor_parameters = list(networks.actor.parameters())
        every = itertools.chain(networks.modules(), self.target.modules())
        self._norms = [module for module in every if isinstance(module, SpectralNorm)]
        super().__init__(networks, list(self._adams.values()), averaged={"critic": self.target})

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
        """Update all networks and the target once; returns the numbers to log.

        Args:
            batch: samples of the replay buffer.
            std: standard deviation of the noise of actions.
            generator: generator on the agent's device; consumed.
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

        self.average(self._options.tau)
        self._iterate_norms(False)
        # Together: each look at a number waits for the device.
        numbers = torch.stack([critic_loss.detach(), actor_loss.detach(), wanted.mean()]).tolist()
        return dict(zip(("critic_loss", "actor_loss", "q"), numbers, strict=True))

    def state(self) -> State:
        """Everything that is trained; the tensors alias the networks."""
        # Only `state_dict` makes the estimates of spectral norms that are off fit their weights,
        # and a child may switch them on.
        self.networks.state_dict()
        self.target.state_dict()
        return super().state()

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
        optimizers = [self._adams[name] for name in names if name in self._adams]
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

    def _tensor(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self.device)
