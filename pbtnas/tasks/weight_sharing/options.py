"""The `task:` sections of a config for the tasks `cell64` and `supernet`.

Defaults are those of "Deeper insights into weight sharing" (appendix A) but for the held-out
images; `configs/weight_sharing/` has smaller sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pbtnas.config import number, setting
from pbtnas.data import cifar10, gratings
from pbtnas.models.cell64.networks import Cell64Sizes
from pbtnas.models.cell64.operations import KERNELS
from pbtnas.supernet.inactive import Inactive
from pbtnas.supernet.orders import Order
from pbtnas.supernet.parts import Grouping
from pbtnas.supernet.schedule import Cosine
from pbtnas.supernet.statistics import Statistics
from pbtnas.tasks.weight_sharing.method_options import MethodOptions

COUNTS = {
    "cifar10": {split: found.count for split, found in cifar10.SPLITS.items()},
    "gratings": gratings.COUNTS,
}
"""Images of each half of each data set."""

CLASSES = {"cifar10": 10, "gratings": gratings.CLASSES}


@dataclass(frozen=True, kw_only=True)
class Cell64Options:
    """The options of networks, data and training, for networks alone and supernets alike."""

    width: int = number(16, min=1, help="Channels inside of a cell, which returns twice as many.")
    cells: int = number(4, min=1, help="Cells of a network.")
    stem_factor: int = number(3, min=1, help="Channels of the stem, in multiples of the width.")
    kernels: tuple[int, ...] = number(
        KERNELS,
        min=1,
        help="Sides of the kernels of the four operations: pooling, two separable convolutions, a "
        "dilated one.",
    )
    bn_momentum: float = number(
        0.4, min=0, max=1, help="Weight of a batch in running statistics; published 0.4."
    )

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

    init_seed: int | None = number(
        None, min=0, help="Seed of the initial weights; null means by the seed of the run."
    )
    data_seed: int | None = number(
        None, min=0, help="Seed of batches and augmentation; null means by the seed of the run."
    )

    def sizes(self) -> Cell64Sizes:
        """The sizes of the networks."""
        return Cell64Sizes(
            width=self.width,
            cells=self.cells,
            stem_factor=self.stem_factor,
            classes=CLASSES[self.data],
            kernels=self.kernels,
            bn_momentum=self.bn_momentum,
        )

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
        if len(self.kernels) != 4 or not all(k % 2 for k in self.kernels):
            yield "kernels", "four odd numbers"
        elif self.kernels[1] == self.kernels[2]:
            yield "kernels", "two different separable convolutions in the middle"
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


@dataclass(frozen=True, kw_only=True)
class SupernetOptions(MethodOptions, Cell64Options):
    """The options of a supernet, besides those of its networks, data and training."""

    @classmethod
    def preset(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the method of these options sets, where they do not; halves of the images too."""
        found = super().preset(given)
        counts = COUNTS.get(given.get("data", "cifar10"))
        if found and {**found, **given}.get("objective", "bilevel") == "bilevel" and counts:
            found["held_out"] = counts["train"] // 2
        return found

    space: Literal["cell64"] = setting("cell64", help="The space whose architectures share.")
    sharing: Literal["all", "groups", "prefix", "names"] = setting(
        "all",
        help="Which tensors subnets have in common: all; those of a group, each of which is a "
        "member of the population; those of the first cells; or all but those named in private.",
    )
    groups: int = number(1, min=1, help="Groups with weights of their own, with sharing groups.")
    grouping: Grouping = setting(
        "random", help="How groups are made: the paper's random partition, or by first choices."
    )
    prefix: int = number(
        0, min=0, help="Cells whose tensors are shared, with sharing prefix; the stem always is."
    )
    shared_head: bool = setting(
        False, help="Share the linear head too, with sharing prefix; in the paper it never is."
    )
    private: tuple[str, ...] = setting(
        (),
        help="Patterns of names of tensors that each subnet has for itself, with sharing names, "
        "such as [cells.*.e12.*] or ['*.running_*', '*.num_batches_tracked'].",
    )

    order: Order = setting(
        "cycle",
        help="Which subnet a mini-batch trains: in order again and again; in one permutation; in a "
        "new permutation every time; or drawn uniformly.",
    )
    order_seed: int | None = number(
        None, min=0, help="Seed of the order; null means by the seed of the run."
    )
    inactive: Inactive = setting(
        "frozen",
        help="What a step does to operations that its subnet does not use: nothing, or weight "
        "decay and momentum as in the paper's code.",
    )
    statistics: Statistics = setting(
        "running",
        help="What normalisation uses when a subnet is scored: running statistics, those of the "
        "images scored, 500 at a time, or new ones of a few training batches.",
    )
    recalibration_batches: int = number(
        4, min=1, help="Training batches for new statistics, with statistics recalibrated."
    )
    scored: tuple[str, ...] = setting(
        (), help="Names of the subnets that are scored, such as ['111', '434']; [] means all."
    )
    dense_rows: int = number(
        0,
        min=0,
        help="Score the subnets after each of so many last mini-batches of the schedule, and keep "
        "the accuracies in the checkpoint.",
    )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        yield from super().conflicts()
        yield from self._sharing_conflicts()
        yield from self.method_conflicts(self.width)
        if self.method is not None:
            yield from self._beside_a_method()
        if self.order_seed is not None and self.order == "cycle":
            yield "order_seed", "null with task.order cycle, which draws nothing"

        if len(set(self.scored)) < len(self.scored):
            yield "scored", "every subnet once"
        if self.scored and self.sharing == "groups":
            yield "scored", "[] with task.sharing groups, where each group scores its own"

    def sizes(self) -> Cell64Sizes:
        """The sizes of the networks, whose operations may see a part of the channels."""
        return replace(super().sizes(), parts=self.partial_channels)

    def misfits(self, train: int, test: int) -> Iterator[tuple[str, str]]:
        """What does not fit the numbers of images of both halves, for `UnfitOptions`."""
        yield from super().misfits(train, test)
        if self.method is not None and self.choice_images > (
            scoring := self.validation_images or self.held_out
        ):
            yield "choice_images", f"at most the {scoring} validation images"
        steps = self.schedule_epochs * self.epoch_steps(self.training_images(train))
        if self.held_out < train and self.dense_rows > steps:
            yield "dense_rows", f"at most the {steps} steps of the schedule"

    def _beside_a_method(self) -> Iterator[tuple[str, str]]:
        """What has no meaning where a method decides it."""
        without = "with task.method"
        if self.sharing != "all":
            yield "sharing", f"all {without}"
        if self.order != "cycle":
            yield "order", f"cycle {without}, which decides what a step trains"
        if self.inactive != "frozen":
            yield "inactive", f"frozen {without}"
        if self.dense_rows:
            yield "dense_rows", f"0 {without}"
        if self.as_published:
            yield "as_published", f"false {without}, which learns from the images that score"

    def _sharing_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.sharing != "groups" and self.groups != 1:
            yield "groups", f"1 with task.sharing {self.sharing}"
        if self.sharing != "prefix" and self.prefix != 0:
            yield "prefix", f"0 with task.sharing {self.sharing}"
        if self.sharing != "prefix" and self.shared_head:
            yield "shared_head", f"false with task.sharing {self.sharing}, where it is not asked"
        if self.sharing != "names" and self.private:
            yield "private", f"[] with task.sharing {self.sharing}"
