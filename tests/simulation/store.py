"""A simulated shared directory that behaves as badly as real ones do.

Carries out the storage operations of the protocol in memory, with the faults of network file
systems and power cuts: lookups that go on missing a new name, heartbeats seen late, replies
that get lost, full disks, entries that vanish with the power because nobody made them durable.
All randomness comes from the one generator it is given, so a seed replays exactly.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
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
    WriteHeartbeat,
)
from pbtnas.records import paths


@dataclass
class Faults:
    """Which faults may happen, as probabilities of one operation (0 switches one off).

    Args:
        error: a write fails (disk full, I/O error) and leaves nothing.
        lost_reply: a publish takes effect, but its reply is a repeated request's "exists".
        lag: longest time for which a machine goes on missing a name it once did not find.
    """

    error: float = 0.0
    lost_reply: float = 0.0
    lag: float = 0.0


@dataclass
class Entry:
    content: bytes
    durable: bool


@dataclass
class SimulatedStore:
    """The directory.  `execute` carries out one operation for a machine at a time.

    Args:
        rng: the source of all misfortune; shared with the scheduler.
        faults: may be changed while the simulation runs.
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
        self._missed: dict[tuple[int, str], float] = {}
        self._seen_beats: dict[tuple[int, str], tuple[bytes | None, float]] = {}

    def execute(self, machine: int, operation: Any) -> Any:
        """Carry out a storage operation as seen from one machine, and reply."""
        match operation:
            case Get(name):
                return self._look(machine, name)
            case Has(name):
                return self._look(machine, name) is not None
            case List(directory):
                return self._list(machine, directory)
            case Put(name, data, durable):
                return self.put(machine, name, data, durable=durable)
            case PutBlob(source, name):
                return self._put_blob(machine, source, name)
            case Quarantine(name):
                self.entries.pop(name, None)
            case Sync(directory):
                return self._sync(directory)
            case MakeGeneration(generation):
                return self._make(paths.generation(generation))
            case WriteHeartbeat(name, data):
                self.beats[name] = data
            case ReadHeartbeat(name):
                return self._peek(machine, name)
            case Replace(name, data):
                self.entries[name] = Entry(data, durable=False)
            case Discard(generation, keep):
                self._discard(generation, keep)
            case EmptyTrash(generation):
                self.trash = {g: n for g, n in self.trash.items() if g >= generation}
            case _:
                raise AssertionError(f"not a storage operation: {operation!r}")
        return None

    def put(
        self, machine: int, name: str, data: bytes, *, durable: bool, interrupted: bool = False
    ) -> Published:
        """A publish.  `interrupted` stops it after the name appeared and before it is durable,
        which is what remains of a publisher killed in between."""
        if self._fails() or not self._has_directory(name):
            return Published.ERROR
        self._missed.pop((machine, name), None)
        won = name not in self.entries
        if won:
            self.entries[name] = Entry(data, durable=False)
            self.contents[name].add(data)
        if interrupted:
            return Published.ERROR
        if durable:
            self.entries[name].durable = True
        if won and self.rng.random() < self.faults.lost_reply:
            # The publisher recognises its own inode or nonce whatever it was told.
            self.counts["lost reply"] += 1
        return Published.WON if won else Published.LOST

    def cut_power(self) -> None:
        """Everything that nobody made durable may be gone."""
        for name in list(self.entries):
            if not self.entries[name].durable and self.rng.random() < 0.5:
                del self.entries[name]
                self.counts["vanished entry"] += 1
        self.beats.clear()
        self._missed.clear()
        self._seen_beats.clear()

    # -- inside --------------------------------------------------------------------------------

    def _look(self, machine: int, name: str) -> bytes | None:
        """A lookup, which may go on missing a name for as long as the lag lasts."""
        if name in self.entries:
            if self._missed.get((machine, name), -1.0) > self.now:
                self.counts["stale lookup"] += 1
                return None
            return self.entries[name].content
        if self.faults.lag:
            self._missed[machine, name] = self.now + self.rng.uniform(0, self.faults.lag)
        return None

    def _list(self, machine: int, directory: str) -> set[str]:
        prefix = directory + "/"
        files = (*self.entries, *self.beats)
        names = {n.removeprefix(prefix) for n in files if n.startswith(prefix)}
        if not self.faults.lag:
            return names
        return {name for name in sorted(names) if self.rng.random() < 0.8}

    def _peek(self, machine: int, name: str) -> bytes | None:
        seen, until = self._seen_beats.get((machine, name), (None, -1.0))
        if until > self.now:
            return seen
        beat = self.beats.get(name)
        lag = self.rng.uniform(0, self.faults.lag / 2) if self.faults.lag else 0.0
        self._seen_beats[machine, name] = (beat, self.now + lag)
        return beat

    def _put_blob(self, machine: int, source: str, name: str) -> Published:
        return self.put(machine, name, self.private[source], durable=True)

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
            del self.entries[name]
        self.trash.setdefault(generation, []).extend(old)

    def _fails(self) -> bool:
        if self.rng.random() < self.faults.error:
            self.counts["write error"] += 1
            return True
        return False
