"""Opening files that others may have put there: regular ones only, at once, and up to a size.

A named pipe in place of a file is opened only when somebody writes to it, a device may never end,
and a file with a hole is as large as its owner likes.  None of them is a file of a run.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

BROKEN = (errno.EIO, errno.ELOOP, errno.ENXIO, errno.EFBIG, errno.EBADMSG, errno.EUCLEAN)
"""What is said of a file that is there and has no content to be had: a sector that cannot be read,
a symbolic link, a socket, more bytes than such a file ever has."""


def open_regular(
    path: Path | str, *, limit: int | None = None, held: int | None = None, follow: bool = False
) -> int:
    """A descriptor of a regular file, to read from.

    Args:
        path: relative to `held`, where it is not absolute.
        limit: the most bytes that such a file ever has; None for any number.
        held: descriptor of a directory.
        follow: whether a symbolic link leads to the file: for what a user names, not for what
            lies in a directory that others write to.

    Raises `IsADirectoryError` for a directory, and `OSError` with one of the numbers in `BROKEN`
    for anything else that is no regular file, or too large a one.
    """
    return _opened(path, limit=limit, held=held, follow=follow)[0]


def _opened(
    path: Path | str, *, limit: int | None, held: int | None, follow: bool
) -> tuple[int, int]:
    """The descriptor, and the size that the file had."""
    # Without O_NONBLOCK a named pipe is waited for, which no signal of ours interrupts.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(path, flags if follow else flags | os.O_NOFOLLOW, dir_fd=held)
    try:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ENXIO, "not a regular file", str(path))
        if limit is not None and status.st_size > limit:
            text = f"{status.st_size} bytes, where at most {limit} are expected"
            raise OSError(errno.EFBIG, text, str(path))
    except OSError:
        os.close(fd)
        raise
    return fd, status.st_size


def append_regular(path: Path | str) -> int:
    """A descriptor of a regular file, made if it is missing, to add to its end.

    Raises what `open_regular` raises.
    """
    return _opened_to_write(path, os.O_WRONLY | os.O_APPEND)


def update_regular(path: Path | str) -> int:
    """A descriptor of a regular file, made if it is missing, to read and write anywhere.

    Raises what `open_regular` raises.
    """
    return _opened_to_write(path, os.O_RDWR)


def _opened_to_write(path: Path | str, how: int) -> int:
    flags = how | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o644)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(errno.ENXIO, "not a regular file", str(path))


def read_regular(
    path: Path | str, *, limit: int, held: int | None = None, follow: bool = False
) -> bytes:
    """The content of a regular file.  Raises what `open_regular` raises."""
    fd, size = _opened(path, limit=limit, held=held, follow=follow)
    try:
        content = b""
        # It may grow between the look at its size and its end; one byte more shows that.
        piece = size + 1
        while len(content) <= limit and (more := os.read(fd, piece)):
            content += more
            if len(content) == size:
                break  # whole as it was looked at, without a call that says there is no more
            piece = 1 << 16
    finally:
        os.close(fd)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"more than the {limit} bytes that are expected", str(path))
    return content
