"""Random shifts of images: the whole of DrQ's augmentation."""

from __future__ import annotations

import torch
from torch import Tensor


def random_shift(images: Tensor, generator: torch.Generator, pad: int = 4) -> Tensor:
    """Move every image by up to `pad` pixels each way, repeating its border.

    (Yarats et al., 2021, section 3.1.)  All frames of a stack move together.  Shifts are whole
    pixels, so picking pixels gives what padding and sampling a grid gives, exactly, and on
    uint8, at a quarter of the memory.

    Args:
        images: images [B, C, H, W] of any dtype.
        generator: generator on the device of the images; consumed for 2 B integers.
        pad: largest shift in pixels.
    """
    batch, _, height, width = images.shape
    device = images.device
    shift = torch.randint(0, 2 * pad + 1, (2, batch, 1), generator=generator, device=device) - pad
    rows = (torch.arange(height, device=device) + shift[0]).clamp(0, height - 1)
    columns = (torch.arange(width, device=device) + shift[1]).clamp(0, width - 1)
    index = torch.arange(batch, device=device)[:, None, None]
    # Indexing around the channels puts them last: [B, H, W, C] -> [B, C, H, W].
    return images[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
