"""Works on a study: one worker serves all runs that are open, with one training process.

Theory of operation.  `StudyWorker` is a `WorkLoop` as `Worker` is, and holds one `Worker` for
each run that is open.  What it adds is which of them comes next:

    look for runs that were opened or have ended
    -> claim a job: of the earliest seed, and there of the run that is furthest behind
    -> start it  -> publish the job before  -> attend it, and begin again

So the runs of a seed stay together, and what one of them has computed is still there when the
others need it (`reuse`).  A run is served from the moment it has begun until all runs of its seed
are over; after its own end only the others read it.

Every operation of a run goes out as `InRun(label, operation)`; a plain one is for the process, or
for the directory of the study, where `ended.json` says that everything is over.  Before each
operation that takes time, `BusyElsewhere` tells those who look at the other runs that this worker
lives.  The driver carries out what it is asked for, and decides nothing:

    OpenRun       opens the run directory; a worker's `Claims` and `Pace` are made of the reply
    InRun         carries out the operation there; errors are raised where it was asked for
    CloseRun      nothing will be asked of that run any more
    BusyElsewhere writes heartbeats in the other runs

What is broken in one run (a foreign record, a damaged `run.json`) leaves that run alone until the
worker is started again, and ends the work on no other.  It is safe to die at any line: there is
nothing here that a later worker would not find in the records, as in `worker`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pbtnas.protocol.addressed import RunOfStudy, in_run
from pbtnas.protocol.attempts import Attempt
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Now, Operation, Say, Sleep, Steps, Stopping, pause_s
from pbtnas.protocol.reading import content
from pbtnas.protocol.reuse import Peer, Reuse
from pbtnas.protocol.work_loop import WorkerEnding, WorkLoop
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.search.objectives import BY_SCORE, Objectives

T = TypeVar("T")

RESCAN_S = 1.0  # between two looks for runs that have been opened or have ended
POLL_S = 0.5  # longest wait between two looks for work


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """Holds what a worker has to know of a run.

    Args:
        id: Id of the run.
        lease_s: Silence after which a claim counts as expired.
        pace: Intervals between reads and heartbeats, and the number of attempts.
        objectives: What members are ranked by.
    """

    id: str
    lease_s: float
    pace: Pace
    objectives: Objectives = BY_SCORE


@dataclass(frozen=True, slots=True)
class OpenRun(Operation["OpenedRun | None"]):
    """Open the directory of a run.  Replies None while nobody has begun with it, and raises what
    is broken in it."""

    run: str


@dataclass(frozen=True, slots=True)
class CloseRun(Operation[None]):
    """Nothing more is asked of a run.  Replies nothing."""

    run: str


@dataclass(frozen=True, slots=True)
class BusyElsewhere(Operation[None]):
    """Show in some runs that this worker lives, but works for another.  Replies nothing."""

    runs: tuple[str, ...]
    works_for: str


@dataclass
class _Served:
    """A run that is open.

    Args:
        run: The run of the study.
        place: Place of its seed and of itself in the study.
        worker: Worker that takes its jobs and carries them out.
        peer: The run as the others see it.
        generation: Generation in work; -1 before the first.
        over: Whether it has no more work for this worker.
        broken: Whether that is because somebody has to mend it.
    """

    run: RunOfStudy
    place: tuple[int, int]
    worker: Worker
    peer: Peer
    generation: int = -1
    over: bool = False
    broken: bool = False

    @property
    def label(self) -> str:
        return self.run.label

    def look(self) -> Steps[None]:
        """See which generation is in work."""
        manifest = yield from self.worker.newest_manifest()
        self.generation = -1 if manifest is None else manifest.generation


class StudyWorker(WorkLoop[tuple[_Served, Attempt]]):
    """Works on the runs of a study until it is over.

    Args:
        runs: The runs, in the order of the study.
        holder: JSON that identifies this process; its `worker` is the name of this worker.
        new_nonce: Function that makes a string that no other process makes.
        device: Device of this worker.
        reuse: Whether to take over what other runs have computed.
        broken: Errors that leave a run alone.
    """

    def __init__(
        self,
        runs: Sequence[RunOfStudy],
        holder: Mapping[str, Any],
        new_nonce: Callable[[], str],
        *,
        device: str,
        reuse: bool,
        broken: tuple[type[Exception], ...],
    ) -> None:
        self._holder = holder
        self._new_nonce = new_nonce
        self._device = device
        self._reuse = reuse
        self._broken = broken
        seeds = list(dict.fromkeys(run.seed for run in runs))
        self._places = {run: (seeds.index(run.seed), i) for i, run in enumerate(runs)}
        self._unopened = list(runs)
        self._served: list[_Served] = []
        self._ended = False
        self._looked_s = float("-inf")
        self._idle_since_s: float | None = None

    # -- the states of a worker ----------------------------------------------------------------

    def next_attempt(self) -> Steps[tuple[_Served, Attempt] | None]:
        """Claim a job of the run whose turn it is."""
        if (yield from Stopping()):
            return None
        yield from self._follow_the_study()
        for served in self._serving():
            yield from self._in(served, served.look())
        for served in sorted(self._serving(), key=lambda s: (s.place[0], s.generation, s.place[1])):
            attempt = yield from self._in(served, served.worker.next_attempt())
            if attempt is not None:
                return served, attempt
        return None

    def start(self, attempt: tuple[_Served, Attempt]) -> Steps[None]:
        """Have a claimed job trained or taken over from another run."""
        served, claimed = attempt
        yield from self._in(served, served.worker.start(claimed))

    def publish_last(self) -> Steps[None]:
        """Publish the job finished last, whichever run it is of."""
        for served in self._served:
            if not served.broken:
                yield from self._in(served, served.worker.publish_last())

    def attend(self, attempt: tuple[_Served, Attempt]) -> Steps[WorkerEnding | None]:
        """Watch a started attempt to its end, and show the other runs that this worker lives."""
        served, claimed = attempt
        self._idle_since_s = None
        return (yield from self._in(served, served.worker.attend(claimed), announced=True))

    def wait(self) -> Steps[WorkerEnding | None]:
        """Wait for work, and see to lost checkpoints meanwhile."""
        if (yield from Stopping()):
            return WorkerEnding.STOPPED
        if self._ended:
            return WorkerEnding.FINISHED
        now_s = yield from Now()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        waited_s = now_s - self._idle_since_s
        for served in self._serving():
            yield from self._in(served, served.worker.repair(waited_s), announced=True)
        yield from Sleep(pause_s(waited_s, POLL_S))
        return None

    # -- the runs ------------------------------------------------------------------------------

    def _serving(self) -> list[_Served]:
        return [] if self._ended else [served for served in self._served if not served.over]

    def _in(self, served: _Served, steps: Steps[T], *, announced: bool = False) -> Steps[T | None]:
        """Do something in one run; what is broken there leaves that run alone, and only that.

        Args:
            served: The run.
            steps: Protocol to carry out there.
            announced: Whether it may take long, so that the other runs have to be told.
        """
        others = tuple(s.label for s in self._serving() if s is not served) if announced else ()
        elsewhere = BusyElsewhere(others, served.label) if others else None
        try:
            return (yield from in_run(served.label, steps, before_waiting=elsewhere))
        except self._broken as error:
            served.over = served.broken = True
            yield from _leave_alone(served.label, error)
            return None

    def _follow_the_study(self) -> Steps[None]:
        """Now and then, begin with the runs that were opened, and note those that are over."""
        now_s = yield from Now()
        if now_s - self._looked_s < RESCAN_S:
            return
        self._looked_s = now_s
        self._ended = (yield from content(paths.STUDY_ENDED)) is not None
        if self._ended:
            return
        for run in list(self._unopened):
            yield from self._open(run)
        for served in [served for served in self._served if not served.broken]:
            # Not for good: a best member may be lost, and its coordinator wait for a worker.
            finished = yield from self._in(served, served.worker.finished())
            served.over = served.broken or bool(finished)
        yield from self._close_seeds()

    def _open(self, run: RunOfStudy) -> Steps[None]:
        try:
            opened = yield from OpenRun(run.label)
        except self._broken as error:
            self._unopened.remove(run)
            yield from _leave_alone(run.label, error)
            return
        if opened is None:
            return
        self._unopened.remove(run)
        claims = Claims(opened.id, self._holder, lease_s=opened.lease_s, new_nonce=self._new_nonce)
        peer = Peer(run.label, opened.id, claims)
        reuse = Reuse(peer, self._peers, self._device) if self._reuse else None
        worker = Worker(
            opened.id,
            self._holder["worker"],
            claims,
            opened.pace,
            reuse,
            objectives=opened.objectives,
        )
        self._served.append(_Served(run, self._places[run], worker, peer))

    def _peers(self) -> list[Peer]:
        return [served.peer for served in self._served]

    def _close_seeds(self) -> Steps[None]:
        """Close the runs of seeds of which all runs are over.

        Until then they stay open: the others may still want what they have computed.
        """
        unfinished = {served.run.seed for served in self._serving()}
        unfinished |= {run.seed for run in self._unopened}
        for served in [s for s in self._served if s.run.seed not in unfinished]:
            if not served.broken:
                yield from self._in(served, served.worker.publish_last())
            self._served.remove(served)
            yield from CloseRun(served.label)


def _leave_alone(label: str, error: Exception) -> Steps[None]:
    yield from Say(f"{label}: {error}; left alone until this worker is started again")
