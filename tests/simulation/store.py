"""A simulated shared directory that behaves as badly as real ones do.

Carries out the storage operations of the protocol in memory, with the faults of network file
systems, bad disks and power cuts: lookups that go on missing a new name, listings that go on
showing an old one, heartbeats seen late, replies that get lost, full disks, sectors that cannot
be read, bits that flip on the way, and whatever nobody made durable gone with the power.
All randomness comes from the one generator it is given, so a seed replays exactly.

What is durable follows the rules of POSIX: the content of a file from its fsync on, its name from
the sync of its directory on.  A publish makes its name visible first and durable a moment later
(`show`, then `settle`), and others may act on the name in between.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pbtnas.protocol.operations import (
    Discard,
    EmptyTrash,
    Get,
    Has,
    List,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Replace,
    Sync,
    Unreadable,
    WriteHeartbeat,
)
from pbtnas.records import paths

STORAGE = frozenset(
    {
        Get,
        Has,
        List,
        Put,
        PutBlob,
        Quarantine,
        Sync,
        MakeGeneration,
        WriteHeartbeat,
        ReadHeartbeat,
        Replace,
        Discard,
        EmptyTrash,
    }
)
"""The operations of a directory."""


@dataclass
class Faults:
    """Which faults may happen, as probabilities of one operation (0 switches one off).

    Args:
        error: a write fails (disk full, I/O error), before or after its name has appeared.
        lost_reply: a publish takes effect, but its reply is a repeated request's "exists".
        lag: longest time for which a machine goes on missing a name it once did not find, or
            goes on listing one that is gone.
        read_error: one read fails; the next may do well.
        flip: one read brings a flipped bit; the next may do well.
        slow: a publish is visible for long before it is durable.
    """

    error: float = 0.0
    lost_reply: float = 0.0
    lag: float = 0.0
    read_error: float = 0.0
    flip: float = 0.0
    slow: float = 0.0


@dataclass
class Entry:
    """A file under its name.

    Args:
        content: what a reader gets.
        durable: whether the name survives a power cut.
        synced: whether the content does.
        unreadable: whether its sectors cannot be read, for ever.
        written: what its writer wrote, whatever became of it.
    """

    content: bytes
    durable: bool
    synced: bool = True
    unreadable: bool = False
    written: bytes = b""

    def __post_init__(self) -> None:
        self.written = self.written or self.content

    @property
    def intact(self) -> bool:
        return self.content == self.written and not self.unreadable


@dataclass
class SimulatedStore:
    """The directory.  `execute` carries out one operation for a machine at a time.

    Args:
        rng: the source of all misfortune; shared with the scheduler.
        faults: may be changed while the simulation runs.

    `gone` is told of every name that vanishes, and how: by damage, by power, put aside, discarded.
    """

    rng: random.Random
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.now = 0.0
        self.entries: dict[str, Entry] = {}
        self.beats: dict[str, bytes] = {}
        self.private: dict[str, bytes] = {}
        self.directories: set[str] = set()
        self.trash: dict[int, list[str]] = {}
        self.contents: defaultdict[str, set[bytes]] = defaultdict(set)
        self.counts: Counter[str] = Counter()
        self.gone: Callable[[str, Entry, str], None] = lambda name, entry, how: None
        self._missed: dict[tuple[int, str], float] = {}
        self._ghosts: dict[str, float] = {}
        self._seen_beats: dict[tuple[int, str], tuple[bytes | None, float]] = {}

    def execute(self, machine: int, operation: Any) -> Any:
        """Carry out a storage operation as seen from one machine, and reply."""
        match operation:
            case Get(name):
                return self._read(machine, name)
            case ReadHeartbeat(name):
                return self._peek(machine, name)
            case Has(name):
                return self._look(machine, name) is not None
            case List(directory):
                return self._list(directory)
            case Put() | PutBlob():
                reply, entry = self.show(machine, operation)
                settle(entry)
                return reply
            case Quarantine(name):
                self.remove(name, "put aside")
                return Published.WON
            case Sync(directory):
                return self._sync(directory)
            case MakeGeneration(generation):
                return self._make(paths.generation(generation))
            case WriteHeartbeat(name, data):
                self.beats[name] = data
            case Replace(name, data):
                self.entries[name] = Entry(data, durable=False, synced=False)
            case Discard(generation, keep):
                self._discard(generation, keep)
            case EmptyTrash(generation):
                self.trash = {g: n for g, n in self.trash.items() if g >= generation}
            case _:
                raise AssertionError(f"not a storage operation: {operation!r}")
        return None

    def show(self, machine: int, operation: Put | PutBlob) -> tuple[Published, Entry | None]:
        """The first half of a publish: the name appears.

        Returns what will be replied, and the entry that is durable by then (`settle`), if any.
        """
        name = operation.name
        if isinstance(operation, Put):
            data, durable = operation.data, operation.durable
        else:
            data, durable = self.private[operation.source], True
        fails = self._fails()
        if (fails and self.rng.random() < 0.5) or not self._has_directory(name):
            return Published.ERROR, None
        self._missed.pop((machine, name), None)
        # The name of a checkpoint is the digest of its content: what is there is equal, or damaged.
        replaced = isinstance(operation, PutBlob) and name in self.entries
        won = name not in self.entries
        if won or (replaced and not self.entries[name].intact):
            self.entries[name] = Entry(data, durable=False, synced=durable)
            self.contents[name].add(data)
        if fails:
            return Published.ERROR, None
        if won and self.rng.random() < self.faults.lost_reply:
            # The publisher recognises its own inode or nonce whatever it was told.
            self.counts["lost reply"] += 1
        reply = Published.WON if won else Published.LOST
        # A grouped name is durable when its directory is synced, of which nobody can be sure but
        # who does it.
        grouped = isinstance(operation, Put) and operation.grouped
        return reply, self.entries[name] if durable and not grouped else None

    def is_slow(self) -> bool:
        """Whether a publish takes long to become durable."""
        if not self.faults.slow or self.rng.random() >= self.faults.slow:
            return False
        self.counts["slow sync"] += 1
        return True

    def remove(self, name: str, how: str) -> None:
        """A name vanishes, if it is there; listings may go on showing it."""
        entry = self.entries.pop(name, None)
        if entry is not None:
            self._ghosts[name] = self.now + self.rng.uniform(0, self.faults.lag)
            self.gone(name, entry, how)

    def cut_power(self) -> None:
        """Of what nobody made durable, names may be gone, and contents empty."""
        for name, entry in list(self.entries.items()):
            if not entry.durable and self.rng.random() < 0.5:
                self.counts["vanished entry"] += 1
                self.remove(name, "power")
            elif not entry.synced and self.rng.random() < 0.5:
                self.counts["emptied file"] += 1
                entry.content = b""
        self.beats.clear()
        self._missed.clear()
        self._ghosts.clear()
        self._seen_beats.clear()

    # -- inside --------------------------------------------------------------------------------

    def _look(self, machine: int, name: str) -> Entry | None:
        """A lookup, which may go on missing a name for as long as the lag lasts."""
        entry = self.entries.get(name)
        if entry is not None:
            if self._missed and self._missed.get((machine, name), -1.0) > self.now:
                self.counts["stale lookup"] += 1
                return None
            return entry
        if self.faults.lag:
            self._missed[machine, name] = self.now + self.rng.uniform(0, self.faults.lag)
        return None

    def _read(self, machine: int, name: str) -> bytes | Unreadable | None:
        entry = self._look(machine, name)
        if entry is None:
            return None
        if entry.unreadable:
            return Unreadable(f"{name}: cannot be read")
        faults = self.faults
        if faults.read_error and self.rng.random() < faults.read_error:
            self.counts["read error"] += 1
            return Unreadable(f"{name}: cannot be read")
        if faults.flip and entry.content and self.rng.random() < faults.flip:
            self.counts["flip on one read"] += 1
            return flipped(entry.content, self.rng)
        return entry.content

    def _list(self, directory: str) -> set[str]:
        prefix = directory + "/"
        files = (*self.entries, *self.beats)
        names = [n.removeprefix(prefix) for n in files if n.startswith(prefix)]
        if not self.faults.lag:
            return set(names)
        seen = {name for name in names if self.rng.random() < 0.8}
        for name, until in self._ghosts.items():
            if until > self.now and name.startswith(prefix) and name not in self.entries:
                self.counts["stale listing"] += 1
                seen.add(name.removeprefix(prefix))
        return seen

    def _peek(self, machine: int, name: str) -> bytes | None:
        seen, until = self._seen_beats.get((machine, name), (None, -1.0))
        if until > self.now:
            return seen
        beat = self.beats.get(name)
        lag = self.rng.uniform(0, self.faults.lag / 2) if self.faults.lag else 0.0
        self._seen_beats[machine, name] = (beat, self.now + lag)
        return beat

    def _sync(self, directory: str) -> Published:
        if self._fails():
            return Published.ERROR
        for name, entry in self.entries.items():
            if name.rpartition("/")[0] == directory:
                entry.durable = True
        return Published.WON

    def _make(self, directory: str) -> Published:
        if self._fails():
            return Published.ERROR
        self.directories.add(directory)
        return Published.WON

    def _has_directory(self, name: str) -> bool:
        if not name.startswith("generations/"):
            return True
        return "/".join(name.split("/")[:2]) in self.directories

    def _discard(self, generation: int, keep: frozenset[str] | None) -> None:
        prefix = paths.checkpoints(generation) + "/"
        old = [
            name
            for name in self.entries
            if name.startswith(prefix)
            and keep is not None
            and name.removeprefix(prefix).removesuffix(".safetensors") not in keep
        ]
        for name in old:
            self.remove(name, "discarded")
        self.trash.setdefault(generation, []).extend(old)

    def _fails(self) -> bool:
        if self.faults.error and self.rng.random() < self.faults.error:
            self.counts["write error"] += 1
            return True
        return False


def settle(entry: Entry | None) -> None:
    """The second half of a publish: its directory is synced."""
    if entry is not None:
        entry.durable = True


def flipped(content: bytes, rng: random.Random) -> bytes:
    """The content with another bit somewhere before its last byte."""
    at = rng.randrange(max(len(content) - 1, 1))
    return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
