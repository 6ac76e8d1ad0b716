"""Decides which result of another run of the study may be taken over.

A job's result is a pure function of its record, so the result of an equal job of another run is
this job's result too: the checkpoint is copied, its digest checked, and the same core is
published.  Nothing depends on the other run afterwards, and where anything is in doubt, the job
is simply trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pbtnas.protocol.addressed import InRun, in_run
from pbtnas.protocol.attempts import Attempt, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Get, Operation, Steps
from pbtnas.records import paths
from pbtnas.records.envelope import Record, RecordError, decode
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Job, Manifest, Result

R = TypeVar("R")

KEPT = ("device", "torch", "processor", "cpu_capability", "parameters", "diverged")
"""What the meta of a result that is taken over says of its making."""


@dataclass(frozen=True, slots=True)
class ReadKind(Operation["str | None"]):
    """Digest of what, besides the job's record, decides a result of this run: its task, space,
    products and the algorithm of its digests.  Replies None while they cannot be read."""


@dataclass(frozen=True, slots=True)
class TakeCheckpoint(Operation["str | None"]):
    """Copy a checkpoint of another run into a private file of this one.

    Replies the file's name, or None unless its content has that very digest.
    """

    source: str
    job: Job
    checkpoint: Digest


class Peer:
    """Reads one run of a study on behalf of the other runs.

    Args:
        label: Label of the run.
        run: Id of the run.
        claims: This process's view of the claims of the run.
    """

    def __init__(self, label: str, run: str, claims: Claims) -> None:
        self.label = label
        self._run = run
        self._claims = claims
        self._manifests: dict[int, Manifest] = {}
        self._kind: str | None = None

    def kind(self) -> Steps[str | None]:
        """What `ReadKind` says.  Asked once the run has jobs; its products are complete then."""
        if self._kind is None:
            self._kind = yield from self._look(ReadKind())
        return self._kind

    def has(self, job: Job) -> Steps[bool]:
        """Whether this run has an equal job."""
        if job.generation not in self._manifests:
            record = yield from self._read(paths.manifest(job.generation), "manifest")
            if record is None:
                return False
            self._manifests[job.generation] = Manifest.from_json(record.core)
        return job in self._manifests[job.generation].jobs

    def result(self, job: Job) -> Steps[Record | None]:
        """The result of its equal job, if there is one by now."""
        return (yield from self._read(paths.result(job.generation, job.member), "result"))

    def works_on(self, job: Job) -> Steps[bool]:
        """Whether somebody seems to be at work on its equal job."""
        slot = paths.job_slot(job.generation, job.member)
        return (yield from in_run(self.label, self._claims.held(slot), as_peer=True))

    def _read(self, name: Name, kind: str) -> Steps[Record | None]:
        data = yield from self._look(Get(name))
        if not isinstance(data, bytes):
            return None
        try:
            return decode(data, name, kind=kind, run=self._run)
        except RecordError:
            return None  # whoever serves that run puts it aside, or says so

    def _look(self, operation: Operation[R]) -> Steps[R]:
        return (yield from InRun(self.label, operation, as_peer=True))


class Reuse:
    """Decides what one run takes over from its peers.

    Args:
        own: Run that takes over results.
        peers: Function that returns the runs open now; `own` may be among them.
        device: Device of this worker; what another kind of device computed has other bits.
    """

    def __init__(self, own: Peer, peers: Callable[[], Sequence[Peer]], device: str) -> None:
        self._own = own
        self._peers = peers
        self._device = device

    def should_wait(self, job: Job) -> Steps[bool]:
        """Whether a peer has an equal job in work, whose result is worth waiting for."""
        for peer in (yield from self._peers_with(job)):
            if (yield from peer.result(job)) is None and (yield from peer.works_on(job)):
                return True
        return False

    def find(self, attempt: Attempt) -> Steps[Trained | None]:
        """The outcome of an equal job of a peer, its checkpoint in a private file of ours.

        A failed job is tried here again, and a repair wants no second copy of what was lost.
        """
        if attempt.repair:
            return None
        job = attempt.job
        for peer in (yield from self._peers_with(job)):
            record = yield from peer.result(job)
            if record is None or not self._fits(record):
                continue
            result = Result.from_json(record.core)
            file = None
            if result.checkpoint is not None:
                take = TakeCheckpoint(peer.label, job, result.checkpoint)
                file = yield from InRun(self._own.label, take)
                if file is None:
                    continue
            kept = {key: record.meta[key] for key in KEPT if key in record.meta}
            source = record.meta.get("reused_from", peer.label)
            return Trained(result, file, {**kept, "reused_from": source})
        return None

    def _peers_with(self, job: Job) -> Steps[list[Peer]]:
        found = []
        for peer in self._peers():
            if peer is not self._own and (yield from peer.has(job)):
                found.append(peer)
        if not found:
            return []
        kind = yield from self._own.kind()
        equal = []
        for peer in found:
            if kind is not None and (yield from peer.kind()) == kind:
                equal.append(peer)
        return equal

    def _fits(self, record: Record) -> bool:
        device = str(record.meta.get("device", ""))
        same = device.partition(":")[0] == self._device.partition(":")[0]
        return same and record.core["outcome"] != "failed"
