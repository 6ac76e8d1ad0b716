"""The records of a run directory, read for people.

The protocol puts a damaged record aside and does its work again; a reader only says so.
"""

from __future__ import annotations

from collections.abc import Set

from pbtnas.records import paths
from pbtnas.records.controls import Steering
from pbtnas.records.envelope import CorruptRecord, Record, UnreadableRecord, decode
from pbtnas.records.names import Name
from pbtnas.store.reader import RunReader


class RecordFiles:
    """Reads the records of one run directory, and remembers what is wrong with them.

    Args:
        reader: of the directory.
        run: records must be of this run; None accepts any.
    """

    def __init__(self, reader: RunReader, run: str | None = None) -> None:
        self.root = reader.root
        self.run = run
        self.problems: list[str] = []
        """A sentence for each record that is damaged or missing."""
        self.steering = Steering()
        """What operators have asked of the run, as far as that was read."""
        self.reader = reader
        self._names: dict[Name, Set[Name]] = {}

    def read(self, name: Name, kind: str, *, expected: bool = False) -> Record | None:
        """The record of that name; None, and a problem, if it is damaged or should be there.

        Raises `ForeignRecord` for one of another run, another kind or a newer version.
        """
        known = len(self.problems)
        try:
            data = self.bytes(name)
            if data is not None:
                return decode(data, name, kind=kind, run=self.run)
            if expected and len(self.problems) == known:
                self.problems.append(f"{name}: missing, though records that rest on it are there")
            return None
        except CorruptRecord as error:
            self.problems.append(str(error))
            return None

    def view(self, name: Name) -> bytes | None:
        """The content of a view; None if it is not to be had, which is no problem: what is in it
        can be had from records."""
        try:
            return self.reader.get(name)
        except (OSError, UnreadableRecord):
            return None

    def bytes(self, name: Name) -> bytes | None:
        """The content of a file; None if it is absent, or not to be reached, which is a problem.

        Raises `UnreadableRecord` if it is there without content.
        """
        try:
            return self.reader.get(name)
        except NotADirectoryError:
            return None
        except OSError as error:
            self.problems.append(f"{name}: cannot be read ({error.strerror})")
            return None

    def time(self, name: Name) -> float | None:
        """When a file last changed, in seconds since the epoch; None if that is not to be had."""
        try:
            return self.reader.changed_s(name)
        except OSError:
            return None

    def published(self, name: Name) -> bool:
        """Whether there is a record of that name, be it readable or not."""
        try:
            return self.reader.published(name)
        except NotADirectoryError:
            return False

    def names(self, directory: Name) -> Set[Name]:
        """Names in a directory as `store.paths` spells them, listed once; none if it is absent."""
        if directory not in self._names:
            try:
                entries = self.reader.names(directory)
            except NotADirectoryError:
                entries = []
            except OSError as error:
                self.problems.append(f"{directory}: cannot be listed ({error.strerror})")
                entries = []
            self._names[directory] = {paths.within(directory, entry) for entry in entries}
        return self._names[directory]

    def forget_names(self) -> None:
        """List directories anew, for memory's sake where generations are read one by one."""
        self._names.clear()
