"""Trains a generator against a discriminator: one member of the task `gan`.

Hinge loss, Adam for both, an exponential average of the generator's parameters (paper,
section 4; AdversarialNAS's recipe).  Nothing here knows of data sets, epochs or jobs.

Shapes: B images or latents, S pixels a side, L length of a latent.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pbtnas.models.gan.generator import Generator
from pbtnas.models.gan.spaces import GanNetworks
from pbtnas.state import State
from pbtnas.tasks.gan.options import GanOptions
from pbtnas.tasks.members import Learner


def trains_generator(index: int, discriminator_steps: int) -> bool:
    """Whether step `index` of an epoch, counted from 0, has a generator step too."""
    return index % discriminator_steps == 0


class Adversaries(Learner):
    """Two networks, their optimisers, and the averaged generator; everything a member is.

    Args:
        networks: freshly initialised networks.
        options: options of the member, such as learning rates and precision.
    """

    def __init__(self, networks: GanNetworks, options: GanOptions) -> None:
        if options.channels_last:
            networks.to(memory_format=torch.channels_last)
        self._options = options
        self._generator = networks.generator
        self._averaged = copy.deepcopy(networks.generator).requires_grad_(False).eval()
        # Listed once: walking the modules costs as much as a small step.
        self._generator_parameters = list(networks.generator.parameters())
        rate, other = options.learning_rate, options.discriminator_learning_rate
        self._generator_adam = self._adam(networks.generator, rate)
        self._discriminator_adam = self._adam(
            networks.discriminator, rate if other is None else other
        )
        super().__init__(
            networks,
            [self._generator_adam, self._discriminator_adam],
            averaged={"generator": self._averaged},
        )
        self._generate = self._prepared(networks.generator)
        self._discriminate = self._prepared(networks.discriminator)
        self.steps = {"discriminator": 0, "generator": 0}

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Adam:
        first, second = self._options.betas
        return torch.optim.Adam(
            network.parameters(),
            rate,
            betas=(first, second),
            eps=self._options.adam_eps,
            # None leaves the choice among the others to torch.
            fused=True if self._options.fused else None,
        )

    def _prepared(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        compiled: Callable[[Tensor], Tensor] = (
            torch.compile(network) if self._options.compile else network
        )
        return compiled

    def discriminator_step(self, real: Tensor, latents: Tensor) -> dict[str, Tensor]:
        """Train the discriminator on real images [B, 3, S, S] and latents [B, L].

        Returns the loss and the mean logits, scalars on the device: nobody waits for them here.
        """
        if self._options.channels_last:
            real = real.contiguous(memory_format=torch.channels_last)
        with self._precision():
            with torch.no_grad():
                fake = self._generate(latents)
            # One pass over both: nothing in it mixes images, and the estimates of the spectral
            # norms improve once a step.
            logits = self._discriminate(torch.cat([real, fake]))
        on_real, on_fake = logits.float().chunk(2)
        loss = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
        self._discriminator_adam.zero_grad()
        torch.autograd.backward(loss)
        self._discriminator_adam.step()
        self.steps["discriminator"] += 1
        return {
            "discriminator_loss": loss.detach(),
            "real_logit": on_real.detach().mean(),
            "fake_logit": on_fake.detach().mean(),
        }

    def generator_step(self, latents: Tensor) -> Tensor:
        """Train the generator on latents [B, L], and the average with it; returns the loss."""
        with self._precision():
            logits = self._discriminate(self._generate(latents))
        loss = -logits.float().mean()
        self._generator_adam.zero_grad()
        torch.autograd.backward(loss, inputs=self._generator_parameters)
        self._generator_adam.step()
        self.average(1 - self._options.ema_decay)
        self.steps["generator"] += 1
        return loss.detach()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._options.bf16)

    @torch.no_grad()
    def judged(self) -> Generator:
        """The generator that is scored: averaged parameters, in evaluation mode.

        Running statistics are those of the live generator, as published.
        """
        buffers = zip(self._averaged.buffers(), self._generator.buffers(), strict=True)
        for kept, live in buffers:
            kept.copy_(live)
        return self._averaged

    @torch.no_grad()
    def finite(self) -> bool:
        """Whether no parameter is NaN or infinite; the averaged generator's count too."""
        parameters = [*self.networks.parameters(), *self._averaged.parameters()]
        return bool(torch.stack([p.isfinite().all() for p in parameters]).all())

    def averages(self) -> dict[str, Tensor]:
        """The averaged parameters alone: `judged` takes the buffers of the live generator."""
        return dict(self._averaged.named_parameters(prefix="generator"))

    def state(self) -> State:
        """Everything that is trained, and the steps done; the tensors alias the networks."""
        state = super().state()
        state.info |= {f"{network}_steps": count for network, count in self.steps.items()}
        return state

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        super().load(state)
        for network in self.steps:
            count = state.info.get(f"{network}_steps", 0)
            assert isinstance(count, int), "written by `state`"
            self.steps[network] = count
