"""What may have the name of a file and is none of a run's: every sort of it, made for real."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


def _directory(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.symlink_to("/proc/self/status")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _hole(path: Path) -> None:
    """As large as a film, and on the disk nothing."""
    path.touch()
    os.truncate(path, 3 << 30)


SORTS: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "socket": _socket,
    "directory": _directory,
    "link": _link,
    "loop": _loop,
    "hole": _hole,
}


def plant(path: Path, sort: str) -> None:
    """Put something of that sort in the place of a file, which may be there or not."""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    SORTS[sort](path)
