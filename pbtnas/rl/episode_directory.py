"""A directory of episodes: lists them, and chooses and deletes those that exceed a capacity.

Any number of processes may do all of this at once: a file that someone else has just deleted
is as good as deleted by us.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from pbtnas.rl.episodes import TEMPORARY, EpisodeName, parse_name

_NO_HARD_LINKS = (
    *(errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS),
    *(errno.EMLINK, errno.EXDEV),
)


def listing(directory: Path) -> list[EpisodeName]:
    """All episodes of a directory, oldest first."""
    with os.scandir(directory) as entries:
        names = [parse_name(entry.name) for entry in entries]
    return sorted(name for name in names if name is not None)


def divide(
    names: Sequence[EpisodeName], capacity: int
) -> tuple[list[EpisodeName], list[EpisodeName]]:
    """The newest episodes that fit (at least one), and the others; both oldest first."""
    total = 0
    first = len(names)
    while first and (first == len(names) or total + names[first - 1].length <= capacity):
        first -= 1
        total += names[first].length
    return list(names[first:]), list(names[:first])


def delete(directory: Path, names: Sequence[EpisodeName]) -> None:
    """Delete episodes; a process that has one mapped keeps it until it unmaps it."""
    for name in names:
        (directory / name.file).unlink(missing_ok=True)


def link(source: Path, target: Path) -> None:
    """Give an episode a second name in another buffer; a copy where hard links are missing."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # No hard links here.  A copy that is cut short is found to be torn.
        shutil.copyfile(source, target)


def remove_leftovers(directory: Path) -> None:
    """Delete the unfinished files of writers that died; those of living ones are locked."""
    for path in directory.iterdir():
        if not TEMPORARY.fullmatch(path.name):
            continue
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
