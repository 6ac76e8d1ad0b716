"""The `task:` section of a config for the task `gan`.

Defaults are the paper's for CIFAR-10 (section 4); `configs/gan/` says what differs for STL-10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pbtnas.config import number, setting
from pbtnas.data.decoding import Alpha, Greyscale
from pbtnas.models.gan.discriminator import Branches
from pbtnas.models.gan.spaces import GanSizes
from pbtnas.tasks.searched_options import conflicts, search_also, times, towards_one

SIDES = {"cifar10": 32, "stl10": 48}
"""Pixels a side of each data set's images in the paper."""

LARGEST_SIDE = 128
"""Of images of one's own: the generator has three cells, and so begins at an eighth of it."""

SEARCHABLE = {
    "learning_rate": times(10, 21),
    "discriminator_learning_rate": times(10, 21, instead="learning_rate"),
    "ema_decay": towards_one(10, 21),
    "batch_size": times(4, 5, integer=True),
    "generator_batch_size": times(4, 5, integer=True),
}
"""The options that members can search for themselves, and how far."""

_SHAPES = ("width", "latent", "discriminator_width", "fixed_projections", "side")


@dataclass(frozen=True)
class GanOptions:
    """The options of networks, data, training and scoring."""

    space: Literal["gan", "gan-hard"] = setting(
        "gan", help="gan searches the generator's cells; gan-hard discriminator and projections too"
    )
    branches: Branches = setting(
        "sum",
        help="Of a searched discriminator's blocks: the paper's sum, or only the first, as in the "
        "published code.",
    )
    width: int = number(256, min=1, help="Channels of the generator.")
    latent: int = number(120, min=3, help="Length of the latent vector.")
    discriminator_width: int = number(128, min=1, help="Channels of the discriminator.")
    fixed_projections: int = number(
        3,
        min=1,
        max=3,
        help="Projections of the latent in the space gan, which does not search them.",
    )

    data: Literal["cifar10", "stl10", "folder", "own"] = setting(
        "cifar10",
        help="The real images: a known set, those of a folder, or those of a class that has its "
        "own `load_images`.",
    )
    path: str | None = setting(
        None, help="With data folder: where it is; images in its subfolders count too."
    )
    greyscale: Greyscale = setting(
        "convert", help="With data folder: what becomes of images without colours."
    )
    alpha: Alpha = setting(
        "refuse", help="With data folder: what is laid below transparent pixels, if anything."
    )
    side: int = number(
        32,
        min=16,
        max=LARGEST_SIDE,
        help="Pixels a side of real and generated images, a multiple of 16.",
    )

    batch_size: int = number(
        40, min=1, max=50_000, help="Real images, and as many generated, of a discriminator step."
    )
    generator_batch_size: int = number(80, min=1, help="Generated images of a generator step.")
    discriminator_steps: int = number(
        5, min=1, help="Discriminator steps for one generator step, counted anew in each epoch."
    )
    steps_per_epoch: int | None = number(
        None, min=1, help="Discriminator steps of an epoch; null means once through the data."
    )
    learning_rate: float = number(2e-4, min=0, help="Of Adam, for both networks; constant.")
    discriminator_learning_rate: float | None = number(
        None, min=0, newer=True, help="Of Adam for the discriminator; null means learning_rate."
    )
    betas: tuple[float, ...] = number((0.0, 0.9), min=0, max=1, help="Of Adam.")
    adam_eps: float = number(1e-4, min=0, help="Added to the denominator of Adam's step.")
    ema_decay: float = number(
        0.999, min=0, max=1, help="Of the averaged generator, per generator step."
    )

    extractor: Literal["inception", "fd-lite0"] = setting(
        "inception",
        help="Whose features are compared: Inception's for FID, or those of a small network that "
        "is installed with its weights.",
    )
    inception_weights: str | None = setting(
        None,
        help="Path of the weights; null looks at PBTNAS_INCEPTION and into the torch hub's cache.",
    )
    allow_download: bool = setting(
        False, help="Fetch Inception's weights if they are not on the machine."
    )
    statistics: str | None = setting(
        None,
        help="Path of an .npz file with the statistics of the real images, e.g. "
        "fid_stats_cifar10_train.npz; null measures them once.",
    )
    statistics_by: Literal["pytorch-fid", "tensorflow"] | None = setting(
        None,
        help="Which program made task.statistics: pytorch-fid, or tensorflow for the well-known "
        "files and clean-fid's legacy_tensorflow; null if the file says it, as those of pbtnas do.",
    )
    reference_images: int | None = number(
        None, min=100, help="Real images that are measured, from the first on; null means all."
    )
    images: int = number(5000, min=100, help="Generated for a score of the search.")
    final_images: int = number(50_000, min=100, help="Generated for the number to report.")

    tf32: bool = setting(
        False, help="Train with TF32 on GPUs since Ampere, which is faster than full float32."
    )
    bf16: bool = setting(False, help="Train in mixed precision (bfloat16 autocast).")
    channels_last: bool = setting(False, help="Store weights and features channels last.")
    fused: bool = setting(False, help="Use the fused kernel of Adam.")
    compile: bool = setting(False, help="Train through torch.compile.")

    search_also: tuple[str, ...] = search_also(SEARCHABLE)

    def sizes(self) -> GanSizes:
        """The sizes of the networks."""
        return GanSizes(
            width=self.width,
            bottom=self.side // 8,
            latent=self.latent,
            discriminator_width=self.discriminator_width,
            fixed_projections=self.fixed_projections,
        )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        yield from self._network_conflicts()
        yield from self._folder_conflicts()
        yield from self._score_conflicts()
        yield from conflicts(self, SEARCHABLE, shapes=_SHAPES)
        if "batch_size" in self.search_also and self.steps_per_epoch is not None:
            # Else epochs of large batches would train longer, and win.
            yield "steps_per_epoch", "null with task.search_also batch_size"
        if len(self.betas) != 2 or not all(beta < 1 for beta in self.betas):
            yield "betas", "two numbers, each less than 1"

    def _network_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.space == "gan" and self.branches != "sum":
            yield "branches", "sum with task.space gan, whose discriminator has no such branches"
        if self.space == "gan-hard" and self.fixed_projections != 3:
            yield "fixed_projections", "3 with task.space gan-hard, which searches its projections"
        if self.side % 16:
            yield "side", "a multiple of 16, so that every block may halve it"
        native = SIDES.get(self.data, LARGEST_SIDE)
        if self.data == "stl10" and self.side != native:
            yield "side", f"{native} with task.data stl10"
        elif self.side > native:
            yield "side", f"at most {native} with task.data {self.data}"
        if self.latent % 3 or self.latent % self.fixed_projections:
            parts = self.fixed_projections
            yield "latent", f"divisible by 3 and by task.fixed_projections, which is {parts}"

    def _folder_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.data == "folder":
            if self.path is None:
                yield "path", "a folder of images with task.data folder"
            return
        for key, idle in (("path", None), ("greyscale", "convert"), ("alpha", "refuse")):
            if getattr(self, key) != idle:
                yield key, f"{'null' if idle is None else idle} with task.data {self.data}"

    def _score_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.extractor != "inception" and self.inception_weights is not None:
            yield "inception_weights", f"null with task.extractor {self.extractor}"
        if self.statistics_by is not None:
            if self.statistics is None:
                yield "statistics_by", "null without task.statistics"
            elif self.extractor != "inception":
                yield "statistics_by", f"null with task.extractor {self.extractor}"
            elif self.side != SIDES.get(self.data, self.side):
                # Only files of pbtnas say of which images they are.
                yield "statistics_by", f"null with task.data {self.data} at task.side {self.side}"
        if self.statistics is None:
            return
        # The statistics become a product of the run under the file's name.
        if not re.fullmatch(r"[A-Za-z0-9._-]+\.npz", Path(self.statistics).name):
            yield "statistics", "an .npz file whose name has only letters, digits, '.', '_', '-'"
        if self.reference_images is not None:
            yield "reference_images", "null with task.statistics, which come from a file"
