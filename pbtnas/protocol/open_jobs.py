"""Knows which jobs of a generation are open to a worker, in the order in which it tries them.

The order is made once a manifest and one listing serves many claims, so what a claim costs does
not depend on the population.  Everything here is a hint: names and slots decide.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from pbtnas.records import paths
from pbtnas.records.paths import LatestClaim
from pbtnas.records.schema import Job, Manifest


class OpenJobs:
    """Keeps the jobs that were open when the directory was listed last, and not tried since.

    Args:
        worker: Name of the worker, which makes its order: a crowd should not race for one claim.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._order: tuple[Job, ...] = ()
        self._done: frozenset[int] = frozenset()
        self._queue: deque[tuple[Job, bool]] = deque()

    def begin(self, manifest: Manifest, is_local: Callable[[Job], bool]) -> None:
        """Order the jobs of a new manifest: those of this machine's members come first."""

        def key(job: Job) -> tuple[bool, bytes]:
            text = f"{self._worker}/{job.generation}/{job.member}"
            return not is_local(job), hashlib.sha256(text.encode()).digest()

        self._order = tuple(sorted(manifest.jobs, key=key))
        self._done = frozenset()
        self._queue.clear()

    def listed(
        self, results: Collection[str], claims: Iterable[str], *, absent: Collection[int]
    ) -> Mapping[int, LatestClaim]:
        """Take a listing over; returns the claims of jobs that somebody has in work.

        Jobs that were never claimed come first, then those whose last claim has ended.

        Args:
            results: Names of results.
            claims: Names of claims and of their ends.
            absent: Members known to have no result, whatever the listing says.
        """
        latest = paths.latest_claims(claims)
        self.done(results, absent=absent)
        self._queue.clear()
        ended, in_work = [], {}
        for job in self._order:
            if job.member in self._done:
                continue
            claim = latest.get(job.member)
            if claim is None:
                self._queue.append((job, False))
            elif claim.ended:
                ended.append(job)
            else:
                in_work[job.member] = claim
        self._queue.extend((job, True) for job in ended)
        return in_work

    def done(self, results: Collection[str], *, absent: Collection[int]) -> None:
        """Note which members have results."""
        numbers = frozenset(
            job.member for job in self._order if f"{paths.member_name(job.member)}.json" in results
        )
        self._done = numbers - frozenset(absent)

    def add(self, members: Collection[int]) -> None:
        """Try the jobs of these members too, after the others, though they seem to be in work."""
        self._queue.extend((job, True) for job in self._order if job.member in members)

    def next(self) -> tuple[Job, bool] | None:
        """The next job to try, and whether it was claimed before; None when all were tried."""
        return self._queue.popleft() if self._queue else None

    @property
    def unclaimed(self) -> bool:
        """Whether the next job to try is one that nobody had claimed when it was listed."""
        return bool(self._queue) and not self._queue[0][1]

    def forget(self) -> None:
        """What was listed is out of date."""
        self._queue.clear()

    def in_work(self, claims: Iterable[str]) -> tuple[dict[int, LatestClaim], bool]:
        """The claims of jobs in work, from a listing, and whether any job is open."""
        latest = paths.latest_claims(claims)
        working, some_open = {}, False
        for job in self._order:
            if job.member in self._done:
                continue
            claim = latest.get(job.member)
            if claim is None or claim.ended:
                some_open = True
            else:
                working[job.member] = claim
        return working, some_open
