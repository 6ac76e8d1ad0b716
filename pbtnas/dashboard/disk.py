"""Measures the disk that a run uses, and what is left on it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def disk(root: Path) -> dict[str, int | str]:
    """Bytes of the files of a run, and bytes free; what cannot be asked is said.

    Files that come and go meanwhile are counted or not.
    """
    try:
        return {"used": _used(root), "free": shutil.disk_usage(root).free}
    except OSError as error:
        return {"sentence": f"{error.filename or root}: {error.strerror}"}


def _used(directory: Path) -> int:
    total, waiting = 0, [str(directory)]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except FileNotFoundError:  # cleared meanwhile
            continue
        with entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
                except FileNotFoundError:
                    continue
    return total
