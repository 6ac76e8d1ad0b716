"""Opens a run directory, to look or to write, wherever it really lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pbtnas.store.reader import RunReader

if TYPE_CHECKING:
    from pbtnas.store.posix import PosixStore, Primitive

Store: TypeAlias = "PosixStore"
"""What carries out storage operations."""


def open_files(root: Path) -> RunReader:
    """The files of a run or of a study, to be read.  Raises `OSError` when they cannot be."""
    return RunReader(root)


def open_store(root: Path, writer: str, *, primitive: Primitive = "link") -> Store:
    """The files of a run or of a study, to be written.

    Args:
        root: Its directory.
        writer: Name of the writer, unique to this process.
        primitive: The way its records are published.

    Raises `OSError` when it cannot be opened.
    """
    from pbtnas.store.posix import PosixStore  # of which who only looks has no need

    return PosixStore(root, writer, primitive=primitive)
