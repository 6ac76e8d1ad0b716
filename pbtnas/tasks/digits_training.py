"""The training steps of the task `digits`: hinge loss, one generator step a discriminator step."""

from __future__ import annotations

import torch
from torch import Tensor

from pbtnas.models.digits.gradients import Gradients, discriminator_pass, generator_pass
from pbtnas.models.digits.networks import Discriminator, Generator
from pbtnas.tasks.fused_adam import FusedAdam


class AdversarialSteps:
    """Makes steps of a generator and a discriminator.  Make one for a job, on its device.

    Args:
        generator: the generator.
        discriminator: the discriminator.
        generator_adam: the generator's fused optimiser.
        discriminator_adam: the discriminator's.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        generator_adam: torch.optim.Adam,
        discriminator_adam: torch.optim.Adam,
    ) -> None:
        self._generate = generator_pass(generator)
        self._judge = discriminator_pass(discriminator)
        self._generator_adam = FusedAdam(generator_adam)
        self._discriminator_adam = FusedAdam(discriminator_adam)
        self._one = torch.ones((), device=next(generator.parameters()).device)
        self._shares: dict[int, Tensor] = {}

    @torch.no_grad()
    def step(self, real: Tensor, latents: Tensor) -> dict[str, float]:
        """One step of each network, on the same generated images; real [B, 64], latents [B, 18]."""
        fake, back_to_latents = self._generate(latents)

        share = self._share_of(len(real))
        realness, back = self._judge(torch.cat([real, fake]))
        on_real, on_fake = realness.chunk(2)
        too_low, too_high = torch.relu(1 - on_real), torch.relu(1 + on_fake)
        gradient = torch.cat([-_of_relu(share, too_low), _of_relu(share, too_high)])
        found: Gradients = {}
        back(gradient, found, further=False)
        self._discriminator_adam.step(found)

        realness, back = self._judge(fake)
        found = {}
        back_to_latents(back(-share), found, further=False)
        self._generator_adam.step(found)
        return {
            "discriminator_loss": (too_low.mean() + too_high.mean()).item(),
            "generator_loss": -realness.mean().item(),
        }

    def _share_of(self, count: int) -> Tensor:
        """What each of so many images weighs in a mean, as autograd would compute it; [B, 1]."""
        if count not in self._shares:
            self._shares[count] = self._one.expand(count, 1) / count
        return self._shares[count]


def _of_relu(gradient: Tensor, output: Tensor) -> Tensor:
    of_input: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return of_input
