"""Files of lines that grow at their end, for people to read: the metrics of members.

Whoever adds to such a file may die within a line, and two may add the same line at once.  So a
line is written at the place where the last whole one ends: twice the same there is once, and what
is left of a torn one is cut off before.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pbtnas.regular_files import update_regular

T = TypeVar("T")
TAILS = (1 << 14, 1 << 20, 1 << 26)  # bytes from the end, in which the last line should be


class NoLines(Exception):
    """A file does not end with a line of the right form, so it has to be written again."""


class Lines:
    """A file of lines, opened to be added to, and made if it is missing.

    Args:
        path: File.

    Raises `OSError` for whatever is no regular file.
    """

    def __init__(self, path: Path) -> None:
        self._fd = update_regular(path)
        self._end = 0  # of the last whole line

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._fd)

    def last(self, parse: Callable[[bytes], T]) -> T | None:
        """What the last whole line says; None of an empty file.  A torn line behind it is cut off.

        Raises `NoLines` if there is no end of a line near the end of the file, or if `parse`
        raises `ValueError`, `KeyError` or `TypeError` at the line.
        """
        size = os.fstat(self._fd).st_size
        for length in TAILS:
            start = max(0, size - length)
            tail = os.pread(self._fd, size - start, start)
            if tail.count(b"\n") > 1 or not start:
                break
        else:
            raise NoLines
        whole, newline, _ = tail.rpartition(b"\n")
        self._end = start + len(whole) + len(newline)
        if self._end < size:
            os.ftruncate(self._fd, self._end)
        if not newline:
            return None
        try:
            return parse(whole.rpartition(b"\n")[2])
        except (ValueError, KeyError, TypeError) as error:
            raise NoLines from error

    def add(self, data: bytes) -> None:
        """Add whole lines behind the last one that `last` found or this has added."""
        rest = memoryview(data)
        while rest:
            written = os.pwrite(self._fd, rest, self._end)
            self._end, rest = self._end + written, rest[written:]
