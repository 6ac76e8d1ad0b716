"""Reading the directory of a run or of a study, changing nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Self, TypeVar

from pbtnas.records import paths
from pbtnas.records.envelope import Record, UnreadableRecord, decode
from pbtnas.records.names import Name
from pbtnas.regular_files import BROKEN, read_regular
from pbtnas.store.absent import look_again, open_each

T = TypeVar("T")


class RunReader:
    """A run directory, or a study's, held open to be read.

    Should its mount go away, the empty place where it was is not taken for it.  What is not
    there is looked for twice, as `store.absent` explains.

    Raises `OSError` when the directory cannot be opened; so does every method when something
    that is there cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self._fd = look_again(lambda: os.open(root, flags), root)
        self._place = str(root.absolute())

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def record(self, name: Name, kind: str, run: str | None = None) -> Record | None:
        """The record of that name; None if it is absent.

        Raises `CorruptRecord` if it is damaged or unreadable, `ForeignRecord` if it is of a
        newer version, another kind or another run (None accepts any).
        """
        data = self.get(name)
        return None if data is None else decode(data, name, kind=kind, run=run)

    def get(self, name: Name, *, once: bool = False) -> bytes | None:
        """The content of a file; None if it is not there, or was not when last looked up.

        With `once`, a name that is absent is not looked for past the caches of a file system.

        Raises `UnreadableRecord` if it is there and has no content to be had, and any other
        `OSError` for trouble that need not be this file's.
        """
        try:
            return self._content(name, once=once)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno not in (*BROKEN, errno.EISDIR):
                raise
            # Where not even its name can be looked up, more than this file is at fault.
            if self._status(name) is None:
                return None
            raise UnreadableRecord(f"{name}: cannot be read ({error.strerror})") from error

    def _content(self, name: Name, *, once: bool) -> bytes:
        try:
            return self._read(name) if once else self._look(name, lambda: self._read(name))
        except IsADirectoryError:
            # On a file system without hard links a record is a directory that holds one file.
            inside = paths.within(name, paths.INSIDE)
        try:
            return self._look(inside, lambda: self._read(inside))
        except FileNotFoundError:
            raise IsADirectoryError(errno.EISDIR, "a directory without a record") from None

    def names(self, directory: Name) -> list[str]:
        """Names in a directory, in any order; none if it is absent."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            fd = self._look(directory, lambda: os.open(directory, flags, dir_fd=self._fd))
        except FileNotFoundError:
            return []
        try:
            with os.scandir(fd) as entries:
                return [entry.name for entry in entries]
        finally:
            os.close(fd)

    def exists(self, name: Name) -> bool:
        """Whether there is a file of that name, such as a checkpoint."""
        status = self._status(name)
        return status is not None and stat.S_ISREG(status.st_mode)

    def published(self, name: Name) -> bool:
        """Whether there is a record of that name, be it readable or not."""
        return self._status(name) is not None

    def changed_s(self, name: Name) -> float | None:
        """When a file was last written, in seconds since the epoch; None if it is absent."""
        status = self._status(name)
        return None if status is None else status.st_mtime

    def everything(self) -> Iterator[Name] | None:
        """The names of all files, where there are no directories; None where there are."""
        return None

    def size(self, name: Name) -> int:
        """The bytes of a file.  Raises `FileNotFoundError` if it is absent."""
        return self._stated(name).st_size

    def fetch(self, name: Name) -> Path:
        """A file of this machine with the content of that name, to be read.

        Raises `FileNotFoundError` if it is absent.
        """
        self._stated(name)
        return self.root / name

    def _stated(self, name: Name) -> os.stat_result:
        status = self._status(name)
        if status is None:
            text = os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, text, str(self.root / name))
        return status

    def _status(self, name: Name) -> os.stat_result | None:
        try:
            return self._look(name, lambda: os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        except FileNotFoundError:
            return None

    def _look(self, name: Name, look: Callable[[], T]) -> T:
        """Look for a name, and once more if it is absent."""
        try:
            return look()
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):  # replaced while it was looked up
                raise
            # By its name, for opening the descriptor's "." asks nothing.  Should that lead to
            # another directory now, the look below is no fresher, but still into the right one.
            open_each([self._place])
            open_each(accumulate(name.split("/")[:-1], "{}/{}".format), self._fd)
            return look()

    def _read(self, name: Name) -> bytes:
        return read_regular(name, limit=paths.limit(name), held=self._fd)
