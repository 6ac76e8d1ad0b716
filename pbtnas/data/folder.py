"""The images of a folder as an image set: decoded once on each machine.

Images are the files below the folder whose names end as `SUFFIXES` say, in subfolders too, in the
order of their paths.  What is hidden or ends otherwise is left out, and counted.  `decoding` has
the rules by which a file becomes pixels.  What is kept goes by the content of the files, not by
their dates.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import PIL
from filelock import FileLock

from pbtnas.data.decoding import Refused, Rules, decode
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

_RULES = 1  # another number with other rules: what was kept by these is not found then
_CHUNK = 1000  # images
_SHOWN = 3  # files in one sentence


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
        # Another process may have been started elsewhere, where a relative path means another one.
        started = "" if folder.is_absolute() else f" (seen from {Path.cwd()})"
        raise DataError(f"{folder} {what}{started}; expected a folder of images")
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
        raise DataError(f"{_named(folder / file)} cannot be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no file", str(path))  # to open a pipe would wait for ever
    return path.read_bytes()


def _decoded(
    listing: Listing, digests: Sequence[str], rules: Rules
) -> Iterator[tuple[int, Pixels]]:
    """Chunks of pixels with the index of their first; raises `DataError` behind the last."""
    refused: list[Refused] = []
    count = len(listing.files)
    made = partial(_made, listing.folder, rules=rules)
    with ThreadPoolExecutor() as pool:
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            found = list(pool.map(made, listing.files[part], digests[part]))
            refused += [image for image in found if isinstance(image, Refused)]
            log.info("decoded %d of %d images", min(start + _CHUNK, count), count)
            if not refused:
                yield start, np.stack([i for i in found if not isinstance(i, Refused)])
    if refused:
        raise DataError(_sentence(listing, refused))


def _sentence(listing: Listing, refused: Sequence[Refused]) -> str:
    """One sentence on the images that are refused as the first one is."""
    first = refused[0]
    alike = [image for image in refused if image.kind == first.kind]
    named = [_named(i.file) + (f" ({i.why})" if i.why else "") for i in alike[:_SHOWN]]
    more = f" and {len(alike) - _SHOWN:,} more" if len(alike) > _SHOWN else ""
    return (
        f"{listing.folder}: {len(alike):,} of {len(listing.files):,} {first.kind}: "
        f"{', '.join(named)}{more}; {first.remedy}"
    )


def _named(path: str | Path) -> str:
    """A path for messages; its bytes need not be UTF-8."""
    return str(path).encode(errors="backslashreplace").decode()


def _made(folder: Path, file: str, digest: str, *, rules: Rules) -> Pixels | Refused:
    try:
        data = _content(folder / file)
    except OSError as error:
        return Refused("cannot be read", "try again", file, str(error.strerror))
    if hashlib.sha256(data).hexdigest() != digest:
        return Refused("were changed while they were read", "try again", file)
    return decode(data, file, rules)
