"""The records of a run directory as files: read for people, changing nothing.

The protocol puts a damaged record aside and does its work again; a reader only says so.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from pbtnas.store import paths
from pbtnas.store.records import CorruptRecord, ForeignRecord, Record, decode
from pbtnas.store.run_directory import NotARun, NotYetARun


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
        try:
            data = read_bytes(self.root, name)
        except OSError as error:
            self.problems.append(f"{name}: cannot be read ({error.strerror})")
            return None
        if data is None:
            if expected:
                self.problems.append(f"{name}: missing, though records that rest on it are there")
            return None
        try:
            return decode(data, name, kind=kind, run=self.run)
        except CorruptRecord as error:
            self.problems.append(str(error))
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


def check_format(root: Path) -> None:
    """Raise what `RecordFiles` raises unless this is a run directory of our version."""
    if not root.exists():
        raise NotYetARun(f"{root}: there is no such directory")
    if not root.is_dir():
        raise NotARun(f"{root}: a file, not a run directory")
    text = read_bytes(root, paths.FORMAT)
    if text is None:
        if any(root.iterdir()):
            raise NotARun(f"{root}: not a run directory: it has no file {paths.FORMAT}")
        raise NotYetARun(f"{root}: an empty directory; no run has been started here yet")
    if text != paths.FORMAT_TEXT:
        said, ours = text.decode(errors="replace").strip(), paths.FORMAT_TEXT.decode().strip()
        sentence = f"{root / paths.FORMAT}: says {said!r}; this pbtnas reads {ours!r}"
        raise ForeignRecord(sentence) if said.startswith("pbtnas/") else NotARun(sentence)


def read_bytes(root: Path, name: str) -> bytes | None:
    """The content of a file of the run directory, None if it is absent.

    On a file system without hard links a record is a directory that holds a file `record`.
    """
    path = root / name
    try:
        return path.read_bytes()
    except IsADirectoryError:
        return (path / "record").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
