"""Made images that need no download: gratings of three directions, with noise.

For trying a task out, and for tests.  They are made from integers by Python's own generator, the
same bytes on every machine.
"""

from __future__ import annotations

import random

import numpy as np

from pbtnas.data.images import ImageSet, pixel_digest

CLASSES = 3
COUNTS = {"train": 600, "test": 300}
_PERIOD = 4  # pixels


def load(*, split: str = "train", side: int = 8) -> ImageSet:
    """The train (600) or test (300) images, uint8 [N, 3, side, side]; labels are 0 to 2."""
    rng = random.Random(f"gratings {split} {side}")
    count = COUNTS[split]
    rows, columns = np.mgrid[:side, :side]
    labels = np.array([rng.randrange(CLASSES) for _ in range(count)], np.uint8)
    images = np.empty((count, 3, side, side), np.uint8)
    for image, label in zip(images, labels, strict=True):
        along = (rows, columns, rows + columns)[label]
        wave = (along + rng.randrange(_PERIOD)) % _PERIOD < _PERIOD // 2
        noise = np.frombuffer(rng.randbytes(image.size), np.uint8).reshape(image.shape)
        image[:] = 32 + 64 * wave + noise // 2
    return ImageSet(f"gratings-{split}-{side}", images, labels, pixel_digest(images))
