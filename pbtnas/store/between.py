"""`pbtnas doctor DIR --with N`: what passes between machines that share a directory, and how late.

Each machine asks the next one for names, and looks until it sees them.  Times are from asking to
seeing, by the clock of who asks, so that the clocks of the machines need not agree; of all but
records, the way of the question is taken off.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pbtnas.protocol.operations import Published, WriteHeartbeat
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.records.paths import within
from pbtnas.store.doctor import Answer, mount_of
from pbtnas.store.meeting import NotMet, Party, machine_of
from pbtnas.store.posix import PosixStore

SLOTS, TRIES = 25, 5
LOOK_S = 0.02  # between two looks
LATE_S = 1.0  # from which on a mount option is worth it
LONGEST_S = 90.0  # that anything may take to be seen
SILENT_S = 2 * LONGEST_S  # after which another machine is given up

RECORDS, LISTED, PLAIN = "records", "listed", "plain"
BEAT = "beat"


@dataclass(frozen=True)
class Lateness:
    """How late something is seen, in seconds, in one or more tries; infinite if never."""

    tries: tuple[float, ...]

    @property
    def longest_s(self) -> float:
        return max(self.tries)

    @property
    def late(self) -> bool:
        """Whether it is so as a rule: one late view delays something once, and harms nothing."""
        return statistics.median(self.tries) >= LATE_S

    def __str__(self) -> str:
        if self.longest_s == float("inf"):
            return f"not within {LONGEST_S:g} s"
        text = f"{statistics.median(self.tries):.2f} s later"
        several = f" (the longest of {len(self.tries)}: {self.longest_s:.2f} s)"
        return text + (several if len(self.tries) > 1 else "")


def examine_between(directory: Path, party: Party) -> Iterator[Answer]:
    """Measure what passes between the members of a party; each answer as soon as it is known.

    Raises `NotMet` when another member has gone silent, and `OSError`.
    """
    yield Answer(True, f"met: {', '.join(map(machine_of, party.members))}")
    for sort in (RECORDS, LISTED, PLAIN):
        (directory / _answers(party, sort, party.me)).mkdir(parents=True)
    with PosixStore(directory, party.name, primitive=party.primitive) as store:
        together = _Together(store, party)
        together.all_have("begun")
        yield _race(together)
        with _answering(directory, party):
            yield from _views(_Looker(together), *mount_of(directory))
            together.all_have("looked")


def _views(looker: _Looker, kind: str, options: str) -> Iterator[Answer]:
    record = looker.records()
    yield Answer(not record.late, f"a new record is seen {record}")
    way_s = min(LONGEST_S, statistics.median(record.tries))
    listing = looker.listings(way_s)
    yield Answer(not listing.late, f"a listing shows a new name {listing}")
    beat = looker.heartbeats(way_s)
    hint = "; mount without nocto" if beat.late and "nocto" in options.split(",") else ""
    yield Answer(not beat.late, f"a heartbeat is seen {beat}{hint}")
    border_s = 2 * record.longest_s
    yield Answer(
        not record.late,
        f"a generation border costs {border_s:.2f} s: the last result is seen, and then the next "
        "manifest; besides, both sides look every engine.poll_s at most",
    )
    plain = looker.absences(way_s)
    text = f"a name that was absent is seen by programs other than pbtnas {plain}"
    if plain.late and kind.startswith("nfs"):
        needs = "pbtnas needs it here" if record.late else "pbtnas does not need it"
        text += f"; the mount option lookupcache=positive repairs that ({needs})"
    yield Answer(True, text)


class _Together:
    """What the members of a party do at the same time."""

    def __init__(self, store: PosixStore, party: Party) -> None:
        self.store, self.party = store, party
        store.trouble = _refuse

    def name(self, *words: object) -> Name:
        return within(self.party.place, "-".join(map(str, words)))

    def all_have(self, stage: str, told: object = None) -> list[object]:
        """Tell all others that this member has come so far; what each of them has told."""
        self.store.put(self.name(stage, self.party.me), json.dumps(told).encode(), durable=False)
        return [
            json.loads(self._told(stage, i, member)) for i, member in enumerate(self.party.members)
        ]

    def _told(self, stage: str, i: int, member: str) -> bytes:
        until_s = time.monotonic() + SILENT_S
        while (data := self.store.get(self.name(stage, i))) is None:
            if time.monotonic() >= until_s:
                raise NotMet(f"{machine_of(member)} has not been seen for {SILENT_S:g} s")
            self.store.touch()
            time.sleep(LOOK_S)
        return data


def _race(together: _Together) -> Answer:
    """All members publish the same names at once: each name must have exactly one winner."""
    me = b"%d" % together.party.me
    names = [together.name("slot", slot) for slot in range(SLOTS)]
    won = [name for name in names if together.store.put(name, me) is Published.WON]
    wins = [str(name) for told in together.all_have("won", won) for name in _list(told)]
    good = sorted(wins) == sorted(names)
    what = "exactly one winner each" if good else f"{len(wins)} winners: not safe for a run"
    count = len(together.party.members)
    return Answer(good, f"{count} machines for {SLOTS} names: {what}")


class _Looker:
    """Asks the next member for names, and looks how long it takes until they are seen."""

    def __init__(self, together: _Together) -> None:
        self._store, self._name = together.store, together.name
        self._party = together.party
        self._asked = 0

    def records(self) -> Lateness:
        """As pbtnas looks for a record; the question is one too, so half of the time."""

        def one() -> float:
            name = self._answer(RECORDS)
            return self._seen_s(RECORDS, lambda: self._store.get(name) is not None) / 2

        return Lateness(tuple(one() for _ in range(TRIES)))

    def listings(self, way_s: float) -> Lateness:
        def one() -> float:
            directory, _, leaf = self._answer(LISTED).rpartition("/")
            return self._seen_s(LISTED, lambda: leaf in self._store.names(Name(directory)), way_s)

        return Lateness(tuple(one() for _ in range(TRIES)))

    def heartbeats(self, way_s: float) -> Lateness:
        """As files overwritten in place, which have been read before."""

        def one() -> float:
            name = self._name(BEAT, self._party.me)
            before = self._store.get(name)
            return self._seen_s(BEAT, lambda: self._store.get(name) != before, way_s)

        return Lateness(tuple(one() for _ in range(TRIES + 1))[1:])  # the first makes the file

    def absences(self, way_s: float) -> Lateness:
        """As any program looks, at a name that it has looked for before."""
        path = self._store.root / self._answer(PLAIN)
        path.exists()
        return Lateness((self._seen_s(PLAIN, path.exists, way_s),))

    def _answer(self, sort: str) -> Name:
        """The name of the answer to the next question."""
        return within(_answers(self._party, sort, self._party.me), str(self._asked + 1))

    def _seen_s(self, sort: str, look: Callable[[], bool], way_s: float = 0.0) -> float:
        look()  # what was looked for before is late where caches are
        began_s = time.monotonic()
        self._asked += 1
        self._store.put(self._name("ask", self._party.me, self._asked), sort.encode())
        while not look():
            if time.monotonic() - began_s >= LONGEST_S:
                return float("inf")
            self._store.touch()
            time.sleep(LOOK_S)
        return max(0.0, time.monotonic() - began_s - way_s)


@contextmanager
def _answering(directory: Path, party: Party) -> Iterator[None]:
    """Publish meanwhile what the member before this one asks for."""
    over = threading.Event()
    failed: list[OSError] = []

    def answer() -> None:
        try:
            _answer_until(over, directory, party)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]


def _answer_until(over: threading.Event, directory: Path, party: Party) -> None:
    asker = (party.me - 1) % len(party.members)
    answered = 0
    with PosixStore(directory, f"{party.name}-answers", primitive=party.primitive) as store:
        while not over.wait(LOOK_S):
            store.touch()
            sort = store.get(within(party.place, f"ask-{asker}-{answered + 1}"))
            if sort is None:
                continue
            answered += 1
            if sort.decode() == BEAT:
                content = Heartbeat(answered).encode()
                store.execute(WriteHeartbeat(within(party.place, f"{BEAT}-{asker}"), content))
            else:
                place = _answers(party, sort.decode(), asker)
                store.put(within(place, str(answered)), b"x" * 800)


def _answers(party: Party, sort: str, asker: int) -> Name:
    """Where the answers to a member lie.

    Who asks never writes there or in the directory above, nor do others meanwhile: it would
    refresh what the asking machine remembers of the directory.
    """
    return within(party.place, f"{sort}-{asker}/answers")


def _list(told: object) -> list[object]:
    assert isinstance(told, list)
    return told


def _refuse(trouble: str) -> None:
    if trouble:
        raise NotMet(trouble)
