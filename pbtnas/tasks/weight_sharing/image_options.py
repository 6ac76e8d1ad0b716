"""The options of data and training that all tasks of weight sharing have in their `task:` section.

Defaults are those of "Deeper insights into weight sharing" (appendix A) but for the held-out
images; `configs/weight_sharing/` has smaller sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pbtnas.config import number, setting
from pbtnas.data import cifar10, gratings
from pbtnas.models.edges import Sizes
from pbtnas.supernet.schedule import Cosine

COUNTS = {
    "cifar10": {split: found.count for split, found in cifar10.SPLITS.items()},
    "gratings": gratings.COUNTS,
}
"""Images of each half of each data set."""

CLASSES = {"cifar10": 10, "gratings": gratings.CLASSES}


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """The options of data and training, for networks alone and supernets of every space alike."""

    data: Literal["cifar10", "gratings"] = setting(
        "cifar10", help="The images; gratings are made images of 3 classes, for trying out."
    )
    side: int = number(32, min=8, max=32, help="Pixels a side; smaller ones are resized once.")
    held_out: int = number(
        5000, min=1, help="The last images of the train half, which score and do not train."
    )
    validation_images: int | None = number(
        None, min=1, help="How many of the held-out images score in the search; null means all."
    )
    as_published: bool = setting(
        False,
        help="Train with all of the train half and score on the test half, as in the paper; the "
        "scores are then chosen by what they are reported on.",
    )
    mean: tuple[float, ...] = number(
        (0.4914, 0.4822, 0.4465), min=0, max=1, help="Subtracted from the channels of a pixel."
    )
    std: tuple[float, ...] = number(
        (0.247, 0.2435, 0.2616), min=1e-3, max=1, help="What the channels are divided by then."
    )
    flip: bool = setting(True, help="Mirror every second training image, at random.")
    crop_padding: int = number(
        4, min=0, max=16, help="Shift training images by up to so many pixels; 0 means never."
    )

    batch_size: int = number(256, min=2, help="Images of a mini-batch; the last may have fewer.")
    steps_per_epoch: int | None = number(
        None, min=1, help="Mini-batches of an epoch; null means once through the training images."
    )
    schedule_epochs: int = number(
        200, min=1, help="Epochs in which the learning rate falls; a run may stop before."
    )
    rate_changes: Literal["epoch", "step"] = setting(
        "epoch", help="When the learning rate is set anew; published once an epoch."
    )
    learning_rate: float = number(0.025, min=0, help="Of SGD in the first step.")
    lowest_rate: float = number(0.001, min=0, help="What it approaches as half a cosine.")
    momentum: float = number(0.9, min=0, max=1, help="Of SGD.")
    nesterov: bool = setting(False, newer=True, help="Use Nesterov's momentum.")
    weight_decay: float = number(1e-3, min=0, help="Of SGD.")
    channels_last: bool = setting(
        True, help="Store weights and features channels last, twice as fast on CPUs."
    )

    count_cost: bool | None = setting(
        None,
        newer=True,
        help="Report the multiply-adds of each job as the metric spent_multiply_adds; null means "
        "in nb201, and with task.method.",
    )

    init_seed: int | None = number(
        None, min=0, help="Seed of the initial weights; null means by the seed of the run."
    )
    data_seed: int | None = number(
        None, min=0, help="Seed of batches and augmentation; null means by the seed of the run."
    )

    def sizes(self) -> Sizes:
        """The space of the networks, and what of them is not searched."""
        raise NotImplementedError

    def counts_cost(self) -> bool:
        """Whether members report the multiply-adds of their jobs."""
        return bool(self.count_cost)

    def training_images(self, total: int) -> int:
        """How many of all images of the train half train."""
        return total if self.as_published else total - self.held_out

    def epoch_steps(self, images: int) -> int:
        """Mini-batches of an epoch, with so many training images."""
        return self.steps_per_epoch or -(-images // self.batch_size)

    def schedule(self, epoch_steps: int) -> Cosine:
        """The learning rate by step."""
        return Cosine(
            self.schedule_epochs * epoch_steps,
            self.learning_rate,
            self.lowest_rate,
            held=epoch_steps if self.rate_changes == "epoch" else 1,
        )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        for key in ("mean", "std"):
            if len(getattr(self, key)) != 3:
                yield key, "three numbers, one a channel"
        if self.lowest_rate > self.learning_rate:
            yield "lowest_rate", f"at most task.learning_rate, which is {self.learning_rate}"
        if self.nesterov and not self.momentum:
            yield "nesterov", "false with task.momentum 0"

    def misfits(self, train: int, test: int) -> Iterator[tuple[str, str]]:
        """What does not fit the numbers of images of both halves, for `UnfitOptions`."""
        if self.held_out >= train:
            yield "held_out", f"less than the {train} images to train with"
            return
        scoring = test if self.as_published else self.held_out
        if (self.validation_images or 0) > scoring:
            yield "validation_images", f"at most the {scoring} images that may score"
        if self.batch_size > (training := self.training_images(train)):
            yield "batch_size", f"at most the {training} training images"
