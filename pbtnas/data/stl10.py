"""STL-10 as generative models use it: the 105,000 train and unlabeled images at 48x48.

The archive is read once, front to back, a thousand images at a time: unpacked it has 3 GB,
kept are 726 MB.  The set has no labels, since most of its images have none.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from pbtnas.data.download import Progress, fetch, silent
from pbtnas.data.images import DataError, ImageSet, Pixels, discard, open_set, resize, store

ARCHIVE = "stl10_binary.tar.gz"
URL = f"http://ai.stanford.edu/~acoates/stl10/{ARCHIVE}"  # they offer no https
ARCHIVE_MD5 = "91f7769df0f17e558f3565bffb0c7dfb"
ARCHIVE_BYTES = 2_640_397_119
ORIGINAL_SIDE = 96
SIDE = 48
COMMAND = "pbtnas data get stl10"

_IMAGE_BYTES = 3 * ORIGINAL_SIDE * ORIGINAL_SIDE
_CHUNK = 1000  # images


@dataclass(frozen=True)
class Part:
    """One file of the archive.

    Args:
        first: index of its first image in the whole set: train comes before unlabeled.
        count: number of images.
        md5: MD5 of the file, as in torchvision.
    """

    first: int
    count: int
    md5: str


PARTS = {
    "train_X.bin": Part(0, 5_000, "918c2871b30a85fa023e0c44e0bee87f"),
    "unlabeled_X.bin": Part(5_000, 100_000, "5242ba1fed5e4be9e1e742405eb56ca4"),
}


def load(directory: Path, *, side: int = SIDE) -> ImageSet:
    """The train and unlabeled images, in this order.

    Raises `DataMissing` when the set was not got yet in this size, `DataError` when it is damaged.
    """
    shape = (_count(), 3, side, side)
    return open_set(directory, _name(side), shape, COMMAND)


def download(directory: Path, progress: Progress = silent, *, side: int = SIDE) -> None:
    """Get STL-10 from its official place into `directory`; nothing if it is there."""
    if _is_there(directory, side):
        return
    archive = directory / ARCHIVE
    if not archive.exists():
        fetch(URL, archive, size=ARCHIVE_BYTES, md5=ARCHIVE_MD5, progress=progress)
    from_archive(directory, archive, progress, side=side)
    archive.unlink()


def from_archive(
    directory: Path, archive: Path, progress: Progress = silent, *, side: int = SIDE
) -> None:
    """Get STL-10 from `stl10_binary.tar.gz`; nothing if it is there.

    Both files inside are checked by MD5, so the archive need not be.

    Raises `DataError` for any other file, damaged or changed ones included.
    """
    if _is_there(directory, side):
        return

    def resized() -> Iterator[tuple[int, Pixels]]:
        for first, images in _read(archive):
            yield first, resize(images, side)
            progress(f"resizing to {side}x{side}", first + len(images), _count())

    discard(directory, _name(side))  # it is damaged, if it exists
    about = {"source": archive.name, "resized": "Pillow's bilinear filter"}
    store(directory, _name(side), (_count(), 3, side, side), resized(), about=about)


def _read(archive: Path) -> Iterator[tuple[int, Pixels]]:
    """Chunks of images [B, 3, 96, 96] with the index of their first one, in the archive's order."""
    missing = set(PARTS)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                file = tar.extractfile(member) if name in missing else None
                if file is not None:
                    missing.remove(name)
                    yield from _read_part(archive, name, file)
                if not missing:
                    return
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{archive} cannot be read as {ARCHIVE}: {error}") from error
    raise DataError(f"{archive} has no {' and no '.join(sorted(missing))}: expected {ARCHIVE}")


def _read_part(archive: Path, name: str, file: IO[bytes]) -> Iterator[tuple[int, Pixels]]:
    part = PARTS[name]
    md5 = hashlib.md5(usedforsecurity=False)
    for start in range(0, part.count, _CHUNK):
        data = file.read(min(_CHUNK, part.count - start) * _IMAGE_BYTES)
        md5.update(data)
        if len(data) % _IMAGE_BYTES == 0:  # otherwise it is too short, which the digest will say
            # Every channel is stored column by column.
            columns = np.frombuffer(data, np.uint8).reshape(-1, 3, ORIGINAL_SIDE, ORIGINAL_SIDE)
            yield part.first + start, columns.transpose(0, 1, 3, 2)
    md5.update(file.read(1))  # a longer file is another file
    if md5.hexdigest() != part.md5:
        raise DataError(
            f"{archive}: expected the MD5 {part.md5} for {name}, found {md5.hexdigest()}"
        )


def _count() -> int:
    return sum(part.count for part in PARTS.values())


def _name(side: int) -> str:
    return f"stl10-train-unlabeled-{side}"


def _is_there(directory: Path, side: int) -> bool:
    try:
        load(directory, side=side)
    except DataError:
        return False
    return True
