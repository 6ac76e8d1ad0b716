"""Random shifts against the published formulation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pbtnas.rl.augmentation import random_shift


def by_grid(images: Tensor, generator: torch.Generator, pad: int) -> Tensor:
    """Replicate padding, then sampling a shifted grid (square images)."""
    size = images.shape[-1]
    padded = F.pad(images, (pad,) * 4, mode="replicate")
    total = size + 2 * pad
    line = torch.linspace(-1 + 1 / total, 1 - 1 / total, total)[:size]
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)
    shift = torch.randint(0, 2 * pad + 1, (2, len(images), 1), generator=generator)
    offsets = shift.flip(0).permute(1, 2, 0)[:, None].float() * 2 / total
    return F.grid_sample(padded, grid + offsets, align_corners=False, padding_mode="zeros")


def test_shifts_equal_padding_and_sampling_a_grid() -> None:
    """Picking whole pixels is the same augmentation as published, to rounding."""
    images = torch.rand(16, 6, 20, 20)
    ours = random_shift(images, torch.Generator().manual_seed(1), pad=4)
    theirs = by_grid(images, torch.Generator().manual_seed(1), pad=4)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shape_and_dtype_are_kept_and_frames_move_together(dtype: torch.dtype) -> None:
    """All channels of one image get one shift, different images different ones."""
    images = torch.arange(12 * 14).reshape(1, 1, 12, 14).to(dtype).repeat(32, 9, 1, 1)
    shifted = random_shift(images, torch.Generator().manual_seed(0))
    assert shifted.shape == images.shape and shifted.dtype == dtype
    assert (shifted == shifted[:, :1]).all()
    assert len(torch.unique(shifted[:, 0], dim=0)) > 16


def test_the_generator_decides() -> None:
    """The same generator state gives the same shifts; no shift is drawn from elsewhere."""
    images = torch.rand(8, 3, 10, 10)
    once, again, other = (
        random_shift(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
