"""Shares the work after the search among the processes that come.

Pure protocol, like `worker`: generators that yield operations.  What is to be done is cut into
items.  The outcome of an item is a write-once record and a pure function of the finished run,
so the claims on it only save work: an item done twice is decided by the first to publish.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import (
    AskedToStop,
    Has,
    Now,
    Operation,
    Put,
    PutBlob,
    Say,
    Sleep,
    Steps,
    Stopping,
    WriteHeartbeat,
    pause_s,
    persist,
)
from pbtnas.protocol.reading import adopt, read
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Digest, Name, Slot
from pbtnas.search.space import Architecture


@dataclass(frozen=True)
class Mixture:
    """Checkpoints to average; of one alone, that one itself.

    Args:
        architecture: of the network that the average is for.
        files: names of the checkpoints in the run directory, the best member's first.
        digests: of these files.
        modules: what is averaged, by dotted path; empty for everything.
    """

    architecture: Architecture
    files: tuple[Name, ...]
    digests: tuple[Digest, ...]
    modules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluate:
    """Work: score an average, as the search scores its members or, if `final`, with care."""

    mixture: Mixture
    seed: int
    final: bool


@dataclass(frozen=True)
class WriteAverage:
    """Work: write an average as a checkpoint."""

    mixture: Mixture


@dataclass(frozen=True)
class WorkItem:
    """Something to be done once.

    Args:
        record: name of the record that says what came of it.
        kind: of that record.
        what: in words, for people.
        work: what to do.
        core: the part of the record's core that is known before.
    """

    record: Name
    kind: str
    what: str
    work: Evaluate | WriteAverage
    core: Mapping[str, Any]

    @property
    def slot(self) -> Slot:
        return paths.afterwards_slot(self.record)


Outcomes = Mapping[Name, Mapping[str, Any]]
"""The cores of records, by name."""

Plan = Callable[[Outcomes], Sequence[WorkItem]]
"""The items whose outcomes are wanted next, given those that are known; none at the end."""


class HeldClaim:
    """A claim on an item, and its heartbeat."""

    def __init__(self, item: WorkItem, number: int) -> None:
        self.item = item
        self.number = number
        self._beats = 0

    def beat(self, done: int = 0, phase: str = "") -> WriteHeartbeat:
        self._beats += 1
        content = Heartbeat(self._beats, done, phase or self.item.what)
        return WriteHeartbeat(paths.beat(self.item.slot, self.number), content.encode())

    def keep(self) -> Steps[None]:
        """Keep the claim while the disk is full."""
        yield from self.beat(phase="waiting for the disk")


@dataclass(frozen=True, slots=True)
class GetReady(Operation[bool]):
    """Make or find what all items need, before the first.  Replies whether it is done: False
    when this process was asked to stop meanwhile."""


@dataclass(frozen=True, slots=True)
class CarryOut(Operation["Completed | None"]):
    """Do an item.  Replies `Completed`; None if this process was asked to stop meanwhile, or
    somebody else has done it."""

    claim: HeldClaim


@dataclass(frozen=True, slots=True)
class Completed:
    """The rest of a record's core, and the private file of the checkpoint if one was written.

    `where` says on what it was computed; it is in the record's meta.
    """

    found: Mapping[str, Any]
    file: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)


class PostSearch:
    """Does the work that a plan wants, together with other processes.

    Args:
        run: id of the run.
        name: of this process.
        claims: its view of the claims.
        poll_s: longest wait between two looks at the directory.
    """

    def __init__(self, run: str, name: str, claims: Claims, *, poll_s: float) -> None:
        self._run = run
        self._name = name
        self._claims = claims
        self._poll_s = poll_s
        self._ready = False
        self._told: set[Slot] = set()

    def see_through(self, plan: Plan) -> Steps[Outcomes | None]:
        """Do what the plan wants, and wait for what others do, until it wants no more.

        Returns all outcomes, or None if this process was asked to stop before.
        """
        known: dict[Name, Mapping[str, Any]] = {}
        since_s = yield from Now()
        while wanted := plan(known):
            idle = True
            for item in wanted:
                if (yield from Stopping()):
                    return None
                core = yield from self._outcome(item)
                if core is None:
                    core = yield from self._attempt(item)
                if core is not None:
                    known[item.record] = core
                    idle = False
            now_s = yield from Now()
            if not idle:
                since_s = now_s
            elif not (yield from Stopping()):
                yield from self._tell(wanted)
                yield from Sleep(pause_s(now_s - since_s, self._poll_s))
        return known

    def _outcome(self, item: WorkItem) -> Steps[Mapping[str, Any] | None]:
        record = yield from read(item.record, item.kind, self._run)
        if record is None:
            return None
        if isinstance(item.work, WriteAverage):
            # The record alone is not enough: a lost file is made again, to the same bits.
            if not (yield from Has(paths.soup_checkpoint(record.core["checkpoint"]))):
                return None
        return record.core

    def _attempt(self, item: WorkItem) -> Steps[Mapping[str, Any] | None]:
        """Do an item, if nobody else is at it; None without an outcome."""
        if not self._ready:
            self._ready = yield from GetReady()
            if not self._ready:
                return None
        number = yield from self._claims.take(item.slot)
        if number is None:
            return None
        # Our own publish has refreshed this machine's view of the directory: only now is
        # "no outcome yet" worth believing.
        core = yield from self._outcome(item)
        if core is not None:
            return core
        claim = HeldClaim(item, number)
        yield from Say(item.what if number == 1 else f"{item.what}, attempt {number}")
        done = yield from CarryOut(claim)
        if done is None:
            yield from self._hand_back(claim)
        else:
            try:
                yield from self._publish(claim, done)
            except AskedToStop:  # while the disk was full
                yield from self._hand_back(claim)
        return (yield from self._outcome(item))

    def _publish(self, claim: HeldClaim, done: Completed) -> Steps[None]:
        """Weights before words.  Raises `AskedToStop`."""
        item = claim.item
        core = {**item.core, **done.found}
        if done.file is not None:
            blob = PutBlob(done.file, paths.soup_checkpoint(core["checkpoint"]))
            yield from persist(blob, while_waiting=claim.keep)
        meta = {"worker": self._name, **done.where}
        record = Record(item.kind, self._run, core, meta, self._claims.new_nonce())
        yield from persist(Put(item.record, encode(record)), while_waiting=claim.keep)
        first = yield from adopt(item.record, item.kind, self._run)
        if first is not None and first.digest != record.digest:
            yield from Say(
                f"{item.record}: another process came first with another outcome, which "
                "stands; evaluation is not deterministic here"
            )

    def _hand_back(self, claim: HeldClaim) -> Steps[None]:
        core = {
            "class": "released",
            "counted": False,
            "text": "not finished here",
            "worker": self._name,
        }
        yield from self._claims.end(claim.item.slot, claim.number, core)

    def _tell(self, wanted: Sequence[WorkItem]) -> Steps[None]:
        """Say once for whom this process waits."""
        for item in wanted:
            number = yield from self._claims.latest(item.slot)
            if item.slot in self._told or not number:
                continue
            self._told.add(item.slot)
            holder = yield from self._claims.holder(item.slot, number)
            if holder is not None:
                yield from Say(f"{item.what}: waiting for {holder['worker']} on {holder['host']}")
