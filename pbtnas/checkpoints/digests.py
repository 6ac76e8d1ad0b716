"""Digests of files and bytes.  No torch: status screens use it too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import blake3
import xxhash

from pbtnas.regular_files import open_regular

CHUNK = 1 << 18  # bytes; small enough to be hashed while still in the processor's cache


class Hasher(Protocol):
    """A digest that is fed piece by piece."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Take in the next bytes."""

    def hexdigest(self) -> str:
        """The digest of all bytes so far, in lower-case hexadecimal."""


_ALGORITHMS: dict[str, Callable[[], Hasher]] = {
    "xxh3-128": xxhash.xxh3_128,
    "blake3": blake3.blake3,
    "sha256": hashlib.sha256,
}

ALGORITHMS = tuple(_ALGORITHMS)
"""Names of the algorithms.  xxh3-128 detects damage but not malice: who may write to the run
directory could forge a file to its digest; the others withstand that at several times the
cost (`benchmarks/mixing.py`)."""


def hasher(algorithm: str) -> Hasher:
    """A fresh digest.

    Raises `ValueError` naming the allowed algorithms when this is none of them.
    """
    if algorithm not in _ALGORITHMS:
        raise ValueError(f"unknown digest {algorithm!r}; there are {', '.join(ALGORITHMS)}")
    return _ALGORITHMS[algorithm]()


def file_digest(path: Path, algorithm: str) -> str:
    """The digest of a whole file, read once through a small buffer.

    Raises what `open_regular` raises, and `OSError` when it cannot be read.
    """
    digest = hasher(algorithm)
    buffer = memoryview(bytearray(CHUNK))
    with os.fdopen(open_regular(path), "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(buffer[:count])
    return digest.hexdigest()
