"""Labelled images of the tasks of weight sharing: what trains, what scores, what is reported on.

Shapes: N images, B of a batch, S side in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pbtnas.data.images import ImageSet
from pbtnas.search.seeding import derive
from pbtnas.tasks.base import TaskError

_SCORED = 500  # images that are scored at once


@dataclass(frozen=True, eq=False)
class Examples:
    """Images and their classes.

    Args:
        images: uint8 [N, 3, S, S].
        labels: int64 [N].
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str) -> Examples:
        """The same on a device."""
        return Examples(self.images.to(device), self.labels.to(device))

    def __getitem__(self, which: slice) -> Examples:
        return Examples(self.images[which], self.labels[which])


def examples(images: ImageSet) -> Examples:
    """A set with classes.  Raises `TaskError` for one without."""
    if images.labels is None:
        raise TaskError(f"{images.name} has no labels; expected a set with classes")
    return Examples(torch.from_numpy(images.images), torch.from_numpy(images.labels).long())


@dataclass(frozen=True, eq=False)
class Problem:
    """The three parts of the images.

    Args:
        train: what networks are trained with.
        validation: what scores of the search are computed on.
        held_out: all that does not train and that nothing is reported on; it begins with
            `validation`.
        test: what is reported on.
    """

    train: Examples
    validation: Examples
    held_out: Examples
    test: Examples


@dataclass(frozen=True)
class Appearance:
    """How pixels become what networks see.

    Args:
        mean: subtracted from each channel of a pixel in [0, 1].
        std: what the channels are divided by then.
        flip: whether every second training image is mirrored.
        padding: pixels by which training images may be shifted.
        channels_last: whether batches are stored channels last.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    padding: int
    channels_last: bool

    def seen(self, images: Tensor) -> Tensor:
        """Pixels [B, 3, S, S] as float32, normalised."""
        device = images.device
        scale = torch.tensor([1 / (255 * s) for s in self.std], device=device)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)])
        seen = images.float() * scale.view(3, 1, 1) + shift.to(device).view(3, 1, 1)
        kind = torch.channels_last if self.channels_last else torch.contiguous_format
        return seen.contiguous(memory_format=kind)

    def changed(self, images: Tensor, seed: int) -> Tensor:
        """Training images [B, 3, S, S] shifted and mirrored, as the seed says.

        What is shifted in has the mean colour.
        """
        chance = torch.Generator().manual_seed(seed)  # of the CPU: the same on every device
        count, _, _, side = images.shape
        if self.padding:
            shifts = torch.randint(2 * self.padding + 1, (2, count, 1), generator=chance)
            shifts = shifts.to(images.device)
            along = torch.arange(side, device=images.device)
            rows, columns = (shifts + along).unbind()
            padded = F.pad(images, (self.padding,) * 4)
            which = torch.arange(count, device=images.device)[:, None, None]
            # Indexed dimensions come first: [B, S, S, 3].
            shifted = padded[which, :, rows[:, :, None], columns[:, None, :]]
            images = shifted.permute(0, 3, 1, 2)
        if self.flip:
            mirrored = torch.rand(count, generator=chance) < 0.5
            where = mirrored.to(images.device)[:, None, None, None]
            images = torch.where(where, images.flip(3), images)
        kind = torch.channels_last if self.channels_last else torch.contiguous_format
        return images.contiguous(memory_format=kind)


class Batches:
    """Shuffled training batches: a function of seed and step, so that training can go on anywhere.

    Args:
        train: what to train with, on the device.
        size: images of a batch; the last of a pass may have fewer.
        appearance: how pixels become what networks see.
    """

    def __init__(self, train: Examples, size: int, appearance: Appearance) -> None:
        self._train = train
        self._size = size
        self._appearance = appearance
        self._order: tuple[tuple[int, int], Tensor] | None = None

    def at(self, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Images [B, 3, S, S] and labels [B] of a step, counted on through the passes."""
        turn, place = divmod(step, -(-len(self._train) // self._size))
        chosen = self._permutation(seed, turn)[place * self._size : (place + 1) * self._size]
        images = self._appearance.seen(self._train.images[chosen])
        changed = self._appearance.changed(images, derive(seed, "augmentation", step))
        return changed, self._train.labels[chosen]

    def size_at(self, step: int) -> int:
        """Images of a step."""
        place = step % -(-len(self._train) // self._size)
        return min(self._size, len(self._train) - place * self._size)

    def some(self, count: int) -> Iterator[Tensor]:
        """Some batches of images as they are, always the same."""
        order = torch.randperm(
            len(self._train), generator=torch.Generator().manual_seed(derive(0, "some batches"))
        )
        for batch in torch.split(order[: count * self._size], self._size):
            yield self._appearance.seen(self._train.images[batch.to(self._train.images.device)])

    def _permutation(self, seed: int, turn: int) -> Tensor:
        """The order of a pass, int64 [N]; the last one asked for is kept."""
        if self._order is None or self._order[0] != (seed, turn):
            chance = torch.Generator().manual_seed(derive(seed, "order of images", turn))
            order = torch.randperm(len(self._train), generator=chance)
            self._order = (seed, turn), order.to(self._train.images.device)
        return self._order[1]


def in_chunks(part: Examples, appearance: Appearance) -> list[tuple[Tensor, Tensor]]:
    """All examples as networks see them, in batches, always in the same order."""
    starts = range(0, len(part), _SCORED)
    return [
        (appearance.seen(part.images[i : i + _SCORED]), part.labels[i : i + _SCORED])
        for i in starts
    ]
