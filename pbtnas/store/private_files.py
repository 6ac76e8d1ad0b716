"""Deleting the private files that killed processes have left, as soon as nobody can want them.

A claim that is over takes its private files with it: whoever begins attempt k at a job deletes
those of the attempts before, so that a worker that is killed again and again in the middle of a
snapshot does not fill the disk.  An earlier attempt that lives nevertheless finds its file gone,
and gives up its work, which somebody else does by now.  All others go with their generation
(`PosixStore`); those beside the generations are small, and go when they are old (`sweep`).

Whatever cannot be deleted here is litter and not harm, so no error leaves this module.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from pbtnas.records import paths

log = logging.getLogger("pbtnas")

OLD_S = 24 * 3600.0  # no process takes so long between writing a private file and publishing it

_OVERLAY = re.compile(r"-\d+")


def clear_earlier_attempts(root: Path, generation: int, member: int, attempt: int) -> None:
    """Delete what attempts before this one at the same job have left unfinished."""
    if attempt == 1:
        return
    for number in range(1, attempt):
        _clear(root / paths.attempt(generation, member, number), lambda _: True)
    job = re.compile(rf"-{paths.member_name(member)}(-reused)?")
    _clear(root / paths.checkpoints(generation), lambda rest: _ends(job, rest))


def clear_own_attempt(root: Path, generation: int, member: int, attempt: int, writer: str) -> None:
    """Delete what the training process of that writer, which died, has left unfinished."""
    _clear(root / paths.attempt(generation, member, attempt), lambda _: True)
    job = f"{writer}-{paths.member_name(member)}"
    _clear(root / paths.checkpoints(generation), lambda rest: rest == job)
    _clear(root / paths.PRODUCTS, lambda rest: rest.startswith(f"{writer}-training-"))


def clear_overlays(root: Path, generation: int) -> None:
    """Delete the unfinished children of earlier coordinators."""
    _clear(root / paths.checkpoints(generation), lambda rest: _ends(_OVERLAY, rest))


def clear_soup(root: Path, item: str) -> None:
    """Delete what earlier attempts at writing that soup have left."""
    _clear(root / paths.SOUPS, lambda rest: rest.endswith(f"-{item}"))


def sweep(root: Path) -> None:
    """Delete private files beside the generations that were last written a day ago."""
    probe = root / f"{paths.PRIVATE}sweep-{os.getpid()}"
    try:
        probe.touch()
        now_s = probe.lstat().st_mtime  # by the clock that stamps the others
        probe.unlink()
    except OSError as error:
        log.debug("%s: not swept (%s)", root, error.strerror)
        return
    for name in (".", *paths.TOP_DIRECTORIES):
        _clear(root / name, lambda _: True, written_before_s=now_s - OLD_S)


def _ends(pattern: re.Pattern[str], rest: str) -> bool:
    return re.search(f"(?:{pattern.pattern})$", rest) is not None


def _clear(
    directory: Path, wanted: Callable[[str], bool], *, written_before_s: float = float("inf")
) -> None:
    """Delete private files, `wanted` being asked with the rest of each name."""
    try:
        found = list(directory.iterdir())
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.debug("%s: not tidied (%s)", directory, error.strerror)
        return
    for path in found:
        rest = path.name.removeprefix(paths.PRIVATE)
        if rest == path.name or not wanted(rest):
            continue
        try:
            status = path.lstat()
            if status.st_mtime >= written_before_s:
                continue
            if stat.S_ISDIR(status.st_mode):
                shutil.rmtree(path)  # where there are no hard links
            else:
                path.unlink()
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.debug("%s: not deleted (%s)", path, error.strerror)
