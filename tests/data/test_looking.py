"""What is said of arrays that cannot be images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pbtnas.data.images import DataError, ImageSet, pixel_digest
from pbtnas.data.looking import array_fault, content_fault

SHAPE = (4, 3, 6, 6)
GOOD = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
UNIT = np.linspace(0, 1, GOOD.size, dtype=np.float32).reshape(SHAPE)


@pytest.mark.parametrize(
    ("images", "found", "hint"),
    [
        (UNIT, "float32 [4, 3, 6, 6] from 0 to 1", "(255 * images).round()"),
        (2.0 * UNIT - 1, "float32 [4, 3, 6, 6] from -1 to 1", "(127.5 * images + 127.5)"),
        (255.0 * UNIT, "float32 [4, 3, 6, 6] from 0 to 255", "images.round().astype('uint8')"),
        (1000 * UNIT, "float32 [4, 3, 6, 6] from 0 to 1000", None),
        (np.nan * UNIT, "float32 [4, 3, 6, 6] from nan to nan", None),
        (GOOD.astype(np.int64), "int64 [4, 3, 6, 6] from 0 to 255", ".astype('uint8')"),
        ((65535 * UNIT).astype(np.uint16), "uint16 [4, 3, 6, 6] from 0 to 65535", "// 257"),
        (GOOD > 100, "bool [4, 3, 6, 6] from 0 to 1", "images.astype('uint8') * 255"),
        (GOOD[:, :1], "uint8 [4, 1, 6, 6]", "numpy.repeat(images, 3, axis=1)"),
        (np.repeat(GOOD[:, :1], 4, 1), "uint8 [4, 4, 6, 6]", "images[:, :3]"),
        (GOOD.transpose(0, 2, 3, 1), "uint8 [4, 6, 6, 3]", "images.transpose(0, 3, 1, 2)"),
        (GOOD[:, :, :, :3], "uint8 [4, 3, 6, 3]", "cut squares"),
        (GOOD[0], "uint8 [3, 6, 6]", None),
        (np.array([GOOD[0], None], dtype=object), "object [2]", "images of one size, stacked"),
        (torch.from_numpy(GOOD), "a Tensor", "images.numpy()"),
        (None, "a NoneType", None),
    ],
)
def test_what_cannot_be_images_is_one_sentence(images: Any, found: str, hint: str | None) -> None:
    """It says what was found, what was expected and, where that is clear, how to get there."""
    with pytest.raises(DataError) as caught:
        ImageSet("mine", images)

    sentence = str(caught.value)
    assert sentence.startswith(f"the images of mine are {found}, expected ")
    assert "uint8 [N, 3, S, S] from 0 to 255" in sentence
    assert hint is None or hint in sentence
    assert "\n" not in sentence


def test_bytes_of_the_right_shape_are_images() -> None:
    """Read-only, reversed or transposed in memory: only what is in them counts."""
    fixed = GOOD.copy()
    fixed.setflags(write=False)

    for images in (GOOD, fixed, GOOD[::-1], GOOD.transpose(0, 1, 3, 2)):
        assert array_fault(images) is None
        kept = ImageSet("mine", images)
        assert np.array_equal(kept.images, images)
        assert kept.images.flags.c_contiguous


def test_a_digest_is_never_what_somebody_typed() -> None:
    """Statistics and other machines go by the pixels themselves."""
    assert ImageSet("mine", GOOD, None, "0" * 64).digest == pixel_digest(GOOD)


@pytest.mark.parametrize("name", ["my images/v1", "/data/faces", "", ".hidden", None])
def test_a_name_that_cannot_be_a_files_is_refused(name: Any) -> None:
    """Products of the run are called after it."""
    with pytest.raises(DataError, match="expected a name of letters, digits"):
        ImageSet(name, GOOD)


def test_images_that_are_all_black_or_all_alike_are_told() -> None:
    """They would be searched for hours."""
    black, binary = np.zeros_like(GOOD), GOOD % 2

    assert content_fault(GOOD) is None
    assert content_fault(255 * binary) is None
    assert content_fault(black) == ("every pixel of every image is 0, so there is nothing to learn")
    assert "every pixel of every image is 7" in str(content_fault(black + 7))
    assert "pixels are 0 or 1, nearly black" in str(content_fault(binary))
    late = np.concatenate([np.zeros((1500, 3, 1, 1), np.uint8), np.full((1, 3, 1, 1), 9, np.uint8)])
    assert content_fault(late) is None
