"""The records of a run directory as files: read for people, changing nothing.

The protocol puts a damaged record aside and does its work again; a reader only says so.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, decode
from pbtnas.store.run_directory import check_format


class RecordFiles:
    """Reads the records of one run directory, and remembers what is wrong with them.

    Raises `NotYetARun` for a missing or empty directory, `NotARun` for a foreign one, and
    `ForeignRecord` for one of a newer format version.
    """

    def __init__(self, root: Path) -> None:
        check_format(root)
        self.root = root
        self.run: str | None = None
        """Records must be of this run; None accepts any."""
        self.problems: list[str] = []
        """A sentence for each record that is damaged or missing."""
        self._names: dict[str, Set[str]] = {}

    def read(self, name: str, kind: str, *, expected: bool = False) -> Record | None:
        """The record of that name; None, and a problem, if it is damaged or should be there.

        Raises `ForeignRecord` for one of another run, another kind or a newer version.
        """
        known = len(self.problems)
        data = self.bytes(name)
        if data is None:
            if expected and len(self.problems) == known:
                self.problems.append(f"{name}: missing, though records that rest on it are there")
            return None
        try:
            return decode(data, name, kind=kind, run=self.run)
        except CorruptRecord as error:
            self.problems.append(str(error))
            return None

    def bytes(self, name: str) -> bytes | None:
        """The content of a file; None if it is absent or cannot be read, which is a problem."""
        try:
            return read_bytes(self.root, name)
        except OSError as error:
            self.problems.append(f"{name}: cannot be read ({error.strerror})")
            return None

    def names(self, directory: str) -> Set[str]:
        """Names in a directory as `store.paths` spells them, listed once; none if it is absent."""
        if directory not in self._names:
            try:
                entries = [entry.name for entry in (self.root / directory).iterdir()]
            except (FileNotFoundError, NotADirectoryError):
                entries = []
            self._names[directory] = {f"{directory}/{entry}" for entry in entries}
        return self._names[directory]


def read_bytes(root: Path, name: str) -> bytes | None:
    """The content of a file of the run directory, None if it is absent.

    On a file system without hard links a record is a directory that holds one file.
    """
    path = root / name
    try:
        return path.read_bytes()
    except IsADirectoryError:
        return (path / paths.INSIDE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
