"""Reading the directory of a run or of a study, changing nothing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Self

from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode
from pbtnas.records.names import Name


class RunReader:
    """A run directory, or a study's, held open to be read.

    Should its mount go away, the empty place where it was is not taken for it.

    Raises `OSError` when the directory cannot be opened; so does every method when something
    that is there cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def record(self, name: Name, kind: str, run: str | None = None) -> Record | None:
        """The record of that name; None if it is absent.

        Raises `CorruptRecord` if it is damaged, `ForeignRecord` if it is of a newer version,
        another kind or another run (None accepts any).
        """
        data = self.get(name)
        return None if data is None else decode(data, name, kind=kind, run=run)

    def get(self, name: Name) -> bytes | None:
        """The content of a file; None if it is not there, or was when last looked up.

        On a file system without hard links a record is a directory that holds one file.
        """
        try:
            return self._read(name)
        except IsADirectoryError:
            return self._read(paths.within(name, paths.INSIDE))
        except FileNotFoundError:
            return None

    def names(self, directory: Name) -> list[str]:
        """Names in a directory, in any order; none if it is absent."""
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd)
        except FileNotFoundError:
            return []
        try:
            with os.scandir(fd) as entries:
                return [entry.name for entry in entries]
        finally:
            os.close(fd)

    def exists(self, name: Name) -> bool:
        """Whether there is a file of that name, such as a checkpoint."""
        try:
            return stat.S_ISREG(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _read(self, name: Name) -> bytes:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            size = os.fstat(fd).st_size
            content = os.read(fd, size + 1)
            while more := os.read(fd, 1 << 16):
                content += more
            return content
        finally:
            os.close(fd)
