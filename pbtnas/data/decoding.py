"""Makes the pixels of one image file, by fixed rules.

1. An image is turned as its EXIF orientation says; of several frames the first one counts.
2. The largest square in its middle is cut out, and resized by Pillow's bilinear filter, which
   averages when it shrinks and is computed in integers.
3. Grey is repeated in all channels, or refused.  Transparent pixels are refused, or laid on white
   or black.  An image of more than 8 bits, or in the colours of a printer, is refused.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from pbtnas.data.images import Pixels

Greyscale = Literal["convert", "refuse"]
Alpha = Literal["refuse", "white", "black"]

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY = ("1", "L", "LA")
_MODES = (*_GREY, "P", "PA", "RGB", "RGBA")
_LEVELS = {"white": 255, "black": 0}

# What Pillow says of damaged files, and of those that are something else.
_UNREADABLE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class Rules:
    """What the user chooses of the rules.

    Args:
        side: pixels a side.
        greyscale: what becomes of grey images.
        alpha: what lies below transparent pixels, if they are not refused.
    """

    side: int
    greyscale: Greyscale = "convert"
    alpha: Alpha = "refuse"


@dataclass(frozen=True)
class Refused:
    """An image that cannot be one by the rules.

    Args:
        kind: what is said of all such images, in the plural.
        remedy: what to do.
        file: its path.
        why: more on this one, or "".
    """

    kind: str
    remedy: str
    file: str
    why: str = ""


def decode(data: bytes, file: str, rules: Rules) -> Pixels | Refused:
    """The pixels [3, S, S] of an image, or why it cannot be one.

    Args:
        data: content of the file.
        file: its name, for messages.
        rules: what the user chooses.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            image = ImageOps.exif_transpose(opened)
            width, height = image.size
            short = min(width, height)
            left, top = (width - short) // 2, (height - short) // 2
            square = _coloured(image.crop((left, top, left + short, top + short)), file, rules)
    except _UNREADABLE as error:
        said = " ".join(str(error).split()).partition(" <_io.BytesIO")[0]
        return Refused("cannot be read as images", "mend or remove them", file, said)
    if isinstance(square, Refused):
        return square
    resized = square.resize((rules.side, rules.side), Image.Resampling.BILINEAR)
    return np.asarray(resized).transpose(2, 0, 1)


def _coloured(image: Image.Image, file: str, rules: Rules) -> Image.Image | Refused:
    """The image as RGB of 8 bits."""
    if image.mode not in _MODES:
        expected = (
            "expected 8 bits a channel, in RGB, grey or with a palette: convert or remove them"
        )
        return Refused("have other colours", expected, file, f"Pillow's mode {image.mode}")
    if image.mode in _GREY and rules.greyscale == "refuse":
        remedy = "set task.greyscale to convert, or remove them"
        return Refused("are grey, which task.greyscale refuses", remedy, file)
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image.convert("RGB")
    whole = image.convert("RGBA")
    if np.asarray(whole)[..., 3].min() == 255:
        return whole.convert("RGB")
    if rules.alpha == "refuse":
        remedy = "set task.alpha to white or black, which is then laid below them"
        return Refused("have transparent pixels", remedy, file)
    level = _LEVELS[rules.alpha]
    below = Image.new("RGBA", whole.size, (level, level, level, 255))
    return Image.alpha_composite(below, whole).convert("RGB")
