"""Reuse of member-steps between the runs of a study.

A job's result is a pure function of its record, so the result of an equal job of another run is
this job's result too: the checkpoint is linked, its digest checked, and the same core is
published.  Nothing depends on the other run afterwards, and where anything is in doubt, the job
is simply trained.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from pbtnas.checkpoints.digests import file_digest
from pbtnas.engine.driver import drive
from pbtnas.protocol.attempts import Attempt, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.records import paths
from pbtnas.records.envelope import Record, RecordError, digest
from pbtnas.records.schema import Job, Manifest, Result
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import published
from pbtnas.store.run_directory import Run


class Peer:
    """One run of a study, as the other runs see it.

    Args:
        label: of the run.
        run: which it is.
        store: its directory.
        claims: this process's view of its claims.
        execute: carries out operations in it.
    """

    def __init__(
        self,
        label: str,
        run: Run,
        store: PosixStore,
        claims: Claims,
        execute: Callable[[Any], Any],
    ) -> None:
        self.label = label
        self.store = store
        self.hash = run.hash
        self._run = run
        self._claims = claims
        self._execute = execute
        self._manifests: dict[int, Manifest] = {}
        self._kind: str | None = None

    def kind(self) -> str | None:
        """Digest of what, besides the job's record, decides its result: task and products.

        Asked once the run has jobs; its products are complete then.  None while they cannot be
        read.
        """
        if self._kind is None:
            with suppress(OSError):
                products = published(self.store)
                self._kind = digest(
                    [self._run.config["task"], self._run.space, self.hash, products]
                )
        return self._kind

    def has(self, job: Job) -> bool:
        """Whether this run has an equal job."""
        if job.generation not in self._manifests:
            record = self._read(paths.manifest(job.generation), "manifest")
            if record is None:
                return False
            self._manifests[job.generation] = Manifest.from_json(record.core)
        return job in self._manifests[job.generation].jobs

    def result(self, job: Job) -> Record | None:
        """The result of its equal job, if there is one by now."""
        return self._read(paths.result(job.generation, job.member), "result")

    def works_on(self, job: Job) -> bool:
        """Whether somebody seems to be at work on its equal job."""
        slot = paths.job_slot(job.generation, job.member)
        return drive(self._claims.held(slot), self._execute)

    def _read(self, name: str, kind: str) -> Record | None:
        try:
            return self.store.record(name, kind, self._run.id)
        except (RecordError, OSError):
            return None  # whoever serves that run puts it aside, or says so


class Reuse:
    """What one run can take over from its peers.

    Args:
        own: the run that takes.
        peers: all runs that have begun; they may change, and `own` may be among them.
        writer: name for private files.
        device: of this worker; what another kind of device computed has other bits.
    """

    def __init__(self, own: Peer, peers: Collection[Peer], writer: str, device: str) -> None:
        self._own = own
        self._peers = peers
        self._writer = writer
        self._device = device

    def postponed(self, job: Job) -> bool:
        """Whether a peer has an equal job in work, whose result is worth waiting for."""
        return any(
            peer.result(job) is None and peer.works_on(job) for peer in self._peers_with(job)
        )

    def find(self, attempt: Attempt) -> Trained | None:
        """The outcome of an equal job of a peer, its checkpoint in a private file of ours.

        A failed job is tried here again, and a repair wants no second copy of what was lost.
        """
        if attempt.repair:
            return None
        for peer in self._peers_with(attempt.job):
            record = peer.result(attempt.job)
            if record is None or not self._fits(record):
                continue
            result = Result.from_json(record.core)
            file = self._taken(peer, attempt.job, result)
            if file is None and result.checkpoint is not None:
                continue
            kept = {key: record.meta[key] for key in ("device", "torch") if key in record.meta}
            source = record.meta.get("reused_from", peer.label)
            return Trained(result, file, {**kept, "reused_from": source})
        return None

    def _peers_with(self, job: Job) -> list[Peer]:
        others = [peer for peer in self._peers if peer is not self._own and peer.has(job)]
        kind = self._own.kind()
        return [peer for peer in others if kind is not None and peer.kind() == kind]

    def _fits(self, record: Record) -> bool:
        device = str(record.meta.get("device", ""))
        same = device.partition(":")[0] == self._device.partition(":")[0]
        return same and record.core["outcome"] != "failed"

    def _taken(self, peer: Peer, job: Job, result: Result) -> str | None:
        """A private name for the peer's checkpoint; None if it is not there as it should be."""
        if result.checkpoint is None:
            return None
        source = peer.store.root / paths.checkpoint(job.generation, result.checkpoint)
        # A name of its own: training overwrites what it finds under its own, and this may be a
        # link to the peer's checkpoint.
        leaf = f".tmp-{self._writer}-{paths.member_name(job.member)}-reused"
        name = f"{paths.checkpoints(job.generation)}/{leaf}"
        private = self._own.store.root / name
        try:
            private.unlink(missing_ok=True)
            _link_or_copy(source, private)
            if file_digest(private, self._own.hash) == result.checkpoint:
                return name
        except OSError:
            pass  # collected as garbage meanwhile, or a full disk: training waits for that
        with suppress(OSError):
            private.unlink(missing_ok=True)
        return None


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)  # no hard links here
