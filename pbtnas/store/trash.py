"""Deleting what was discarded, slowly, where nothing waits for it.

A deletion is not done when the call returns.  Freeing a large file can block for tens of
milliseconds, and ext4 without a journal does not reuse an inode for a minute or more, but looks
at it again whenever a file is created: deleting a generation at once doubled what a member-step
cost beside its loading and saving (docs/performance.md).
"""

from __future__ import annotations

import threading
from pathlib import Path

from pbtnas.records import paths

PAUSE_S = 0.1  # between two files


class Deletion:
    """Empties the trash of a run in a thread of its own, a file at a time.

    Args:
        root: The run directory.
    """

    def __init__(self, root: Path) -> None:
        self._trash = (root / paths.trash(0)).parent
        self._before = 0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def ask(self, before: int) -> None:
        """Delete what was discarded from generations before `before`, sooner or later."""
        self._before = max(self._before, before)
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._delete, name="deletion")
            self._thread.start()

    def finish(self) -> None:
        """Delete at once what is left of it."""
        self.close()
        while self._delete_one():
            pass

    def close(self) -> None:
        """Stop after the file in work; the next coordinator deletes what is left."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()

    def _delete(self) -> None:
        while not self._closing.is_set() and self._delete_one():
            self._closing.wait(PAUSE_S)

    def _delete_one(self) -> bool:
        """Delete one file; False when none is left, or none that can be deleted now."""
        try:
            for directory in self._trash.iterdir():
                if directory.name.isdigit() and int(directory.name) < self._before:
                    for path in directory.iterdir():
                        path.unlink(missing_ok=True)  # another coordinator deletes too
                        return True
                    directory.rmdir()
        except OSError:
            return False  # asked for again a generation later
        return False
