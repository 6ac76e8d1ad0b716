"""Reads the files of a run or a study one after the other, and notes what is wrong with each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pbtnas.checkpoints.digests import hasher
from pbtnas.records.envelope import Record, RecordError
from pbtnas.records.kinds import Kind, Kinds
from pbtnas.records.names import Name
from pbtnas.regular_files import BROKEN, open_regular
from pbtnas.store.reader import RunReader

CHUNK = 1 << 18  # bytes


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was written.

    Args:
        name: Name of the file, in the directory.
        what: What is wrong with the file, and what will become of it.
        damaged: Whether there is a file to put aside.
        restored: What to write in its place, where that is known.
        notice: Whether it is only worth knowing: nothing that somebody needs is damaged.
        directory: Whether a directory is to be made in its place.
    """

    name: Name
    what: str
    damaged: bool = False
    restored: bytes | None = None
    notice: bool = False
    directory: bool = False


class Examination:
    """Holds what is known of a directory while it is examined.

    Args:
        files: Reader of the directory.
        kinds: Kinds of files that there may be.
    """

    def __init__(self, files: RunReader, kinds: Kinds) -> None:
        self.files = files
        self.run: str | None = None  # id that its records have, once it is known
        self._faults: dict[Name, Fault] = {}
        self._read: dict[Name, Record | None] = {}
        self.kind_of: dict[Name, Kind] = {}
        """Kinds of the files that are there, by name."""
        everything = files.everything()
        if everything is None:
            self._list(Name("."), kinds)
        else:
            self._sort(everything, kinds)

    def faults(self) -> list[Fault]:
        """Everything found so far, by name."""
        return [fault for _, fault in sorted(self._faults.items())]

    def note(self, fault: Fault) -> None:
        """Note a fault; of several in one file, the first counts."""
        self._faults.setdefault(fault.name, fault)

    def damaged(self, name: Name, what: str, restored: bytes | None = None) -> None:
        """Note a file to be put aside."""
        self.note(Fault(name, what, damaged=True, restored=restored))

    def restore(self, name: Name, content: bytes) -> None:
        """Let something be written in place of a file that is at fault."""
        self._faults[name] = replace(self._faults[name], restored=content)

    def beyond(self, name: Name, why: str) -> None:
        """Tell of a file that is at fault why nobody can write it again."""
        self._faults[name] = replace(self._faults[name], what=why)

    def missing(self, name: Name, remedy: str, restored: bytes | None = None) -> None:
        """Note a file that should be there."""
        self.note(Fault(name, f"missing; {remedy}", restored=restored))

    def notice(self, fault: Fault) -> None:
        """Note what is only worth knowing."""
        self.note(replace(fault, notice=True))

    def at_fault(self, name: Name) -> bool:
        """Whether something is wrong with a file."""
        return name in self._faults

    def there(self, name: Name) -> bool:
        """Whether there is something of that name, be it what it should be or not."""
        return name in self.kind_of

    def of(self, name: str) -> Iterator[Name]:
        """The files of the kind that is called so in `records.kinds`, by name."""
        return iter(sorted(n for n, kind in self.kind_of.items() if kind.name == name))

    # -- contents ------------------------------------------------------------------------------

    def record(self, name: Name, kind: str, remedy: str) -> Record | None:
        """The record of that name; None if it is absent, or damaged, which is noted."""
        if name not in self._read:
            self._read[name] = self._record(name, kind, remedy)
        return self._read[name]

    def _record(self, name: Name, kind: str, remedy: str) -> Record | None:
        try:
            return self.files.record(name, kind, self.run)
        except RecordError as error:
            self.damaged(name, f"{str(error).removeprefix(f'{name}: ')}; {remedy}")
        except OSError as error:
            self.unreadable(name, error, remedy)
        return None

    def peek(self, name: Name, kind: str) -> Record | None:
        """The record of that name if it is intact; its faults are noted when its turn comes."""
        if name in self._read:
            return self._read[name]
        try:
            return self.files.record(name, kind, self.run)
        except (RecordError, OSError):
            return None

    def content(self, name: Name, remedy: str) -> bytes | None:
        """What a file holds that is no record; None if it is absent, or cannot be read, which is
        noted."""
        try:
            return self.files.get(name)
        except RecordError as error:
            self.damaged(name, f"{str(error).removeprefix(f'{name}: ')}; {remedy}")
        except OSError as error:
            self.unreadable(name, error, remedy)
        return None

    def aside(self, name: Name, content: bytes | None, *, right: bool, remedy: str) -> None:
        """Note, as a notice, that a hint or a view is not what it should be.

        Args:
            name: Its name.
            content: What to write in its place; None if that is not known.
            right: Whether what it holds may stay; of no interest where it is absent or unreadable.
            remedy: Who writes it again.
        """
        if self.at_fault(name):
            found = self._faults[name]
            self._faults[name] = replace(found, notice=True, restored=content)
        elif not self.there(name):
            if content is not None:
                self.notice(Fault(name, f"missing; {remedy}", restored=content))
        elif not right:
            self.notice(Fault(name, f"damaged; {remedy}", damaged=True, restored=content))

    def check_digest(self, name: Name, digest: str, algorithm: str, remedy: str) -> None:
        """Note it if a large file does not have a digest."""
        found = hasher(algorithm)
        try:
            with os.fdopen(open_regular(self.files.fetch(name)), "rb", buffering=0) as file:
                while data := file.read(CHUNK):
                    found.update(data)
        except FileNotFoundError:
            return  # it was moved to the trash in this moment
        except OSError as error:
            self.unreadable(name, error, remedy)
            return
        if found.hexdigest() != digest:
            self.damaged(name, f"its digest is {found.hexdigest()}; {remedy}")

    def unreadable(self, name: Name, error: OSError, remedy: str) -> None:
        """Note that a file cannot be read.  One that others may read is not put aside."""
        broken = error.errno in (*BROKEN, errno.EISDIR)
        text = f"cannot be read ({error.strerror})"
        known = broken or error.errno == errno.ENOTDIR
        self.note(Fault(name, f"{text}; {remedy}" if known else text, damaged=broken))

    # -- names ---------------------------------------------------------------------------------

    def _sort(self, names: Iterable[Name], kinds: Kinds) -> None:
        """Find the kind of each file where there are no directories, and note those of none."""
        for name in names:
            kind = kinds.of(name)
            if kind is not None:
                self.kind_of[name] = kind
            else:
                self._unknown(name)

    def _unknown(self, name: Name) -> None:
        self.note(Fault(name, "unknown; nothing of this name belongs here", notice=True))

    def _list(self, directory: Name, kinds: Kinds) -> None:
        """Find the kind of each file below a directory, and note those of none."""
        try:
            with os.scandir(f"{self.files.root}/{directory}") as found:
                entries = list(found)
        except OSError as error:
            self.note(Fault(directory, f"cannot be read ({error.strerror})"))
            return
        for entry in entries:
            name = Name(entry.name if directory == "." else f"{directory}/{entry.name}")
            kind = kinds.of(name)
            if kind is not None:
                self.kind_of[name] = kind
            elif entry.is_dir(follow_symlinks=False) and kinds.may_hold(name):
                self._list(name, kinds)
            elif kinds.may_hold(name) and not Path(entry.path).is_dir():
                self.note(Fault(name, "not a directory; made again", damaged=True, directory=True))
            else:
                self._unknown(name)
