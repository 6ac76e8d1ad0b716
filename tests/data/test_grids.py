"""Pictures of many images: grey and in colour."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from pbtnas.data.grids import grid_png

GREY = [96, 96, 96]


def drawn(images: torch.Tensor, **how: int) -> tuple[str, np.ndarray]:
    """Mode and pixels of the grid."""
    picture = Image.open(io.BytesIO(grid_png(images, **how)))
    return picture.mode, np.asarray(picture)


def test_colours_stay_with_their_pixels() -> None:
    """Six 2x2 images, three a row: each in its place and colour, grey between them."""
    images = torch.full((6, 3, 2, 2), -1.0)
    images[1, 0] = 1  # red
    images[4, 2, 1, 0] = 1  # one blue pixel, lower left

    mode, pixels = drawn(images, columns=3, gap=1)

    assert mode == "RGB" and pixels.shape == (5, 8, 3)
    assert (pixels[:2, 3:5] == [255, 0, 0]).all()
    assert pixels[4, 3].tolist() == [0, 0, 255] and pixels[3:, 3:5].sum() == 255
    assert (pixels[2] == GREY).all() and (pixels[:, [2, 5]] == GREY).all()


def test_grey_images_make_a_grey_picture() -> None:
    """The same levels as in colour, in a third of the bytes."""
    images = torch.linspace(-1, 1, 4 * 3 * 5).view(4, 3, 5)

    mode, grey = drawn(images, columns=2, scale=2)
    _, colour = drawn(images[:, None].expand(-1, 3, -1, -1), columns=2, scale=2)

    assert mode == "L" and grey.shape == (2 * 6 + 2, 2 * 10 + 2)
    assert np.array_equal(colour, np.stack([grey] * 3, axis=-1))


def test_what_is_not_finite_is_black() -> None:
    """A diverged generator has a picture too."""
    images = torch.tensor([torch.nan, torch.inf]).view(2, 1, 1)

    _, pixels = drawn(images, columns=2, gap=0)

    assert pixels.tolist() == [[0, 255]]


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (8, 8), (5, 3, 8, 8), (1, 4, 3, 8, 8)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    """Two channels, a lone image, an incomplete row: an error with the shape, not a picture."""
    with pytest.raises(ValueError, match=r"expected images \[N, H, W\]"):
        grid_png(torch.zeros(shape), columns=2)
