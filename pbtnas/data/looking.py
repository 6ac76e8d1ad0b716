"""Looks at arrays that are meant to be images, and says what is wrong with them.

Pure functions from an array to a sentence, or None where nothing is wrong.
Shapes: N images, S side in pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

EXPECTED = "uint8 [N, 3, S, S] from 0 to 255"

_CHUNK = 1000  # images
_CHANNELS = (1, 3, 4)


def array_fault(images: Any) -> str | None:
    """What keeps it from being an image set: type, dtype, shape; None if nothing does."""
    if not isinstance(images, np.ndarray):
        hint = "; images.numpy() makes one" if hasattr(images, "numpy") else ""
        return f"a {type(images).__name__}, expected an array of numpy, {EXPECTED}{hint}"
    found = f"{images.dtype} {list(images.shape)}"
    if images.dtype == object:
        return f"{found}, expected {EXPECTED}: images of one size, stacked"
    hint = ""
    if images.dtype != np.uint8:
        if images.size and images.dtype.kind in "biuf":
            low, high = float(images.min()), float(images.max())
            found += f" from {low:g} to {high:g}"
            hint = _conversion(images.dtype, low, high)
        return f"{found}, expected {EXPECTED}{hint}"
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        return f"{found}, expected {EXPECTED}{_reshaping(images.shape)}"
    return None


def content_fault(images: NDArray[np.uint8]) -> str | None:
    """What the pixels [N, 3, S, S] say against being images; None if nothing does."""
    low, high = 255, 0
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK]
        low, high = min(low, int(chunk.min())), max(high, int(chunk.max()))
        if high > max(low, 1):
            return None
    if low == high:
        return f"every pixel of every image is {low}, so there is nothing to learn"
    if high == 1:
        return "pixels are 0 or 1, nearly black, where white is 255: multiply them by 255"
    return None  # there are none


def _conversion(dtype: np.dtype[Any], low: float, high: float) -> str:
    """How such numbers become bytes, as far as their range tells what they are."""
    if dtype.kind == "b":
        return "; images.astype('uint8') * 255"
    if dtype.kind == "f":
        if 0 <= low and high <= 1:
            return "; (255 * images).round().astype('uint8')"
        if -1 <= low and high <= 1:
            return "; (127.5 * images + 127.5).round().astype('uint8')"
    if 0 <= low and 1 < high <= 255:
        return "; images.round().astype('uint8')" if dtype.kind == "f" else "; .astype('uint8')"
    if dtype == np.uint16:
        return "; (images // 257).astype('uint8')"
    return ""


def _reshaping(shape: tuple[int, ...]) -> str:
    """How an array of that shape gets the right one, as far as that can be told."""
    if len(shape) != 4:
        return ""
    _, channels, height, width = shape
    if channels not in _CHANNELS and width in _CHANNELS:
        return "; channels come first: images.transpose(0, 3, 1, 2)"
    if channels == 1:
        return "; grey becomes colour by numpy.repeat(images, 3, axis=1)"
    if channels == 4:
        return "; images[:, :3] leaves the transparency out"
    if channels == 3 and height != width:
        return "; cut squares out of them"
    return ""
