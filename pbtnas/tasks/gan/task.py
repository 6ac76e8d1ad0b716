"""The paper's GAN searches: real images, and networks that learn to make more of them.

Generators, and in the space `gan-hard` discriminators too, on CIFAR-10 or STL-10; the score is
minus the Fréchet distance between features of generated and of real images (paper, section 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pbtnas.data.batches import ImageBatches
from pbtnas.data.images import DataError, ImageSet, data_directory
from pbtnas.determinism import tf32
from pbtnas.errors import MachineTrouble
from pbtnas.metrics.distances import distance
from pbtnas.metrics.extractors import Extractor, ExtractorError, Inception, Lite0, find_inception
from pbtnas.metrics.statistics import Statistics, StatisticsError, measure
from pbtnas.models.gan.spaces import build_gan, build_gan_hard, gan_hard_space, gan_space
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import State
from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation, TaskError
from pbtnas.tasks.choices import NO_CHOICES
from pbtnas.tasks.costs import multiply_adds
from pbtnas.tasks.faults import place_of
from pbtnas.tasks.gan.images import describe, load_images, looked_at, source
from pbtnas.tasks.gan.options import SEARCHABLE, SIDES, GanOptions
from pbtnas.tasks.gan.scoring import (
    CHUNK,
    GRID_IMAGES,
    PREVIEW_IMAGES,
    PREVIEW_SIDE,
    Given,
    first_images,
    generate,
    picture,
    read_given,
    reference,
    small_picture,
)
from pbtnas.tasks.gan.training import Adversaries, trains_generator
from pbtnas.tasks.sampling import Sampler
from pbtnas.tasks.searched_options import of_member, with_ladders

_CHECK_STEPS = 50  # between two looks at the losses: each look waits for the device
_SPLITS = 10  # of the Inception score


@dataclass(frozen=True)
class GanProblem:
    """The data that training and scoring share among all members.

    Args:
        images: real images to train with.
        statistics: statistics of real images, to which distances are measured.
    """

    images: ImageSet
    statistics: Statistics


class GanTask:
    """Search the generator's cells, or everything: 21 or 72 variables, see `models.gan.spaces`.

    Ladders of `search_also` come on top.  For images or an extractor of your own, override
    `load_images` or `make_extractor`.
    """

    Options = GanOptions
    space: SearchSpace

    def __init__(self, options: GanOptions | None = None) -> None:
        self.options = options or GanOptions()
        networks = gan_space() if self.options.space == "gan" else gan_hard_space()
        self.space = with_ladders(networks, self.options, SEARCHABLE)
        self._problem: GanProblem | None = None
        self._batches: tuple[str, ImageBatches] | None = None
        self._judge: tuple[str, Extractor] | None = None

    def load_images(self) -> ImageSet:
        """The real images, of `options.side`.  Raises `DataError`."""
        return load_images(self.options)

    def make_extractor(self, device: str) -> Extractor:
        """The network whose features are compared, on a device.  Raises `ExtractorError`."""
        if self.options.extractor == "fd-lite0":
            return Lite0(device)
        path = self.options.inception_weights
        weights = find_inception(
            Path(path).expanduser() if path else None, download=self.options.allow_download
        )
        return Inception(weights, device)

    @property
    def problem(self) -> GanProblem:
        """Images and their statistics; there is none before `prepare`."""
        if self._problem is None:
            raise RuntimeError("gan: prepare() comes before training and evaluation")
        return self._problem

    def prepare(self, run: Preparation) -> None:
        """Find images and extractor; measure the images, unless somebody already has.

        Raises `TaskError` when data or weights are missing, the images are not those of the run or
        cannot be trained on, or statistics do not fit them, and `MachineTrouble` when a download
        or a disk fails.
        """
        images, given = self._images(), self._given()
        measured = first_images(images, self.options.reference_images)
        known = self._place() is None and self.options.data in SIDES  # the same everywhere
        try:
            statistics = reference(
                run,
                measured,
                self.judge,
                given=given,
                cache=data_directory(),
                trained=None if known else images,
            )
        except MachineTrouble:
            raise
        except DataError as error:
            raise TaskError(f"{source(self.options, self._place())}{error}") from error
        except (ExtractorError, StatisticsError) as error:
            raise TaskError(str(error)) from error
        self._problem = GanProblem(images, statistics)

    def epoch_steps(self, choices: Mapping[str, Any] = NO_CHOICES) -> int:
        """Discriminator steps: once through the images, or as many as the options say."""
        options = of_member(self.options, choices)
        batches = -(-len(self.problem.images) // options.batch_size)
        return options.steps_per_epoch or batches

    def look(self) -> str:
        """The images in words, for `--dry-run`; refuses what `prepare` would refuse."""
        images, given = self._images(), self._given()
        try:
            judge = self.judge("cpu")
            if given:
                measured = first_images(images, self.options.reference_images)
                read_given(given, measured, judge)
        except (ExtractorError, StatisticsError) as error:
            raise TaskError(str(error)) from error
        return f"{images.name}, {describe(images)}"

    def _images(self) -> ImageSet:
        return looked_at(self.load_images, self.options, self._place())

    def _place(self) -> str | None:
        """Where the user's own `load_images` is; None if there is none."""
        method = type(self).load_images
        return None if method is GanTask.load_images else place_of(method)

    def _given(self) -> Given | None:
        options = self.options
        if options.statistics is None:
            return None
        return Given(Path(options.statistics).expanduser(), options.statistics_by)

    def create(self, architecture: Architecture, seed: int) -> GanTrainee:
        """Both networks, their optimisers and the averaged generator, on the CPU."""
        return GanTrainee(self, architecture, seed)

    def batches(self, device: str, size: int | None = None) -> ImageBatches:
        """The images on a device, which all its members share; the last device's are kept."""
        if self._batches is None or self._batches[0] != device:
            batches = ImageBatches(self.problem.images, self.options.batch_size, device)
            self._batches = device, batches
        return self._batches[1].sized(size or self.options.batch_size)

    def judge(self, device: str) -> Extractor:
        """The extractor on a device; the last device's is kept."""
        if self._judge is None or self._judge[0] != device:
            self._judge = device, self.make_extractor(device)
        return self._judge[1]


class GanTrainee:
    """One member of the search."""

    def __init__(self, task: GanTask, architecture: Architecture, seed: int) -> None:
        self._task = task
        choices = task.space.decode(architecture)
        self._options = options = of_member(task.options, choices)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            if options.space == "gan":
                networks = build_gan(choices, options.sizes())
            else:
                networks = build_gan_hard(choices, options.sizes(), options.branches)
        self.adversaries = Adversaries(networks, options)

    def train(self, epochs: int, context: Context) -> None:
        """Epochs of one pass over the images each, or of `steps_per_epoch`.

        All that chance decides is a function of `context.seed` and the step: the order of the
        images, the latents, and dropout, which draws from torch's global generator.

        Raises `Diverged` when a loss or a parameter is not finite.
        """
        with tf32(self._task.options.tf32):
            self._train(epochs, context)

    def _train(self, epochs: int, context: Context) -> None:
        self.adversaries.move(context.device)
        options = self._options
        batches = self._task.batches(context.device, options.batch_size)
        steps = options.steps_per_epoch or len(batches)
        chance = torch.Generator(context.device)
        total = torch.zeros((), device=context.device)  # of all losses
        for step in range(context.done, epochs * steps):
            epoch, index = divmod(step, steps)
            chance.manual_seed(derive(context.seed, "gan-latents", step))
            torch.manual_seed(derive(context.seed, "gan-dropout", step))
            real = batches.at(context.seed, step)
            found = self.adversaries.discriminator_step(real, self._latents(len(real), chance))
            total += found["discriminator_loss"]
            if trains_generator(index, options.discriminator_steps):
                latents = self._latents(options.generator_batch_size, chance)
                total += self.adversaries.generator_step(latents)
            ends = index + 1 == steps
            if ends or (step + 1) % _CHECK_STEPS == 0:
                self._check(total.item(), step + 1)
            if ends:
                context.log(epoch=epoch + 1, **{name: v.item() for name, v in found.items()})
            context.tick(step + 1)

    def _latents(self, count: int, chance: torch.Generator) -> Tensor:
        return torch.randn(count, self._task.options.latent, generator=chance, device=chance.device)

    def _check(self, total: float, step: int) -> None:
        """Raise `Diverged` for losses with a sum that is not finite, or for such a parameter.

        What is not finite stays so: a job that goes on from a snapshot made before the check
        finds it here again.
        """
        if not math.isfinite(total):
            raise Diverged(f"the losses up to step {step} of this job sum to {total}")
        if not self.adversaries.finite():
            raise Diverged(f"a parameter is nan or inf at step {step} of this job")

    def evaluate(self, context: Context) -> Evaluation:
        """Minus the distance of `images` generated images (`final_images` if final) to real ones.

        With Inception the final evaluation has the Inception score of the same images too.
        """
        self.adversaries.move(context.device)
        options = self._task.options
        count = options.final_images if context.final else options.images
        measurement = measure(
            self._task.judge(context.device),
            self._generated(count, context),
            count,
            data_digest="generated",
            splits=_SPLITS if context.final else None,
        )
        found = distance(measurement.statistics, self._task.problem.statistics)
        context.log(protocol=str(found))
        metrics = {found.name: found.value, "images": float(count)}
        if measurement.inception_score:
            metrics["is"], metrics["is_std"] = measurement.inception_score
        artifacts = {}
        if context.final:
            artifacts["grid.png"] = picture(next(self._generated(GRID_IMAGES, context)))
            artifacts["protocol.txt"] = found.protocol().encode()
        preview = None
        if options.side <= PREVIEW_SIDE:
            preview = small_picture(next(self._generated(PREVIEW_IMAGES, context)))
        return Evaluation(-found.value, metrics, artifacts, preview)

    def _generated(self, count: int, context: Context) -> Iterator[Tensor]:
        """Batches of images, float32 [B, 3, S, S] in [0, 255]; a function of the job's seed."""
        seed = derive(context.seed, "gan-evaluation")
        generator, latent = self.adversaries.judged(), self._task.options.latent
        for images in generate(generator, latent, count, seed=seed, device=context.device):
            yield images
            context.tick()

    def trained_network(self) -> Sampler:
        """The generator that is scored."""
        options = self._task.options
        return Sampler(
            self.adversaries.judged(),
            latent=options.latent,
            image=(3, options.side, options.side),
            batch=CHUNK,
            together=False,
        )

    def costs(self) -> Mapping[str, float]:
        """The multiply-adds of one generated image."""
        latents = torch.zeros(1, self._task.options.latent, device="meta")
        return {"multiply_adds": multiply_adds(self.adversaries.judged(), lambda n: n(latents))}

    def state(self) -> State:
        """Everything that is trained; the tensors alias the networks."""
        return self.adversaries.state()

    def load(self, state: State) -> None:
        """Become that state; raises `ValueError` naming the tensor that does not fit."""
        self.adversaries.load(state)
