"""The built-in task: a small GAN on real 8x8 digits, trained and scored in CPU seconds.

Hinge loss, one generator step a discriminator step; the averaged generator is judged by the
Fréchet distance between features of its images and of all real digits.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from pbtnas.config import number
from pbtnas.data.digits import load_digits
from pbtnas.data.grids import grid_png
from pbtnas.determinism import as_in_the_search
from pbtnas.metrics.frechet import Gaussian, frechet_distance
from pbtnas.models.digits.features import FeatureNet, train_features
from pbtnas.models.digits.networks import LATENTS, Discriminator, Generator, digits_space
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation
from pbtnas.tasks.choices import NO_CHOICES
from pbtnas.tasks.costs import multiply_adds
from pbtnas.tasks.digits_training import AdversarialSteps
from pbtnas.tasks.members import Learner
from pbtnas.tasks.sampling import Sampler
from pbtnas.tasks.searched_options import (
    conflicts,
    of_member,
    search_also,
    times,
    towards_one,
    with_ladders,
)

_FEATURES = "digit-features.safetensors"
_GRID_IMAGES = 100
_PREVIEW_IMAGES = 16
_CHUNK = 2000  # images generated at once: batch normalisation sees them together

SEARCHABLE = {
    "learning_rate": times(10, 21),
    "batch_size": times(4, 5, integer=True),
    "ema_decay": towards_one(10, 21),
}
"""The options that members can search for themselves, and how far."""


@dataclass(frozen=True)
class DigitsOptions:
    """The `task:` section of a config for digits."""

    learning_rate: float = number(1e-3, min=0, help="Of Adam, for both networks.")
    batch_size: int = number(64, min=2, max=1797, help="An epoch is 1797 // batch_size steps.")
    ema_decay: float = number(0.99, min=0, max=1, help="Of the averaged generator, per step.")
    images: int = number(2000, min=100, help="Generated for a score of the search.")
    final_images: int = number(20_000, min=100, help="Generated for the number to report.")
    search_also: tuple[str, ...] = search_also(SEARCHABLE)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the options, for `parse`."""
        yield from conflicts(self, SEARCHABLE)


@dataclass(frozen=True)
class DigitsProblem:
    """The data that training and scoring share among all members.

    Args:
        images: all digits, [1797, 64] in [-1, 1].
        judge: the network whose features are compared.
        reference: the features of all digits, as a Gaussian.
    """

    images: Tensor
    judge: FeatureNet
    reference: Gaussian


class DigitsTask:
    """Search generator and discriminator together: 21 variables, see `models.digits.networks`.

    Ladders of `search_also` come on top.
    """

    Options = DigitsOptions
    space: SearchSpace

    def __init__(self, options: DigitsOptions | None = None) -> None:
        self.options = options or DigitsOptions()
        self.space = with_ladders(digits_space(), self.options, SEARCHABLE)
        self._problem: DigitsProblem | None = None

    @property
    def problem(self) -> DigitsProblem:
        """The digits and the judge; there are none before `prepare`."""
        if self._problem is None:
            raise RuntimeError("digits: prepare() comes before training and evaluation")
        return self._problem

    def prepare(self, run: Preparation) -> None:
        """Load the digits; train the judge, unless the run already has one."""
        images, labels = load_digits()
        weights = run.lookup(_FEATURES)
        if weights is None:
            # The same judge for every `run.threads`, so that scores of such runs can be compared.
            with as_in_the_search(threads=1):
                trained = train_features(images, labels)
            weights = run.publish(_FEATURES, safetensors.torch.save(trained.state_dict()))
        judge = FeatureNet().requires_grad_(False).eval()
        judge.load_state_dict(safetensors.torch.load(weights))
        self._problem = DigitsProblem(images, judge, Gaussian.fit(judge.features(images)))

    def epoch_steps(self, choices: Mapping[str, Any] = NO_CHOICES) -> int:
        """Whole batches of all digits; with a ladder of batch sizes, as few as hold all of them."""
        images = len(self.problem.images)
        size = of_member(self.options, choices).batch_size
        return -(-images // size) if "batch_size" in self.options.search_also else images // size

    def look(self) -> str:
        """The digits in words, for `--dry-run`."""
        images, _ = load_digits()
        return f"{len(images):,} digits of 8x8 pixels, to train with and to compare with"

    def create(self, architecture: Architecture, seed: int) -> DigitsTrainee:
        """Both networks, their optimisers and the averaged generator, on the CPU."""
        return DigitsTrainee(self, architecture, seed)


class DigitsTrainee(Learner):
    """One member: generator, discriminator, averaged generator and two optimisers."""

    def __init__(self, task: DigitsTask, architecture: Architecture, seed: int) -> None:
        self._task = task
        self._choices = choices = task.space.decode(architecture)
        self._options = of_member(task.options, choices)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.generator = Generator(choices)
            self.discriminator = Discriminator(choices)
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self._generator_adam = self._adam(self.generator)
        self._discriminator_adam = self._adam(self.discriminator)
        super().__init__(
            nn.ModuleDict({"generator": self.generator, "discriminator": self.discriminator}),
            [self._generator_adam, self._discriminator_adam],
            averaged={"generator": self.averaged},
        )

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        # Fused: at this size the overhead of a call is the cost of a step.
        return torch.optim.Adam(
            network.parameters(), self._options.learning_rate, betas=(0.0, 0.9), fused=True
        )

    def train(self, epochs: int, context: Context) -> None:
        """Epochs of `epoch_steps`, in an order that is a function of `context.seed`.

        Raises `Diverged` naming the loss and the step of the job.
        """
        self.move(context.device)
        images = self._task.problem.images.to(context.device)
        steps = self._task.epoch_steps(self._choices)
        used = min(len(images), steps * self._options.batch_size)
        averaging = 1 - self._options.ema_decay
        training = self.steps()
        done = context.done
        for epoch in range(done // steps, epochs):
            order, latents = _plan(context.seed, epoch, len(images), used, steps)
            for i in range(max(0, done - epoch * steps), steps):
                step = epoch * steps + i + 1
                losses = training.step(images[order[i]], latents[i].to(context.device))
                self.average(averaging)
                for name, loss in losses.items():
                    if not math.isfinite(loss):
                        raise Diverged(f"the {name} is {loss} at step {step} of this job")
                if i + 1 == steps:
                    context.log(epoch=epoch + 1, **losses)
                context.tick(step)

    def steps(self) -> AdversarialSteps:
        """What trains both networks where they are now."""
        return AdversarialSteps(
            self.generator, self.discriminator, self._generator_adam, self._discriminator_adam
        )

    @torch.no_grad()
    def evaluate(self, context: Context) -> Evaluation:
        """Minus the Fréchet distance of `images` generated digits (`final_images` if final)."""
        self.move(context.device)
        problem, options = self._task.problem, self._task.options
        count = options.final_images if context.final else options.images
        seed = derive(context.seed, "digits-evaluation")
        latents = torch.randn(count, LATENTS, generator=torch.Generator().manual_seed(seed))
        images = torch.cat(
            [self.averaged(z.to(context.device)) for z in torch.split(latents, _CHUNK)]
        )
        context.tick()
        features = problem.judge.features(images.cpu())
        distance = frechet_distance(Gaussian.fit(features), problem.reference)
        artifacts = {}
        preview = None
        if count >= _PREVIEW_IMAGES:
            few = images[:_PREVIEW_IMAGES].reshape(-1, 8, 8)
            preview = grid_png(few, columns=8, scale=4)
        if context.final:
            digits = images[:_GRID_IMAGES].reshape(-1, 8, 8)
            artifacts["grid.png"] = grid_png(digits, columns=10, scale=4)
        metrics = {"frechet": distance, "images": float(count)}
        return Evaluation(-distance, metrics, artifacts, preview)

    def trained_network(self) -> Sampler:
        """The averaged generator."""
        return Sampler(self.averaged, latent=LATENTS, image=(1, 8, 8), batch=_CHUNK, together=True)

    def costs(self) -> Mapping[str, float]:
        """The multiply-adds of one generated image."""
        latents = torch.zeros(2, LATENTS, device="meta")  # normalised together: one is no batch
        return {"multiply_adds": multiply_adds(self.averaged, lambda n: n(latents)) / 2}


def _plan(
    seed: int, epoch: int, images: int, used: int, steps: int
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """The random choices of each step of an epoch: indices of images [B], latents [B, 18].

    A function of the job's seed and the epoch, so that an interrupted job can go on anywhere.
    The images that are used are divided equally among the steps, up to one image.
    """
    chance = torch.Generator().manual_seed(derive(seed, "digits-epoch", epoch))
    order = torch.randperm(images, generator=chance)[:used]
    latents = torch.randn(used, LATENTS, generator=chance)
    return torch.tensor_split(order, steps), torch.tensor_split(latents, steps)
