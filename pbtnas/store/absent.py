"""Looking again for what was not there.

A client of NFS that found no file of a name goes on saying so, without asking the server, for as
long as it believes that the directory has not changed: 30 to 60 s with the default options.  It
asks when a directory is opened by its name (close-to-open consistency).  So whoever finds nothing
opens the directories above it, from the top, and looks once more.

That is done on every file system.  On a local disk it takes microseconds; and the type of a file
system does not tell whether there is a cache, for example below FUSE or an overlay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def look_again(look: Callable[[], T], path: Path) -> T:
    """What `look` returns for that path, tried a second time if it raises `FileNotFoundError`."""
    try:
        return look()
    except FileNotFoundError:
        open_each(reversed(path.absolute().parents))
        return look()


def open_each(directories: Iterable[Path | str], held: int | None = None) -> None:
    """Open directories, each below the one before, down to the first that is absent.

    Args:
        directories: relative to `held`, where they are not absolute.
        held: descriptor of a directory.
    """
    for directory in directories:
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            os.close(os.open(directory, flags, dir_fd=held))
        except PermissionError:
            continue  # one that may be passed through and not be listed
        except OSError:
            return
