"""A training loop of your own: a denoising autoencoder, scored by an averaged copy of itself.

pbtnas task check --task examples/own_training.py:Denoising
"""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pbtnas.search import Architecture, SearchSpace, Variable, switch
from pbtnas.search.seeding import derive
from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation
from pbtnas.tasks.members import Learner

BATCH, NOISE = 50, 0.3
ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


class Autoencoder(nn.Module):
    def __init__(self, choices: Mapping[str, Any]) -> None:
        super().__init__()
        self.encoder = nn.Linear(64, choices["width"])
        self.decoder = nn.Linear(choices["width"], 64)
        self.activation = ACTIVATIONS[choices["activation"]]

    def forward(self, images: Tensor) -> Tensor:
        restored: Tensor = self.decoder(self.activation(self.encoder(images)))
        return restored


class Denoising:
    space = SearchSpace(
        [
            Variable("width", (8, 16, 32), modules=("encoder", "decoder")),
            switch("activation", tuple(ACTIVATIONS)),
        ]
    )

    def prepare(self, run: Preparation) -> None:
        digits, _ = load_digits(return_X_y=True)
        images = torch.from_numpy(digits).float() / 16
        self.train_images, self.test_images = images[:1400], images[1400:]

    def create(self, architecture: Architecture, seed: int) -> "Denoiser":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = Autoencoder(self.space.decode(architecture))
        return Denoiser(self, network)


class Denoiser(Learner):
    def __init__(self, task: Denoising, network: Autoencoder) -> None:
        self.task = task
        self.network = network
        self.smooth = copy.deepcopy(network).requires_grad_(False)
        self.adam = torch.optim.Adam(network.parameters(), lr=3e-3)
        super().__init__(network, [self.adam], averaged={"": self.smooth})

    def train(self, epochs: int, context: Context) -> None:
        self.move(context.device)
        images = self.task.train_images
        steps = len(images) // BATCH
        for step in range(context.done, epochs * steps):
            # All that chance decides is a function of the job's seed and the step.
            chance = torch.Generator().manual_seed(derive(context.seed, "step", step))
            clean = images[torch.randint(len(images), (BATCH,), generator=chance)]
            noisy = clean + NOISE * torch.randn(clean.shape, generator=chance)
            restored = self.network(noisy.to(context.device))
            loss = F.mse_loss(restored, clean.to(context.device))
            if not math.isfinite(loss.item()):
                raise Diverged(f"the loss is {loss.item()} at step {step + 1} of this job")
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()
            self.average(0.02)
            context.tick(step + 1)

    @torch.no_grad()
    def evaluate(self, context: Context) -> Evaluation:
        self.move(context.device)
        chance = torch.Generator().manual_seed(derive(context.seed, "noise"))
        clean = self.task.test_images
        noisy = clean + NOISE * torch.randn(clean.shape, generator=chance)
        error = F.mse_loss(self.smooth(noisy.to(context.device)).cpu(), clean).item()
        return Evaluation(-error, {"error": error})
