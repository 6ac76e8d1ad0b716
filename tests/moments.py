"""The moments at which a file is opened or read, and something that happens at one of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_listeners: list[Callable[[object], None]] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        for listener in _listeners[:]:
            listener(arguments[0])


sys.addaudithook(_heard)  # whoever opens a file, in whatever way; there is no way to remove it


class Moments:
    """Counts how often a file is opened or read, and does something before one of these times.

    Args:
        file: the file; it is known by its name when it is opened.
        at: which time, from 1; 0 for none.
        act: what is done.
    """

    def __init__(self, file: Path, at: int, act: Callable[[], None]) -> None:
        self.count = 0
        self._file = file
        self._at = at
        self._act = act
        self._acting = False

    def opened(self, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            if Path(os.fsdecode(path)).name == self._file.name:
                self._next()

    def read(self, fd: int) -> None:
        if self._file.exists() and os.path.samestat(os.fstat(fd), self._file.stat()):
            self._next()

    def _next(self) -> None:
        if self._acting:
            return
        self.count += 1
        if self.count == self._at:
            self._acting = True
            self._act()
            self._acting = False


@contextmanager
def watched(moments: Moments) -> Iterator[None]:
    """Let these count while the context lasts."""

    def noted(read: Callable[..., Any]) -> Callable[..., Any]:
        def reading(fd: int, *more: Any) -> Any:
            moments.read(fd)
            return read(fd, *more)

        return reading

    with pytest.MonkeyPatch.context() as patch:
        for name in ("read", "pread", "preadv", "readv"):
            patch.setattr(os, name, noted(getattr(os, name)))
        _listeners.append(moments.opened)
        try:
            yield
        finally:
            _listeners.remove(moments.opened)
