"""A whole image set in one array, kept on disk.

Shapes: N images, B images of a chunk, S side in pixels.  On disk and on the device images are
uint8 [N, 3, S, S], the order a convolution reads by default: a CPU worker trains from the
memory-mapped file itself, which all processes of a machine share, and a GPU holds a plain copy
(CIFAR-10: 154 MB, STL-10 at 48x48: 726 MB).  Digests are of the pixels in the order
[N, S, S, 3], in which CIFAR-10 is usually quoted.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs
from numpy.typing import NDArray
from PIL import Image

from pbtnas.data.looking import array_fault
from pbtnas.errors import MachineTrouble, PbtnasError

Pixels = NDArray[np.uint8]
"""uint8 [N, 3, S, S]"""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # of a file too
_CHUNK = 1000  # images; bounds the memory of everything that copies


class DataError(PbtnasError):
    """A data set is damaged or cannot be had: one sentence for the user."""


class DataMissing(DataError):
    """A data set is not on this machine: one sentence with the command that gets it."""


class DataTrouble(MachineTrouble, DataError):
    """A data set cannot be fetched, kept or read because of the network or a disk."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size, with a digest of their pixels.

    Args:
        name: e.g. "cifar10-train-32"; letters, digits, ".", "_" and "-".
        images: uint8 [N, 3, S, S], never written to: it may be memory-mapped.
        labels: uint8 [N], or None for a set without classes.
        digest: SHA-256 of the pixels, see `pixel_digest`.  It is always computed here, so that no
            digest speaks for other pixels; what is given is ignored.

    Raises `DataError` when that cannot be images, or cannot be a name.
    """

    name: str
    images: Pixels
    labels: NDArray[np.uint8] | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise DataError(
                f"an image set is called {self.name!r}, expected a name of letters, digits, '.', "
                "'_' and '-'"
            )
        fault = array_fault(self.images)
        if fault:
            raise DataError(f"the images of {self.name} are {fault}")
        if not self.images.flags.c_contiguous:  # kernels may go by the order in memory
            object.__setattr__(self, "images", np.ascontiguousarray(self.images))
        object.__setattr__(self, "digest", pixel_digest(self.images))

    def __len__(self) -> int:
        return len(self.images)


def data_directory() -> Path:
    """The directory of data sets on this machine: `PBTNAS_DATA`, or in the user's cache."""
    if chosen := os.environ.get("PBTNAS_DATA"):
        return Path(chosen)
    earlier = Path.home() / ".cache" / "pbtnas"  # of version 0.1.0, whatever the system
    return earlier if earlier.is_dir() else platformdirs.user_cache_path("pbtnas")


def pixel_digest(images: Pixels) -> str:
    """SHA-256, in hex, of the pixel bytes in the order [N, S, S, 3]."""
    digest = hashlib.sha256()
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].transpose(0, 2, 3, 1)
        digest.update(np.ascontiguousarray(chunk).data)
    return digest.hexdigest()


def resize(images: Pixels, side: int) -> Pixels:
    """The images at side x side: Pillow's bilinear filter, which averages when it shrinks.

    This is what torchvision's `Resize` does to a PIL image, so what the paper did to STL-10.
    Pillow computes it in integers: the bytes are the same on every machine.
    """
    resized = np.empty((len(images), 3, side, side), np.uint8)
    for target, source in zip(resized, images, strict=True):
        picture = Image.fromarray(np.ascontiguousarray(source.transpose(1, 2, 0)))
        picture = picture.resize((side, side), Image.Resampling.BILINEAR)
        target[:] = np.asarray(picture).transpose(2, 0, 1)
    return resized


def store(
    directory: Path,
    name: str,
    shape: tuple[int, ...],
    chunks: Iterable[tuple[int, Pixels]],
    *,
    labels: NDArray[np.uint8] | None = None,
    about: dict[str, str],
) -> None:
    """Keep an image set as `directory/name/`: images.npy, labels.npy if any, about.json.

    `chunks` gives the index of an image and the pixels [B, 3, S, S] from there on, in any order,
    so that a set need not fit into memory.  The directory appears whole, by one rename: a reader
    never sees half of it, and of several processes the first one wins.  `about` says where the
    images are from; the digest joins it.

    Raises `DataTrouble` when the disk is too full or cannot be written.
    """
    partial = directory / f".{name}.{uuid.uuid4().hex}"
    try:
        partial.mkdir(parents=True)
        require_space(directory, int(np.prod(shape)) + (1 << 20))
        _write(partial / "images.npy", shape, chunks)
        if labels is not None:
            np.save(partial / "labels.npy", labels, allow_pickle=False)
        images = np.load(partial / "images.npy", mmap_mode="r", allow_pickle=False)
        record = {**about, "sha256": pixel_digest(images)}
        (partial / "about.json").write_text(json.dumps(record, indent=1) + "\n")
        for file in partial.iterdir():
            _sync(file)
        if not (directory / name).exists():
            partial.rename(directory / name)
    except OSError as error:
        if not (directory / name).exists():  # otherwise another process was first: adopt its set
            raise DataTrouble(f"{directory}: {name} could not be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def open_set(
    directory: Path,
    name: str,
    shape: tuple[int, ...],
    command: str,
    *,
    called: str | None = None,
) -> ImageSet:
    """Open a stored image set; the pixels are memory-mapped, and read once for their digest.

    It is `called` as its directory is, or otherwise.

    Raises `DataMissing` when it is not there and `DataError` when it is damaged; both sentences
    hold `command`, which mends it.  Raises `DataTrouble` when the disk does not give it.
    """
    home = directory / name
    if not home.is_dir():
        raise DataMissing(f"{directory} has no {name}: get it with `{command}`")
    try:
        about = json.loads((home / "about.json").read_text())
        images = np.load(home / "images.npy", mmap_mode="c", allow_pickle=False)
        labels = home / "labels.npy"
        classes = np.load(labels, allow_pickle=False) if labels.exists() else None
        digest = str(about["sha256"])
    except (FileNotFoundError, EOFError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{home} is damaged ({error}): get it again with `{command}`") from error
    except PermissionError as error:
        raise DataError(f"{home} cannot be read: {error}") from error
    except OSError as error:
        raise DataTrouble(f"{home} cannot be read: {error}") from error
    if images.dtype != np.uint8 or images.shape != shape:
        raise DataError(
            f"{home / 'images.npy'} holds {images.dtype} {list(images.shape)}, expected uint8 "
            f"{list(shape)}: get it again with `{command}`"
        )
    found = ImageSet(called or name, images, classes)
    # One changed bit, and a run would depend on the machine that a job ran on.
    if found.digest != digest:
        raise DataError(
            f"{home / 'images.npy'} was changed after it was stored (its SHA-256 is not that of "
            f"about.json): get it again with `{command}`"
        )
    return found


def discard(directory: Path, name: str) -> None:
    """Remove a stored image set if there is one, in one step for readers.  Raises `DataError`."""
    doomed = directory / f".{name}.{uuid.uuid4().hex}"
    try:
        (directory / name).rename(doomed)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DataError(f"{directory / name} cannot be replaced: {error}") from error
    shutil.rmtree(doomed, ignore_errors=True)


def require_space(directory: Path, size: int) -> None:
    """Raise `DataTrouble` unless the disk of `directory` has `size` bytes free."""
    free = shutil.disk_usage(directory).free
    if free < size:
        raise DataTrouble(
            f"{directory} needs {size / 1e6:,.0f} MB free but has {free / 1e6:,.0f} MB: free some "
            "space or set PBTNAS_DATA to another directory"
        )


def _write(file: Path, shape: tuple[int, ...], chunks: Iterable[tuple[int, Pixels]]) -> None:
    """Write an array file piece by piece; not memory-mapped, for that dies on a full disk."""
    image_bytes = int(np.prod(shape[1:]))
    with file.open("wb") as handle:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, header)
        start = handle.tell()
        for first, pixels in chunks:
            handle.seek(start + first * image_bytes)
            handle.write(np.ascontiguousarray(pixels).data)


def _sync(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
