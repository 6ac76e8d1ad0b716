"""Reads a checkpoint file once, from its first byte to its last, and hashes what it reads.

What is used of a file are the bytes that were hashed, never bytes that were read another time:
a disk, or a neighbour, may have changed them in between.  No torch.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints.digests import CHUNK, hasher
from pbtnas.errors import PbtnasError
from pbtnas.regular_files import BROKEN, open_regular

T = TypeVar("T")

PAUSES_S = (0.1, 0.3)
"""Before the second and the third try to read what cannot be read."""

FORMAT = "1"
"""Version of what the metadata of our headers means; `checkpoints.files` describes it."""


class CorruptCheckpoint(PbtnasError):
    """A file is not the checkpoint it should be: damaged, cut off, foreign, too new or unreadable.

    Args:
        path: The file.
        expected: The expected content.
        found: The content found.
    """

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(path, expected, found)
        self.path = path
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return f"checkpoint {self.path}: expected {self.expected}, found {self.found}"


class UnreadableCheckpoint(CorruptCheckpoint):
    """A file is there and has no content to be had: a bad sector, a pipe, a symbolic link."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, "content to be had", reason)
        self.args = (path, reason)

    def __str__(self) -> str:
        return f"checkpoint {self.path}: cannot be read: {self.found}"


class OnePass:
    """A file of tensors that is read once, in its order; close it after.

    Nothing that was taken from it may be relied upon before `check`.

    Args:
        path: The file.
        algorithm: The algorithm of its digest.
        copy: The function that is given every byte that is read, in pieces.
        follow: Whether a symbolic link leads to the file, as in `open_regular`.

    Raises `CorruptCheckpoint` when it is no whole file of tensors, `UnreadableCheckpoint` when it
    cannot be read in three tries, `FileNotFoundError` when it is absent, and `OSError` with its
    name when the disk cannot be reached.  So do the methods.
    """

    def __init__(
        self,
        path: Path,
        algorithm: str,
        *,
        copy: Callable[[memoryview], object] | None = None,
        follow: bool = False,
    ) -> None:
        self.path = path
        self._algorithm = algorithm
        self._digest = hasher(algorithm)
        self._copy = copy
        self._at = 0
        fd = self._trying(lambda: open_regular(path, follow=follow))
        self._file = os.fdopen(fd, "rb", buffering=0)
        try:
            self._size = os.fstat(fd).st_size
            self.header = self._read_header()
        except BaseException:
            self.close()
            raise

    def take(self, begin: int, content: memoryview) -> None:
        """Fill `content` with the tensors' data from the offset `begin` on.

        What lies before is only hashed.  Raises `ValueError` for an offset that was passed.
        """
        ahead = self.header.size + begin - self._at
        if ahead < 0:
            raise ValueError(f"{self.path}: the tensor at {begin} is asked for out of turn")
        self._skip(ahead)
        self._fill(content)

    def check(self, digest: str) -> None:
        """Read to the end, and raise `CorruptCheckpoint` unless the file has this digest."""
        self._skip(self._size - self._at)
        found = self._digest.hexdigest()
        if found != digest:
            raise CorruptCheckpoint(self.path, f"{self._algorithm} digest {digest}", found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _read_header(self) -> headers.Header:
        try:
            prefix = self._read(min(headers.PREFIX, self._size))
            size = headers.size_of(prefix, self._size)
            header = headers.parse(prefix + self._read(size - len(prefix)), self._size)
        except ValueError as error:
            raise CorruptCheckpoint(self.path, "a checkpoint's header", str(error)) from None
        version = header.metadata.get("pbtnas", FORMAT)
        if version != FORMAT:
            found = f"format {version!r}"
            raise CorruptCheckpoint(self.path, f"a checkpoint of format {FORMAT}", found)
        return header

    def _read(self, size: int) -> bytes:
        content = bytearray(size)
        self._fill(memoryview(content))
        return bytes(content)

    def _skip(self, size: int) -> None:
        buffer = memoryview(bytearray(min(size, CHUNK)))
        while size:
            self._fill(buffer[:size])
            size -= len(buffer[:size])

    def _fill(self, content: memoryview) -> None:
        """Read the next bytes, in pieces that are hashed while they are in the cache."""
        while content:
            count = self._trying(partial(self._read_into, content[:CHUNK]))
            if not count:
                raise CorruptCheckpoint(self.path, f"{len(content)} more bytes", "its end")
            self._digest.update(content[:count])
            if self._copy is not None:
                self._copy(content[:count])
            self._at += count
            content = content[count:]

    def _read_into(self, piece: memoryview) -> int:
        return os.preadv(self._file.fileno(), [piece], self._at)

    def _trying(self, read: Callable[[], T]) -> T:
        """What `read` returns; what stays unreadable is no better than damaged."""
        for pause_s in (*PAUSES_S, None):
            try:
                return read()
            except IsADirectoryError as error:
                raise UnreadableCheckpoint(self.path, str(error.strerror)) from None
            except OSError as error:
                reason = error.strerror or str(error)
                if error.errno == errno.ESTALE:
                    # Replaced or deleted elsewhere: as absent as if it had no name.
                    raise FileNotFoundError(errno.ENOENT, reason, str(self.path)) from error
                if error.errno not in BROKEN:
                    raise OSError(error.errno, reason, str(self.path)) from error
                if pause_s is None:
                    raise UnreadableCheckpoint(self.path, reason) from error
                time.sleep(pause_s)
        raise AssertionError("the last try returns or raises")


def read_bytes(path: Path, digest: str, *, algorithm: str, follow: bool = False) -> bytes:
    """The bytes of a file of tensors, which are the very ones that were hashed.

    Raises what `OnePass` raises, and `CorruptCheckpoint` when they have another digest.
    """
    content = bytearray()
    with OnePass(path, algorithm, copy=content.extend, follow=follow) as file:
        file.check(digest)
    return bytes(content)
