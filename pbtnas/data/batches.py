"""An image set on the training device, cut into batches, and pixels as networks see them.

Shapes: N images, B images of a batch, S side in pixels.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Sized

import torch
from torch import Tensor

from pbtnas.data.images import ImageSet, Pixels


class ImageBatches:
    """Shuffled batches of a set that lives on the training device as uint8.

    Make one per process and device and share it: it holds the whole set.  No state but that:
    a batch is a function of seed and step, so that training can go on at any step.
    """

    def __init__(self, images: ImageSet, batch: int, device: str | torch.device) -> None:
        _check(batch, images)
        self._images = tensor_of(images.images).to(device)  # [N, 3, S, S]
        self._batch = batch
        self._order: tuple[tuple[int, int], Tensor] | None = None

    def sized(self, batch: int) -> ImageBatches:
        """The same images on the device, in batches of that size."""
        if batch == self._batch:
            return self
        _check(batch, self._images)
        other = copy.copy(self)
        other._batch = batch
        return other

    def __len__(self) -> int:
        """Batches, that is steps, of one epoch; the last may be smaller, as in the paper."""
        return -(-len(self._images) // self._batch)

    def at(self, seed: int, step: int) -> Tensor:
        """The batch of a step, counted from 0 and on through the epochs.

        Returns float32 [B, 3, S, S] in [-1, 1] on the device.  Every epoch is a permutation of
        its own, the same on every device.
        """
        epoch, place = divmod(step, len(self))
        chosen = self._permutation(seed, epoch)[place * self._batch : (place + 1) * self._batch]
        return normalise(self._images.index_select(0, chosen))

    def _permutation(self, seed: int, epoch: int) -> Tensor:
        """The order of an epoch, int64 [N]; the last one asked for is kept."""
        if self._order is None or self._order[0] != (seed, epoch):
            digest = hashlib.sha256(f"{seed}/order/{epoch}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            order = torch.randperm(len(self._images), generator=generator)
            self._order = (seed, epoch), order.to(self._images.device)
        return self._order[1]


def _check(batch: int, images: Sized) -> None:
    if not 1 <= batch <= len(images):
        raise ValueError(f"batch: {batch} is not between 1 and the {len(images)} images")


def tensor_of(images: Pixels) -> Tensor:
    """A tensor of the same memory: never write to it."""
    with warnings.catch_warnings():
        # What may not be written to need not be: torch warns all the same.
        warnings.filterwarnings("ignore", "The given NumPy array is not writable", UserWarning)
        return torch.from_numpy(images)


def normalise(images: Tensor) -> Tensor:
    """Pixels in [0, 255] as the float32 in [-1, 1] that networks see."""
    return images.float() / 127.5 - 1.0


def pixels(images: Tensor) -> Tensor:
    """Generated images in [-1, 1] as float pixels clamped to [0, 255], not rounded."""
    return (127.5 * images + 127.5).clamp(0.0, 255.0)
