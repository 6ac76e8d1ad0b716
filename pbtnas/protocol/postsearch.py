"""Plans and shares the work after a search: final evaluations, soups and ratings of subnets.

Pure protocol, like `worker`: generators that yield operations.  The work is a set of items that
several processes may claim.  The outcome of an item is a write-once record and a pure function of
the finished run, so the claims on it only save work: an item done twice is decided by the first to
publish.
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
    Say,
    Sleep,
    Steps,
    Stopping,
    WriteHeartbeat,
    pause_s,
    persist,
    publish_checkpoint,
)
from pbtnas.protocol.reading import adopt, read
from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Digest, Name, Slot
from pbtnas.search.space import Architecture


@dataclass(frozen=True)
class Mixture:
    """Names the checkpoints to average; the average of one checkpoint is that checkpoint.

    Args:
        architecture: Architecture of the averaged network.
        files: Names of the checkpoints in the run directory, the best member's first.
        digests: Digests of these files.
        modules: Dotted paths of the averaged modules; empty for all modules.
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
class Rate:
    """Work: score subnets of a member, each tuned alone from the member's weights.

    Args:
        mixture: Checkpoint of the member.
        seed: Seed of the evaluation.
        subnets: Names of the subnets.
        at: Numbers of steps of tuning after which a subnet is scored; 0 means as it is.
        statistics: What normalisation uses, as the task names it; None for the task's own choice.
    """

    mixture: Mixture
    seed: int
    subnets: tuple[str, ...]
    at: tuple[int, ...]
    statistics: str | None


@dataclass(frozen=True)
class WriteAverage:
    """Work: write an average as a checkpoint."""

    mixture: Mixture


@dataclass(frozen=True)
class WorkItem:
    """Describes one unit of work after the search, and the record of its outcome.

    Args:
        record: Name of the record that holds its outcome.
        kind: Kind of that record.
        what: Description for log messages.
        work: What to carry out.
        core: Part of the record's core that is known before the work is done.
    """

    record: Name
    kind: str
    what: str
    work: Evaluate | Rate | WriteAverage
    core: Mapping[str, Any]

    @property
    def slot(self) -> Slot:
        return paths.afterwards_slot(self.record)


Outcomes = Mapping[Name, Mapping[str, Any]]
"""The cores of records, by name."""

Plan = Callable[[Outcomes], Sequence[WorkItem]]
"""The items whose outcomes are wanted next, given those that are known; none at the end."""


class HeldClaim:
    """Holds a claim on an item and writes its heartbeat."""

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
    """Prepare what all items need, before the first item.  Replies whether it is done: False
    when this process was asked to stop meanwhile."""


@dataclass(frozen=True, slots=True)
class CarryOut(Operation["Completed | None"]):
    """Carry out an item.  Replies `Completed`; None if this process was asked to stop meanwhile, or
    somebody else has done it."""

    claim: HeldClaim


@dataclass(frozen=True, slots=True)
class Completed:
    """Holds the rest of a record's core, and the private file of a written checkpoint.

    `where` says on what it was computed; it is in the record's meta.
    """

    found: Mapping[str, Any]
    file: str | None = None
    where: Mapping[str, Any] = field(default_factory=dict)


class PostSearch:
    """Carries out the work items of a plan, together with other processes.

    Args:
        run: Id of the run.
        name: Name of this process.
        claims: View of the claims by this process.
        poll_s: Longest wait between two reads of the directory, in seconds.
    """

    def __init__(self, run: str, name: str, claims: Claims, *, poll_s: float) -> None:
        self._run = run
        self._name = name
        self._claims = claims
        self._poll_s = poll_s
        self._ready = False
        self._reported: set[Slot] = set()

    def complete(self, plan: Plan) -> Steps[Outcomes | None]:
        """Carry out the items of the plan, and wait for those of others, until none is left.

        Returns all outcomes, or None if this process was asked to stop before.
        """
        try:
            return (yield from self._complete(plan))
        except AskedToStop:  # while the directory could not be read
            return None

    def _complete(self, plan: Plan) -> Steps[Outcomes | None]:
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
                yield from self._report_waiting(wanted)
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
        """Carry out an item unless another process has claimed it; None without an outcome."""
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
            yield from self._release(claim)
        else:
            try:
                yield from self._publish(claim, done)
            except AskedToStop:  # while the disk was full
                yield from self._release(claim)
        return (yield from self._outcome(item))

    def _publish(self, claim: HeldClaim, done: Completed) -> Steps[None]:
        """Publish the checkpoint, then the record that names it.  Raises `AskedToStop`."""
        item = claim.item
        core = {**item.core, **done.found}
        if done.file is not None:
            name = paths.soup_checkpoint(core["checkpoint"])
            if not (yield from publish_checkpoint(done.file, name, while_waiting=claim.keep)):
                yield from self._release(claim)
                return
        meta = {"worker": self._name, **done.where}
        record = Record(item.kind, self._run, core, meta, self._claims.new_nonce())
        publish = Put(item.record, encode(record, item.record))
        yield from persist(publish, while_waiting=claim.keep)
        first = yield from adopt(item.record, item.kind, self._run)
        if first is not None and first.digest != record.digest:
            yield from Say(
                f"{item.record}: another process came first with another outcome, which "
                "stands; evaluation is not deterministic here"
            )

    def _release(self, claim: HeldClaim) -> Steps[None]:
        core = {
            "class": "released",
            "counted": False,
            "text": "not finished here",
            "worker": self._name,
        }
        yield from self._claims.end(claim.item.slot, claim.number, core)

    def _report_waiting(self, wanted: Sequence[WorkItem]) -> Steps[None]:
        """Report once for each item which process this one waits for."""
        for item in wanted:
            number = yield from self._claims.latest(item.slot)
            if item.slot in self._reported or not number:
                continue
            self._reported.add(item.slot)
            holder = yield from self._claims.holder(item.slot, number)
            if holder is not None:
                yield from Say(f"{item.what}: waiting for {holder['worker']} on {holder['host']}")
