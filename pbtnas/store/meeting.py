"""Processes of several machines find each other by names in a directory that all of them see.

Each shows a sign of life under a name of its own.  Whoever sees enough others alive proposes them
as a party, under the next number, and one proposal wins.  What killed processes have left never
moves, so that nobody waits for it; it is deleted after an hour.
"""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pbtnas.errors import PbtnasError
from pbtnas.protocol.operations import WriteHeartbeat
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.records.paths import host_of, within
from pbtnas.store.identity import this_process
from pbtnas.store.posix import PosixStore, Primitive

MEETING = Name(".pbtnas-doctor-meeting")
HERE, PARTY, TOGETHER, DONE = ".here", "party-", "together-", "done-"
LOOK_S = 0.2  # between two looks for others
MOVED_S = 10.0  # in which a living process shows another sign of life
OLD_S = 3600.0  # after which what lies there is nobody's
LAST_S = 60.0  # that the first of a party waits for the others to leave


class NotMet(PbtnasError):
    """The others have not come, or have gone silent."""


@dataclass(frozen=True)
class Party:
    """Processes that have found each other.

    Args:
        members: Their names, in an order that all of them know.
        me: The place of this process among them.
        place: The directory for what they do together, below the one where they have met.
        primitive: How all of them publish.
    """

    members: tuple[str, ...]
    me: int
    place: Name
    primitive: Primitive

    @property
    def name(self) -> str:
        """The name of this process."""
        return self.members[self.me]


@contextmanager
def meet(directory: Path, count: int, wait_s: float, primitive: Primitive) -> Iterator[Party]:
    """Meet `count` processes, this one included; nothing stays when the last of them leaves.

    Raises `NotMet` with one sentence if they do not come in time, and `OSError`.
    """
    me = str(this_process("d")["worker"])
    party: Party | None = None
    (directory / MEETING).mkdir(exist_ok=True)
    try:
        with PosixStore(directory, me, primitive=primitive) as store:
            try:
                party = _Seeker(store, me, count, primitive).seek(wait_s)
                yield party
                store.put(within(party.place, f"{DONE}{party.me}"), b"", durable=False)
                if party.me == 0:
                    _until_all_leave(store, party)
            finally:
                (directory / MEETING / f"{me}{HERE}").unlink(missing_ok=True)
                if party is not None and party.me == 0:
                    _remove(directory / party.place)
                    _remove(directory / _party(_number(party.place)))
    finally:
        _remove_empty(directory / MEETING)


class _Seeker:
    """Seeks others until a party is complete that it belongs to."""

    def __init__(self, store: PosixStore, me: str, count: int, primitive: Primitive) -> None:
        self._store, self._me, self._count, self._primitive = store, me, count, primitive
        self._counter = 0
        self._seen: dict[str, tuple[bytes | None, float | None]] = {}  # the sign, when it moved
        store.trouble = _refuse

    def seek(self, wait_s: float) -> Party:
        until_s = time.monotonic() + wait_s
        self._show()
        self._sweep()
        while True:
            self._show()
            names = self._store.names(MEETING)
            party, taken = self._parties(names)
            if party is not None:
                return party
            alive = {name for name in self._alive(names) if name not in taken}
            chosen = sorted(alive | {self._me})[: self._count]
            if len(chosen) == self._count and self._me in chosen:
                told = {"members": chosen, "primitive": self._primitive}
                number = 1 + max(map(_number, filter(_is_party, names)), default=0)
                self._store.put(_party(number), json.dumps(told).encode(), durable=False)
            elif time.monotonic() >= until_s:
                raise NotMet(self._alone(len(alive), wait_s))
            else:
                time.sleep(LOOK_S)

    def _alone(self, others: int, wait_s: float) -> str:
        came = f"only {others + 1} of {self._count} came" if others else "nobody else came"
        return (
            f"{self._store.root}: {came} within {wait_s:g} s; start the same command on the other "
            "machines, with their path of this directory"
        )

    def _show(self) -> None:
        self._counter += 1
        content = Heartbeat(self._counter, 0, f"waiting for {self._count}").encode()
        self._store.execute(WriteHeartbeat(within(MEETING, self._me + HERE), content))

    def _alive(self, names: list[str]) -> Iterator[str]:
        """Those of the others who have shown two signs of life, and who wait for as many."""
        now_s = time.monotonic()
        for leaf in names:
            name = leaf.removesuffix(HERE)
            if not leaf.endswith(HERE) or name == self._me:
                continue
            sign = self._store.get(within(MEETING, leaf))
            before, moved_s = self._seen.get(name, (sign, None))
            moved_s = now_s if sign != before else moved_s
            self._seen[name] = sign, moved_s
            waits = sign is not None and b"waiting for %d" % self._count in sign
            if waits and moved_s is not None and now_s - moved_s < MOVED_S:
                yield name

    def _parties(self, names: list[str]) -> tuple[Party | None, set[str]]:
        """The party of this process, if there is one; and who belongs to any."""
        taken: set[str] = set()
        for leaf in filter(_is_party, names):
            data = self._store.get(within(MEETING, leaf))
            if data is None:
                continue  # it has just left
            told = json.loads(data)
            members = tuple(told["members"])
            taken.update(members)
            if self._me in members:
                place = within(MEETING, f"{TOGETHER}{_number(leaf):03d}")
                (self._store.root / place).mkdir(exist_ok=True)
                me = members.index(self._me)
                return Party(members, me, place, told["primitive"]), taken
        return None, taken

    def _sweep(self) -> None:
        """Delete what has lain there for so long that it is nobody's, by the clock of the disk."""
        now_s = self._store.changed_s(within(MEETING, self._me + HERE))
        for leaf in self._store.names(MEETING):
            changed_s = self._store.changed_s(within(MEETING, leaf))
            if now_s is not None and changed_s is not None and now_s - changed_s > OLD_S:
                _remove(self._store.root / MEETING / leaf)


def machine_of(member: str) -> str:
    """What to call a member of a party: its machine, and the process."""
    return f"{host_of(member)} (process {member.rsplit('-', 3)[1]})"


def _until_all_leave(store: PosixStore, party: Party) -> None:
    """Wait until all others have what they came for, or have had the time to."""
    until_s = time.monotonic() + LAST_S
    while time.monotonic() < until_s:
        if all(
            store.published(within(party.place, f"{DONE}{i}")) for i in range(len(party.members))
        ):
            return
        time.sleep(LOOK_S)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_empty(directory: Path) -> None:
    try:
        directory.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise  # else others are there still, or again


def _is_party(leaf: str) -> bool:
    return leaf.startswith(PARTY)


def _number(leaf: str) -> int:
    return int(leaf.rpartition("-")[2])


def _party(number: int) -> Name:
    return within(MEETING, f"{PARTY}{number:03d}")


def _refuse(trouble: str) -> None:
    if trouble:
        raise NotMet(trouble)
