"""The digits networks train with gradients that are written out: autograd's, bit by bit."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.models.digits.networks import LATENTS, PIXELS
from pbtnas.search.space import Architecture
from pbtnas.state import lazily
from pbtnas.tasks.digits import DigitsOptions, DigitsTask, DigitsTrainee

BATCH = 7  # a seventh is no float


def by_autograd(trainee: DigitsTrainee, real: Tensor, latents: Tensor) -> dict[str, float]:
    """A step as anybody would write it."""
    generator_adam, discriminator_adam = trainee._optimizers
    fake = trainee.generator(latents)

    on_real, on_fake = trainee.discriminator(torch.cat([real, fake.detach()])).chunk(2)
    discriminator_loss = F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()
    discriminator_adam.zero_grad()
    torch.autograd.backward(discriminator_loss)
    discriminator_adam.step()

    generator_loss = -trainee.discriminator(fake).mean()
    generator_adam.zero_grad()
    torch.autograd.backward(generator_loss, inputs=list(trainee.generator.parameters()))
    generator_adam.step()
    return {
        "discriminator_loss": discriminator_loss.item(),
        "generator_loss": generator_loss.item(),
    }


def check(architecture: Architecture, device: str, steps: int = 3) -> None:
    """Train a member both ways, and compare losses and everything that is kept."""
    task = DigitsTask(DigitsOptions(batch_size=BATCH))
    ours, reference = task.create(architecture, 1), task.create(architecture, 1)
    for trainee in (ours, reference):
        trainee.move(device)
    training = ours.steps()
    chance = torch.Generator().manual_seed(2)
    for _ in range(steps):
        real = torch.rand(BATCH, PIXELS, generator=chance).to(device) * 2 - 1
        latents = torch.randn(BATCH, LATENTS, generator=chance).to(device)

        losses = training.step(real, latents)

        assert losses == by_autograd(reference, real, latents)
    found, wanted = lazily(ours.state()), lazily(reference.state())
    assert found.keys() == wanted.keys()
    for key, tensor in found.items():
        a, b = (t.make().cpu().numpy().tobytes() for t in (tensor, wanted[key]))
        assert a == b, key


def architectures() -> list[Architecture]:
    """Every option of every variable is in one of them, and then random ones."""
    space = DigitsTask().space
    most = max(len(variable.options) for variable in space)
    turns = [tuple((i + k) % len(v.options) for i, v in enumerate(space)) for k in range(most)]
    rng = random.Random(0)
    return turns + [space.sample(rng) for _ in range(5)]


@pytest.mark.parametrize("architecture", architectures(), ids=str)
def test_written_gradients_have_the_bits_of_autograd(architecture: Architecture) -> None:
    """Runs that began when autograd trained the digits go on to the fingerprint of then."""
    check(architecture, "cpu")
