"""The images of a folder as an image set: decoded once on each machine, by fixed rules.

1. Images are the files below the folder whose names end as `SUFFIXES` say, in subfolders too, in
   the order of their paths.  What is hidden or ends otherwise is left out, and counted.
2. An image is turned as its EXIF orientation says; of several frames the first one counts.
3. The largest square in its middle is cut out, and resized by Pillow's bilinear filter, which
   averages when it shrinks and is computed in integers.
4. Grey is repeated in all channels, or refused.  Transparent pixels are refused, or laid on white
   or black.  An image of more than 8 bits, or in the colours of a printer, is refused.

What is kept goes by the content of the files, not by their dates.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import PIL
from filelock import FileLock
from PIL import Image, ImageOps

from pbtnas.data.images import (
    DataError,
    DataMissing,
    ImageSet,
    Pixels,
    discard,
    open_set,
    store,
)

log = logging.getLogger("pbtnas")

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

Greyscale = Literal["convert", "refuse"]
Alpha = Literal["refuse", "white", "black"]

_RULES = 1  # of the module's docstring; kept images are those of other rules no more
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_CHUNK = 1000  # images
_SHOWN = 3  # files in one sentence
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
class Listing:
    """The files of a folder.

    Args:
        folder: the folder.
        files: paths of images relative to it, in order.
        hidden: number of files left out because they, or a folder above them, are hidden.
        others: number of other files that are no images.
    """

    folder: Path
    files: tuple[str, ...]
    hidden: int
    others: int

    def __str__(self) -> str:
        left_out = [
            f"{count:,} {what} file{'s' if count > 1 else ''}"
            for count, what in ((self.hidden, "hidden"), (self.others, "other"))
            if count
        ]
        ignored = f", {' and '.join(left_out)} left out" if left_out else ""
        return f"{len(self.files):,} images below {self.folder}{ignored}"


def list_images(folder: Path) -> Listing:
    """The images below a folder.  Raises `DataError` when it cannot be read or has none."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there"
        raise DataError(f"{folder} {what}; expected a folder of images")
    files, hidden, others = [], 0, 0

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error

    for place, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            path = (Path(place) / name).relative_to(folder)
            if any(part.startswith(".") for part in path.parts):
                hidden += 1
            elif path.suffix.lower() in SUFFIXES:
                files.append(path.as_posix())
            else:
                others += 1
    if not files:
        raise DataError(f"{folder} has no images: expected files that end in {', '.join(SUFFIXES)}")
    return Listing(folder, tuple(sorted(files)), hidden, others)


def load(directory: Path, folder: Path, rules: Rules) -> ImageSet:
    """The images of a folder, memory-mapped.

    Args:
        directory: the directory of data sets of this machine, where they are kept.
        folder: the folder.
        rules: how they are made.

    Raises `DataError` naming the files that cannot be images by these rules.
    """
    listing = list_images(folder)
    log.info("%s", listing)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(partial(_digest, folder), listing.files))
    made_of = [_RULES, asdict(rules), list(zip(listing.files, digests, strict=True))]
    key = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    name = f"folder-{rules.side}-{key[:16]}"
    shape = (len(listing.files), 3, rules.side, rules.side)

    def opened() -> ImageSet:
        # The same pixels have the same name wherever they lie.
        remedy = f"rm -r {directory / name}"
        return open_set(directory, name, shape, remedy, called=f"folder-{rules.side}")

    try:
        return opened()
    except DataError:
        pass  # it is missing or damaged
    with _one_by_one(directory / f".{name}.lock"):
        try:
            return opened()  # another process has just made it
        except DataMissing:
            pass
        except DataError:
            discard(directory, name)
        chunks = _decoded(listing, digests, rules)
        about = {"source": str(folder), "pillow": PIL.__version__}
        store(directory, name, shape, chunks, about=about)
    return opened()


@contextmanager
def _one_by_one(lock: Path) -> Iterator[None]:
    """Let others wait, so that a machine decodes once.  Where nothing can be locked, each does."""
    with ExitStack() as held:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(FileLock(lock))
        except (OSError, NotImplementedError):
            pass  # `store` says what is wrong, or the first one wins
        yield


def _digest(folder: Path, file: str) -> str:
    try:
        return hashlib.sha256(_content(folder / file)).hexdigest()
    except OSError as error:
        raise DataError(f"{folder / file} cannot be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no file", str(path))  # to open a pipe would wait for ever
    return path.read_bytes()


@dataclass(frozen=True)
class _Refused:
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


def _decoded(
    listing: Listing, digests: Sequence[str], rules: Rules
) -> Iterator[tuple[int, Pixels]]:
    """Chunks of pixels with the index of their first; raises `DataError` behind the last."""
    refused: list[_Refused] = []
    count = len(listing.files)
    made = partial(_made, listing.folder, rules=rules)
    with ThreadPoolExecutor() as pool:
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            found = list(pool.map(made, listing.files[part], digests[part]))
            refused += [image for image in found if isinstance(image, _Refused)]
            log.info("decoded %d of %d images", min(start + _CHUNK, count), count)
            if not refused:
                yield start, np.stack([i for i in found if not isinstance(i, _Refused)])
    if refused:
        raise DataError(_sentence(listing, refused))


def _sentence(listing: Listing, refused: Sequence[_Refused]) -> str:
    """One sentence on the images that are refused as the first one is."""
    first = refused[0]
    alike = [image for image in refused if image.kind == first.kind]
    named = [f"{i.file} ({i.why})" if i.why else i.file for i in alike[:_SHOWN]]
    more = f" and {len(alike) - _SHOWN:,} more" if len(alike) > _SHOWN else ""
    return (
        f"{listing.folder}: {len(alike):,} of {len(listing.files):,} {first.kind}: "
        f"{', '.join(named)}{more}; {first.remedy}"
    )


def _made(folder: Path, file: str, digest: str, *, rules: Rules) -> Pixels | _Refused:
    """The pixels of an image file, uint8 [3, S, S]."""
    try:
        data = _content(folder / file)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
            image = ImageOps.exif_transpose(opened)
            width, height = image.size
            short = min(width, height)
            left, top = (width - short) // 2, (height - short) // 2
            square = _coloured(image.crop((left, top, left + short, top + short)), file, rules)
    except _UNREADABLE as error:
        said = " ".join(str(error).split()).partition(" <_io.BytesIO")[0]
        return _Refused("cannot be read as images", "mend or remove them", file, said)
    if hashlib.sha256(data).hexdigest() != digest:
        return _Refused("were changed while they were read", "try again", file)
    if isinstance(square, _Refused):
        return square
    resized = square.resize((rules.side, rules.side), Image.Resampling.BILINEAR)
    return np.asarray(resized).transpose(2, 0, 1)


def _coloured(image: Image.Image, file: str, rules: Rules) -> Image.Image | _Refused:
    """The image as RGB of 8 bits."""
    if image.mode not in _MODES:
        expected = (
            "expected 8 bits a channel, in RGB, grey or with a palette: convert or remove them"
        )
        return _Refused("have other colours", expected, file, f"Pillow's mode {image.mode}")
    if image.mode in _GREY and rules.greyscale == "refuse":
        remedy = "set task.greyscale to convert, or remove them"
        return _Refused("are grey, which task.greyscale refuses", remedy, file)
    if image.mode not in ("LA", "PA", "RGBA") and "transparency" not in image.info:
        return image.convert("RGB")
    whole = image.convert("RGBA")
    if np.asarray(whole)[..., 3].min() == 255:
        return whole.convert("RGB")
    if rules.alpha == "refuse":
        remedy = "set task.alpha to white or black, which is then laid below them"
        return _Refused("have transparent pixels", remedy, file)
    level = _LEVELS[rules.alpha]
    below = Image.new("RGBA", whole.size, (level, level, level, 255))
    return Image.alpha_composite(below, whole).convert("RGB")
