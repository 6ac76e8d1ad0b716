"""Waiting for a directory that cannot be written for a while."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")
log = logging.getLogger("pbtnas")


UNWRITABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EACCES,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
)
"""What a directory says that cannot be written for a while: full, or not to be reached."""


class Stop(Protocol):
    """Tells whether to stop; sleeps until then."""

    asked: bool

    def wait(self, seconds: float) -> object: ...


def patiently(stop: Stop, act: Callable[[], T]) -> T | None:
    """Do what writes to the run directory; on a full disk say so and wait until it can be done.

    None if asked to stop meanwhile.
    """
    told = ""
    while not stop.asked:
        try:
            return act()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            if str(error) != told:
                told = str(error)
                log.warning("waiting: %s", told)
        stop.wait(1.0)
    return None
