"""Locks a file for a quick answer on one machine; nothing rests on it."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock

from pbtnas.regular_files import BROKEN


def quick_lock(path: Path) -> ExitStack:
    """The lock, held until that is closed.

    It holds nobody where a directory, a link or the like has its name, as it may not on a network
    file system.  Raises `filelock.Timeout` when another process has it.
    """
    held = ExitStack()
    try:
        held.enter_context(FileLock(path).acquire(timeout=0))
    except OSError as error:
        if error.errno not in (*BROKEN, errno.EISDIR):
            raise
    return held
