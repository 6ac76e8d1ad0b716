"""Many small images in one picture, for people to look at."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_GAP_GREY = 96


def grid_png(images: Tensor, *, columns: int, scale: int = 1, gap: int = 2) -> bytes:
    """A PNG of grey images [N, H, W] in [-1, 1], row by row; N is a multiple of `columns`.

    Every pixel is drawn as a square of `scale` pixels; images stand `gap` pixels apart.
    """
    if images.ndim != 3 or len(images) % columns:
        raise ValueError(f"expected images [N, H, W], N = k * {columns}: {list(images.shape)}")
    # NaN (a diverged generator) is drawn black.
    grey = ((images.detach().cpu().nan_to_num(-1) + 1) * 127.5).clamp(0, 255).round()
    large = grey.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
    framed = F.pad(large, (0, gap, 0, gap), value=_GAP_GREY)
    height, width = framed.shape[1:]
    rows = framed.view(-1, columns, height, width).transpose(1, 2).reshape(-1, columns * width)
    picture = rows[: len(rows) - gap, : rows.shape[1] - gap].to(torch.uint8)
    png = io.BytesIO()
    Image.fromarray(picture.numpy()).save(png, "PNG")
    return png.getvalue()
