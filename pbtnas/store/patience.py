"""Waiting for a directory that cannot be written for a while."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from pbtnas.protocol.backoff import backoff

T = TypeVar("T")

FORBIDDEN = (errno.EACCES, errno.EROFS)
"""What a directory says that must not be written: a mistake when it is the first thing it says."""

UNWRITABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ECONNABORTED,
    errno.EHOSTDOWN,
    *FORBIDDEN,
)
"""What a directory says that cannot be used for a while: full, or not to be reached (over NFS,
FUSE and SMB)."""


def patiently(
    act: Callable[[], T],
    root: Path,
    *,
    wait: Callable[[float], None],
    report: Callable[[str], None],
    refuse: Collection[int] = (),
) -> T:
    """Do what writes to a directory; while that cannot be written, wait instead of failing.

    Args:
        act: The function called again until it succeeds.
        root: The directory named where an error names no file.
        wait: The function that waits for so many seconds; what it raises ends the waiting.
        report: The function called with the trouble after each failure, and with "" when it ends.
        refuse: Errors that are not waited for, of those in `UNWRITABLE`.
    """
    pauses = backoff()
    failed = False
    while True:
        try:
            done = act()
        except OSError as error:
            if error.errno not in UNWRITABLE or error.errno in refuse:
                raise
            failed = True
            report(f"{error.filename or root}: {error.strerror}")
        else:
            if failed:
                report("")
            return done
        wait(next(pauses))
