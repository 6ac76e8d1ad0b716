"""The `task:` sections of a config for the tasks `cell64` and `supernet`.

`configs/weight_sharing/` has smaller sizes than the defaults, which are published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pbtnas.config import number, setting
from pbtnas.models.cell64.networks import Cell64Sizes
from pbtnas.models.cell64.operations import KERNELS
from pbtnas.models.edges import Sizes
from pbtnas.models.nb201.networks import Nb201Sizes
from pbtnas.supernet.inactive import Inactive
from pbtnas.supernet.orders import Order
from pbtnas.supernet.parts import Grouping
from pbtnas.supernet.statistics import Statistics
from pbtnas.tasks.weight_sharing.image_options import CLASSES, COUNTS, ImageOptions
from pbtnas.tasks.weight_sharing.method_options import MethodOptions

NB201_SCORED = 100
"""Subnets of NAS-Bench-201 that are scored by default, of 15,625."""


@dataclass(frozen=True, kw_only=True)
class Cell64Networks:
    """What is not searched of the networks of the space of 64."""

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


@dataclass(frozen=True, kw_only=True)
class Cell64Options(ImageOptions, Cell64Networks):
    """The options of networks of the space of 64, alone."""

    def sizes(self) -> Sizes:
        """The sizes of the networks."""
        return Cell64Sizes(
            width=self.width,
            cells=self.cells,
            stem_factor=self.stem_factor,
            classes=CLASSES[self.data],
            kernels=self.kernels,
            bn_momentum=self.bn_momentum,
            parts=self.channel_parts(),
        )

    def channel_parts(self) -> int:
        """Of so many parts of the channels inside of a cell, operations see one."""
        return 1

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        if len(self.kernels) != 4 or not all(k % 2 for k in self.kernels):
            yield "kernels", "four odd numbers"
        elif self.kernels[1] == self.kernels[2]:
            yield "kernels", "two different separable convolutions in the middle"
        yield from super().conflicts()


@dataclass(frozen=True, kw_only=True)
class SupernetOptions(MethodOptions, Cell64Options):
    """The options of a supernet, besides those of its networks, data and training."""

    space: Literal["cell64", "nb201"] = setting(
        "cell64",
        help="The space whose architectures share; in nb201, cells are those of each of three "
        "stages, and stem_factor and kernels mean nothing.",
    )
    affine: bool = setting(
        False,
        newer=True,
        help="Normalise with weights inside of the cells of nb201, as its networks alone do; "
        "published supernets do not, and their convolutions have a bias instead.",
    )
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
        (),
        help="Names of the subnets that are scored, such as ['111', '434']; [] means all, or "
        "scored_count of them.",
    )
    scored_count: int | None = number(
        None,
        min=1,
        newer=True,
        help="How many subnets of a part are scored, drawn once, the same for every seed; null "
        "means all, or 100 in nb201.",
    )
    dense_rows: int = number(
        0,
        min=0,
        help="Score the subnets after each of so many last mini-batches of the schedule, and keep "
        "the accuracies in the checkpoint.",
    )

    @classmethod
    def preset(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the method of these options sets, where they do not; halves of the images too."""
        found = super().preset(given)
        counts = COUNTS.get(given.get("data", "cifar10"))
        if found and {**found, **given}.get("objective", "bilevel") == "bilevel" and counts:
            found["held_out"] = counts["train"] // 2
        return found

    def sizes(self) -> Sizes:
        """The space whose architectures share, and what of its networks is not searched."""
        if self.space == "cell64":
            return super().sizes()
        return Nb201Sizes(
            width=self.width,
            cells=self.cells,
            classes=CLASSES[self.data],
            bn_momentum=self.bn_momentum,
            affine=self.affine,
            parts=self.partial_channels,
        )

    def channel_parts(self) -> int:
        """Of so many parts of the channels inside of a cell, operations see one."""
        return self.partial_channels

    def counts_cost(self) -> bool:
        """Whether members report the multiply-adds of their jobs."""
        usual = self.space == "nb201" or self.method is not None
        return usual if self.count_cost is None else self.count_cost

    def most_scored(self) -> int | None:
        """How many subnets of a part are scored at most; None for all."""
        if self.scored_count is None and self.space == "nb201":
            return NB201_SCORED
        return self.scored_count

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Broken rules between the fields, for `parse`."""
        yield from super().conflicts()
        yield from self._sharing_conflicts()
        yield from self._space_conflicts()
        yield from self.method_conflicts(self.width)
        if self.method is not None:
            yield from self._beside_a_method()
        if self.order_seed is not None and self.order == "cycle":
            yield "order_seed", "null with task.order cycle, which draws nothing"

        if len(set(self.scored)) < len(self.scored):
            yield "scored", "every subnet once"
        if self.scored and self.sharing == "groups":
            yield "scored", "[] with task.sharing groups, where each group scores its own"

    def misfits(self, train: int, test: int) -> Iterator[tuple[str, str]]:
        """What does not fit the numbers of images of both halves, for `UnfitOptions`."""
        yield from super().misfits(train, test)
        scoring = self.validation_images or self.held_out
        if self.method is not None and self.choice_images > scoring:
            yield "choice_images", f"at most the {scoring} validation images"
        steps = self.schedule_epochs * self.epoch_steps(self.training_images(train))
        if self.held_out < train and self.dense_rows > steps:
            yield "dense_rows", f"at most the {steps} steps of the schedule"

    def _beside_a_method(self) -> Iterator[tuple[str, str]]:
        """What has no meaning where a method decides it."""
        if self.sharing != "all":
            yield "sharing", "all with task.method"
        if self.order != "cycle":
            yield "order", "cycle with task.method, which decides what a step trains"
        if self.inactive != "frozen":
            yield "inactive", "frozen with task.method"
        if self.dense_rows:
            yield "dense_rows", "0 with task.method"
        if self.scored_count is not None:
            yield "scored_count", "null with task.method, which scores what it chooses"
        if self.as_published:
            yield "as_published", "false with task.method, which learns from images that score"

    def _space_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.affine and self.space != "nb201":
            yield "affine", f"false with task.space {self.space}"
        if self.space == "nb201" and self.sharing in ("prefix", "names"):
            yield (
                "sharing",
                "all or groups with task.space nb201, whose 15,625 subnets are too many for "
                "tensors of their own",
            )
        if self.scored and self.scored_count is not None:
            yield "scored_count", "null with task.scored, which names the subnets"

    def _sharing_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.sharing != "groups" and self.groups != 1:
            yield "groups", f"1 with task.sharing {self.sharing}"
        if self.sharing != "prefix" and self.prefix != 0:
            yield "prefix", f"0 with task.sharing {self.sharing}"
        if self.sharing != "prefix" and self.shared_head:
            yield "shared_head", f"false with task.sharing {self.sharing}, where it is not asked"
        if self.sharing != "names" and self.private:
            yield "private", f"[] with task.sharing {self.sharing}"
