"""Decides which jobs a worker had better leave to another machine.

What is not in the shared directory, such as a replay buffer, is on the machine that trained a
member; and what fails on one machine may do well on another.  Pure protocol.  None of it
decides an outcome: whoever takes a job, its result is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pbtnas.protocol.attempts import Failure
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import List, Steps
from pbtnas.protocol.reading import read, result_of
from pbtnas.records import paths
from pbtnas.records.names import Digest, Slot
from pbtnas.records.paths import host_of
from pbtnas.records.schema import TRAINED_BY, Job, Manifest

DONE_ELSEWHERE = 3  # jobs that failed here and nowhere else, after which this machine is unfit


class HostAffinity:
    """Knows which machine trained what, and which jobs failed on this one.

    Args:
        run: Id of the run.
        name: Name of the worker.
        claims: The worker's view of the claims.
    """

    def __init__(self, run: str, name: str, claims: Claims) -> None:
        self._run = run
        self._host = host_of(name)
        self._claims = claims
        self._homes: dict[int, str] = {}  # machines that have trained a job's member, or its base
        self._failed: set[tuple[int, int]] = set()  # jobs, here, since the last that did well
        self._done_elsewhere = 0

    @property
    def host_unfit(self) -> bool:
        """Whether what fails on this machine does well on others."""
        return self._done_elsewhere >= DONE_ELSEWHERE

    def learn(self, manifest: Manifest, meta: Mapping[str, Any]) -> Steps[None]:
        """Learn who made what a generation starts from: its manifest says so.

        Args:
            manifest: The manifest.
            meta: What its record says besides; older ones do not name workers.
        """
        before = manifest.generation - 1
        if before < 0:
            self._homes = {}
        elif TRAINED_BY in meta:
            workers = {int(member): worker for member, worker in meta[TRAINED_BY].items()}
            self._homes = {member: host_of(worker) for member, worker in workers.items()}
        else:
            self._homes = yield from self._read_homes(manifest)
        for generation, member in sorted(self._failed):
            if generation == before:
                record, _ = yield from result_of(before, member, self._run)
                if record is not None and record.core["outcome"] != "failed":
                    self._done_elsewhere += 1

    def _read_homes(self, manifest: Manifest) -> Steps[dict[int, str]]:
        """The machines of a manifest that names no workers, from all results before it."""
        homes: dict[Digest, str] = {}
        for job in manifest.jobs:
            record, _ = yield from result_of(manifest.generation - 1, job.member, self._run)
            if record is not None and record.core["checkpoint"] is not None:
                homes[record.core["checkpoint"]] = host_of(str(record.meta.get("worker")))
        return {
            job.member: homes[checkpoint]
            for job in manifest.jobs
            for checkpoint in job.inputs
            if checkpoint in homes
        }

    def is_local(self, job: Job) -> bool:
        """Whether this machine trained the member, or the base of a child."""
        return self._homes.get(job.member) == self._host

    def is_remote(self, job: Job) -> bool:
        """Whether another machine did."""
        return not self.is_local(job) and job.member in self._homes

    def failures(
        self, slot: Slot, before: int, retry: int | None = None
    ) -> Steps[list[Mapping[str, Any]]]:
        """How attempts at a job failed that are held against it, up to that number; only those of
        one retry, if one is given."""
        failures = []
        for earlier in range(1, before):
            record = yield from read(paths.end(slot, earlier), "end", self._run)
            if record is None or retry not in (None, record.core.get("retry", 0)):
                continue
            if record.core["counted"]:
                failures.append(record.core)
        return failures

    def should_defer(self, slot: Slot) -> Steps[bool]:
        """Whether a job that failed here waits for a machine that has not tried it yet.

        It waits only while such a one lives.
        """
        latest = yield from self._claims.latest(slot)
        failures = yield from self.failures(slot, latest + 1)
        tried = {host_of(failure["worker"]) for failure in failures}
        if self._host not in tried:
            return False
        for leaf in sorted((yield from List(paths.WORKERS))):
            worker, _, suffix = leaf.rpartition(".")
            if suffix == "beat" and host_of(worker) not in tried:
                if (yield from self._claims.alive(paths.worker(worker))):
                    return True
        return False

    def did_well(self) -> None:
        """A job was done here."""
        self._failed.clear()
        self._done_elsewhere = 0

    def failed(self, job: Job, failure: Failure) -> None:
        """A job failed here.  That memory is too small is no sign of a sick machine."""
        if failure.counted and failure is not Failure.OOM:
            self._failed.add((job.generation, job.member))
