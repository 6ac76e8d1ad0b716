"""Many small images in one picture, for people to look at."""

from __future__ import annotations

import io

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_GAP_GREY = 96


def grid_png(images: Tensor, *, columns: int, scale: int = 1, gap: int = 2) -> bytes:
    """A PNG of images in [-1, 1], row by row: grey [N, H, W] or colour [N, 3, H, W].

    Every pixel is drawn as a square of `scale` pixels; images stand `gap` pixels apart.  N is a
    multiple of `columns`.
    """
    stacked = images[:, None] if images.ndim == 3 else images  # [N, C, H, W]
    if stacked.ndim != 4 or stacked.shape[1] not in (1, 3) or len(stacked) % columns:
        raise ValueError(
            f"expected images [N, H, W] or [N, 3, H, W], N = k * {columns}: {list(images.shape)}"
        )
    # NaN (a diverged generator) is drawn black.
    levels = ((stacked.detach().cpu().nan_to_num(-1) + 1) * 127.5).clamp(0, 255).round()
    large = levels.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    framed = F.pad(large, (0, gap, 0, gap), value=_GAP_GREY)
    channels, height, width = framed.shape[1:]
    table = framed.view(-1, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    sheet = table.reshape(-1, columns * width, channels)
    picture = sheet[: len(sheet) - gap, : sheet.shape[1] - gap].to(torch.uint8).numpy()
    png = io.BytesIO()
    Image.fromarray(picture[:, :, 0] if channels == 1 else picture).save(png, "PNG")
    return png.getvalue()
