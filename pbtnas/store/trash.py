"""Deleting what was discarded, as slowly as it may be, where nothing waits for it.

A deletion is not done when the call returns.  Freeing a large file can block for tens of
milliseconds, and ext4 without a journal does not reuse an inode for a minute or more, but looks
at it again whenever a file is created: deleting a generation at once doubled what a member-step
cost beside its loading and saving (docs/performance.md).  But what is discarded faster than it is
deleted fills the disk.  So the files that wait are spread over the time that the last generation
took, and are gone when the next ones come.
"""

from __future__ import annotations

import logging
import shutil
import stat
import threading
import time
from pathlib import Path

from pbtnas.records import paths

log = logging.getLogger("pbtnas")

PAUSE_S = 0.1  # between two files, where there is time for it
SHORTEST_S = 10.0  # over which files are spread, if the last generation took less


class Deletion:
    """Empties the trash of a run in a thread of its own, a file at a time.

    Args:
        root: The run directory.
    """

    def __init__(self, root: Path) -> None:
        self._trash = root / paths.TRASH
        self._before = 0
        self._asked_s: float | None = None
        self._within_s = SHORTEST_S
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self, before: int) -> None:
        """Delete what was discarded from generations before `before`, sooner or later.

        Asked once a generation, it is done with that before it is asked again.
        """
        now_s = time.monotonic()
        if self._asked_s is not None:
            self._within_s = max(SHORTEST_S, now_s - self._asked_s)
        self._asked_s = now_s
        self._before = max(self._before, before)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._delete, name="deletion")
            self._thread.start()

    def finish(self) -> None:
        """Delete at once all that was ever discarded: the run is over."""
        self.close()
        for directory in self._directories(None):
            for path in _entries(directory):
                _remove(path)
            _remove_empty(directory)

    def close(self) -> None:
        """Stop after the file in work; the next coordinator deletes what is left."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _delete(self) -> None:
        directories = self._directories(self._before)
        # Listed once: a directory that is read again for each of its files is read for ever.
        waiting = [path for directory in directories for path in _entries(directory)]
        began_s = time.monotonic()
        step_s = min(PAUSE_S, self._within_s / max(1, len(waiting)))
        for number, path in enumerate(waiting, start=1):
            _remove(path)
            if self._closing.wait(max(0.0, began_s + number * step_s - time.monotonic())):
                return
        for directory in directories:
            _remove_empty(directory)

    def _directories(self, before: int | None) -> list[Path]:
        return [
            directory
            for directory in _entries(self._trash)
            if directory.name.isdigit() and (before is None or int(directory.name) < before)
        ]


def _entries(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError as error:
        _complain(directory, error)
        return []


def _remove(path: Path) -> None:
    """Delete a file, or a record that was written as a directory."""
    try:
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        _complain(path, error)


def _remove_empty(directory: Path) -> None:
    if not _entries(directory):
        try:
            directory.rmdir()
        except OSError as error:
            _complain(directory, error)


def _complain(path: Path, error: OSError) -> None:
    """What cannot be deleted now is tried again a generation later, and must not stop the rest."""
    if not isinstance(error, FileNotFoundError):  # another coordinator deletes too
        log.warning("%s: cannot be deleted (%s)", path, error.strerror)
