"""Works on a run: claims a job, has it trained, publishes its result.

Theory of operation.  A worker is a generator.  It yields operations (those of `operations`, and
`Start`, `Poll`, `Halt` of `attempts`, which speak to the training process), is sent their
replies, and returns a `WorkerEnding`.  `WorkLoop.work` gives the order of its states:

    next_attempt    find the newest generation; claim one of its jobs, or come back without
    start           with a job: have it trained, or take its result over from another run
    publish_last    publish the job before, while the new one trains already
    attend          with a job: heartbeats and polls, until the training ends in some way
    wait            without: sleep, look for the end of the run, restore lost checkpoints

and again, until `attend` or `wait` returns an ending.

What is decided where.  Which job to take: `next_attempt`, with `HostAffinity` (which jobs had
better go to another machine) and `Reuse` (which are in work in another run).  Whether it may be
taken: `Claims`.  Whether it is worth going on: `AttemptMonitor.watch`.  What a failure means:
`attend` for this worker, `Failure.counted` for the job, which `_give_up_if_due` records as failed
after enough of them.  Which checkpoints are lost: `CheckpointRecovery`.

Why a worker may die at any line.  Everything it holds in memory is a hint or can be had again:
the claim expires, by an `end` record, by the provable death of its holder or by silence; the next
attempt goes on from the last snapshot.  A publish is either there or not.  The checkpoint comes
before the result that names it, so no result names what never was.  Two workers at one job, after
a lease that ran out too early, compute the same bits, and the slot of the result takes the first.
So one decision matters, the publish of a result, and that one cannot go wrong.

What the driver must do (`engine.worker` for real, `tests/simulation` with every fault): carry
out one operation after the other, in order, and send each reply; raise the error of an operation
at its yield; reply `Published.ERROR` for what may not have happened, never a guess; show a sign
of life in `workers/` while it does so; and decide nothing.  No clock, no file and no signal
reaches this module in another way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.protocol.affinity import HostAffinity
from pbtnas.protocol.ancestry import best_are_there
from pbtnas.protocol.attempts import (
    Attempt,
    AttemptMonitor,
    Failure,
    Start,
    Stopped,
    Trained,
)
from pbtnas.protocol.backoff import backoff
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.controls import Controls
from pbtnas.protocol.open_jobs import OpenJobs
from pbtnas.protocol.operations import (
    List,
    Now,
    Published,
    Put,
    Say,
    Sleep,
    Steps,
    Stopping,
    Sync,
    nothing,
    pause_s,
    persist,
    publish_checkpoint,
)
from pbtnas.protocol.reading import (
    content,
    newest_generation,
    newest_manifest,
    read,
    result_of,
)
from pbtnas.protocol.recovery import CheckpointRecovery
from pbtnas.protocol.reuse import Reuse
from pbtnas.protocol.work_loop import WorkerEnding, WorkLoop
from pbtnas.records import paths
from pbtnas.records.causes import without
from pbtnas.records.envelope import CorruptRecord, Record, decode, encode
from pbtnas.records.members import is_usable, lacking
from pbtnas.records.names import Slot
from pbtnas.records.paths import LatestClaim
from pbtnas.records.schema import EXTENDED, Job, Manifest, Result, last_line
from pbtnas.search.objectives import BY_SCORE, Objectives


@dataclass(frozen=True)
class Pace:
    """Sets how often a worker reads and writes heartbeats; none of it decides an outcome.

    Args:
        beat_s: Seconds between two heartbeats of a job.
        poll_s: Longest wait between two looks at the directory, in seconds.
        attempts: Counted failures after which a job is recorded as failed.
    """

    beat_s: float
    poll_s: float
    attempts: int


INFRA_IN_A_ROW = 3
LOST_TRIES = 5  # at a result whose slot is filled, but with nothing that can be read
LOOK_S = 1.0  # between two looks at the controls of a worker that claims jobs, or is paused
LOOK_IDLE_S = 10.0  # of one that waits for a job
RESCAN_S = 1.0  # between two looks for jobs that were put back, and for the end of the run
WATCH_S = 30.0  # between two looks at one job in work, should there be no coordinator for that
EXTINCT_S = 30.0  # of waiting, before the first look for that; a coordinator is faster


class Worker(WorkLoop[Attempt]):
    """Works on one run.

    Args:
        run: Id of the run.
        name: Name of this worker.
        claims: This worker's view of the claims.
        pace: Intervals between reads and heartbeats, and the number of attempts.
        reuse: Decides which results of other runs to take over; None if there are no others.
        objectives: What members of the run are ranked by.
    """

    def __init__(
        self,
        run: str,
        name: str,
        claims: Claims,
        pace: Pace,
        reuse: Reuse | None = None,
        *,
        objectives: Objectives = BY_SCORE,
    ) -> None:
        self._reuse = reuse
        self._objectives = objectives
        self._run = run
        self._name = name
        self._claims = claims
        self._pace = pace
        self._manifest: Manifest | None = None
        self._extended = 0  # how often the run was, by that manifest
        self._reused: Trained | None = None
        self._unpublished: tuple[Attempt, Trained] | None = None
        self._started: Attempt | None = None
        self._affinity = HostAffinity(run, name, claims)
        self._controls = Controls(run)
        self._monitor = AttemptMonitor(name, claims, pace.beat_s, self._controls)
        self._recovery = CheckpointRecovery(run, claims, self._monitor, objectives)
        self._starved = 0
        self._idle_since_s: float | None = None
        self._job_s = 0.0  # how long its last job took
        self._reserved_until_s = float("-inf")
        self._resting_until_s = float("-inf")
        self._without_result: frozenset[int] = frozenset()  # whatever a listing says
        self._retried: dict[int, int] = {}  # by member of this generation, what it knows is asked
        self._settled: dict[int, int] = {}  # up to which retry the member is known to need none
        self._open = OpenJobs(name)
        self._newcomer = True  # has not looked at the jobs in work yet
        self._abandoned: set[int] = set()  # members whose worker was seen to be gone
        self._hopeless: set[int] = set()  # members of this generation that have no score
        self._in_work: Mapping[int, LatestClaim] = {}  # when claims were listed last
        self._looks = self._watched = 0
        self._watch_at_s = self._final_at_s = float("-inf")

    # -- finding work --------------------------------------------------------------------------

    def next_attempt(self) -> Steps[Attempt | None]:
        """Claim a job of the newest generation, if there is one to take."""
        if (yield from Stopping()):
            return None
        now_s = yield from Now()
        if now_s < self._resting_until_s:
            return None
        looked = listed = False
        while True:
            # A generation with a job that nobody has claimed is in work: to claim it shows that.
            if not looked and not self._open.unclaimed:
                looked = True
                yield from self.newest_manifest()
            if self._manifest is None:
                return None
            found = self._open.next()
            if found is None:
                if listed:
                    return None
                yield from self._list_jobs(self._manifest)
                listed = True
                continue
            job, claimed = found
            if self._is_unpublished(job):
                continue
            if now_s < self._reserved_until_s and self._affinity.is_remote(job):
                continue
            if claimed and (yield from self._affinity.should_defer(_slot(job))):
                continue
            if self._reuse is not None and (yield from self._reuse.should_wait(job)):
                continue
            yield from self._controls.look(LOOK_S)
            if self._monitor.held_back:
                self._open.forget()
                return None
            attempt = yield from self._take(job, unclaimed=not claimed)
            if attempt is not None:
                return attempt
            if not listed:
                self._open.forget()  # somebody was quicker, and may have been so with the others

    def _list_jobs(self, manifest: Manifest) -> Steps[None]:
        """See which jobs are open.  Listings are hints: they only order the search, names and
        slots decide.  Jobs in work are looked at once, by a worker that has just come: it may know
        that a worker of its machine is dead.  Later, the coordinator ends the claims of the dead.
        """
        results = yield from List(paths.results(manifest.generation))
        claims = yield from List(paths.claims(manifest.generation))
        in_work = self._open.listed(results, claims, absent=self._absent(manifest, results))
        self._open.add(in_work.keys() if self._newcomer else in_work.keys() & self._abandoned)
        self._newcomer = False
        self._abandoned.clear()

    def _absent(self, manifest: Manifest, results: Collection[str]) -> Collection[int]:
        """Members that have no result, or only failed ones and are to be tried again."""
        generation = manifest.generation
        self._retried = self._controls.steering.retries(generation)
        due = {
            member
            for member, retry in self._retried.items()
            if retry > self._settled.get(member, 0)
            and paths.result(generation, member, retry).rpartition("/")[2] not in results
        }
        self._hopeless -= due
        return self._without_result | due

    def _retry_asked(self) -> bool:
        """Whether a retry is asked for in this generation that it has not looked at yet."""
        if self._manifest is None:
            return False
        return self._controls.steering.retries(self._manifest.generation) != self._retried

    def newest_manifest(self) -> Steps[Manifest | None]:
        """The generation in work; None before the first."""
        known = -1 if self._manifest is None else self._manifest.generation
        newest, held = yield from newest_manifest(known)
        if newest > known:
            record = yield from read(paths.manifest(newest), "manifest", self._run, held=held)
            if record is None:
                return None
            # What is read must be at least as durable as what will be published on top of it.
            yield from persist(Sync(paths.generation(newest)))
            self._manifest = Manifest.from_json(record.core)
            self._extended = record.meta.get(EXTENDED, 0)
            self._without_result = frozenset()
            yield from self._affinity.learn(self._manifest, record.meta)
            self._open.begin(self._manifest, self._affinity.is_local)
            self._in_work = {}
            self._abandoned.clear()
            self._hopeless.clear()
            self._retried, self._settled = {}, {}
            # A machine that looks as late as `pause_s` allows still finds its members free.
            now_s = yield from Now()
            self._reserved_until_s = now_s + pause_s(self._job_s, self._pace.poll_s)
        return self._manifest

    def _is_unpublished(self, job: Job) -> bool:
        return self._unpublished is not None and self._unpublished[0].job == job

    def _take(self, job: Job, *, unclaimed: bool) -> Steps[Attempt | None]:
        retries = self._controls.steering.retries(job.generation).get(job.member, 0)
        slot, retry = _slot(job), 0
        number = yield from self._claims.take(slot, unclaimed=unclaimed)
        if number is None:
            return None
        # Our own publish has refreshed this machine's view of the directory: only now is
        # "no result yet" worth believing.  Of the first attempt at a job it follows from the
        # claim, unless claims were lost.
        if retries:
            record, retry = yield from result_of(
                job.generation, job.member, self._run, retries=retries
            )
            there = record is not None
        else:
            result = paths.result(job.generation, job.member)
            there = (yield from content(result, once=number == 1)) is not None
        if there:
            self._settled[job.member] = retries
            yield from self._release(slot, number)
            return None
        if (yield from self._give_up_if_due(job, slot, number, retry)):
            yield from self._release(slot, number)
            return None
        return Attempt(job, slot, number, retry=retry)

    def _release(self, slot: Slot, number: int) -> Steps[None]:
        """End a claim that was for nothing, so that nobody waits for it should the job be tried
        again."""
        text = "there is a result"
        core = {"class": "released", "counted": False, "text": text, "worker": self._name}
        yield from self._claims.end(slot, number, core)

    def _give_up_if_due(self, job: Job, slot: Slot, before: int, retry: int) -> Steps[bool]:
        """Record a job as failed if enough attempts at it have, up to that number."""
        failures = yield from self._affinity.failures(slot, before, retry)
        times = len(failures)
        if times < self._pace.attempts:
            return False
        last = failures[-1]
        yield from Say(
            f"generation {job.generation} member {job.member}: recorded as failed after "
            f"{times} attempt{'' if times == 1 else 's'} ({last['class']}): "
            f"{last_line(last['text'])}"
        )
        result = Result(job.member, "failed", None, {}, None)
        meta = {"worker": self._name, "class": last["class"], "traceback": last["text"]}
        yield from self._put_result(job, result, meta, retry=retry)
        return True

    # -- training ------------------------------------------------------------------------------

    def start(self, attempt: Attempt) -> Steps[None]:
        """Have a claimed job trained, unless another run of the study has its result."""
        self._started = attempt
        self._reused = None if self._reuse is None else (yield from self._reuse.find(attempt))
        if self._reused is None:
            yield from Start(attempt)
        else:
            yield from Say(f"{attempt}: reusing what {self._reused.meta['reused_from']} did")

    def attend(self, attempt: Attempt) -> Steps[WorkerEnding | None]:
        """Watch a started attempt to its end; returns an ending if this worker ends with it."""
        self._idle_since_s = None
        began_s = yield from Now()
        event = self._reused or (yield from self._monitor.watch(attempt))
        self._started = None
        if isinstance(event, Trained):
            self._job_s = (yield from Now()) - began_s
            self._affinity.did_well()
            self._monitor.infra_in_a_row = self._starved = 0
            self._unpublished = (attempt, event)
            return None
        if isinstance(event, Stopped):
            text = f"handed back after {event.done} steps"
            yield from Say(f"{attempt}: {text}")
            yield from self._monitor.end(attempt, "released", False, text)
            return WorkerEnding.HANDED_BACK if (yield from Stopping()) else None
        yield from self._monitor.record_failure(attempt, event)
        if event.failure is Failure.TASK:
            return WorkerEnding.TASK_UNFIT  # and it would be the same with every other job
        self._affinity.failed(attempt.job, event.failure)
        if event.failure.counted:
            # At once, so that an operator sees it while others train, and may want it tried again.
            after = attempt.number + 1
            yield from self._give_up_if_due(attempt.job, attempt.slot, after, attempt.retry)
        if event.failure is Failure.INPUT:
            yield from self._recovery.generation(attempt.job.generation - 1)
            # If it could not be repaired here, try less and less often.
            self._starved += 1
            rest_s = min(60.0, self._pace.poll_s * 2 ** min(self._starved, 10))
            self._resting_until_s = (yield from Now()) + rest_s
        host_unfit = self._affinity.host_unfit or self._monitor.infra_in_a_row >= INFRA_IN_A_ROW
        return WorkerEnding.QUARANTINED if host_unfit else None

    # -- publishing ----------------------------------------------------------------------------

    def publish_last(self) -> Steps[None]:
        """Publish the job finished last, if there is one: its checkpoint first, then its record.

        While that waits for the disk, the claim on the job that trains meanwhile is kept too.
        """
        if self._unpublished is None:
            return
        attempt, trained = self._unpublished
        claims = (attempt,) if self._started is None else (attempt, self._started)

        def keep() -> Steps[None]:
            return self._monitor.keep(*claims)

        job, result = attempt.job, trained.result
        if trained.file is not None and result.checkpoint is not None:
            name = paths.checkpoint(job.generation, result.checkpoint)
            if not (yield from publish_checkpoint(trained.file, name, while_waiting=keep)):
                text = "another attempt has taken its place"
                yield from Say(f"{attempt}: {text}")
                yield from self._monitor.end(attempt, "released", False, text)
                self._unpublished = None
                return
        meta = {"worker": self._name, "attempt": attempt.number, **trained.meta}
        if names := lacking(self._objectives, result):
            meta["lacks"] = names
            yield from Say(f"{attempt}: {without(names)}")
        yield from self._put_result(job, result, meta, retry=attempt.retry, while_waiting=keep)
        self._unpublished = None

    def _put_result(
        self,
        job: Job,
        result: Result,
        meta: Mapping[str, Any],
        *,
        retry: int,
        while_waiting: Callable[[], Steps[None]] = nothing,
    ) -> Steps[None]:
        name = paths.result(job.generation, job.member, retry)
        nonce = self._claims.new_nonce()
        record = Record("result", self._run, result.to_json(), meta, nonce)
        publish = Put(name, encode(record, name), grouped=True)
        for rest_s in itertools.islice(backoff(), LOST_TRIES):
            reply = yield from persist(publish, while_waiting=while_waiting)
            if reply is Published.WON:
                return
            first = yield from read(name, "result", self._run)
            if first is not None:
                if first.digest != record.digest:
                    yield from Say(
                        f"{name}: another attempt came first with another outcome, which stands; "
                        "training is not deterministic here"
                    )
                return
            yield from Sleep(rest_s)  # it was damaged, or is seen late

    # -- waiting -------------------------------------------------------------------------------

    def wait(self) -> Steps[WorkerEnding | None]:
        """Wait for the next generation, but look for jobs put back every second or so.

        Whatever the population, this costs three reads a second once it has lasted for long.
        """
        steering = yield from self._controls.look(LOOK_IDLE_S)
        if steering.cancelled:
            return WorkerEnding.CANCELLED  # its coordinator needs nobody to end it
        if self._name in steering.drained:
            return WorkerEnding.DRAINED
        if steering.paused:
            return (yield from self._wait_for_resume())
        now_s = yield from Now()
        if self._idle_since_s is None:
            self._idle_since_s = now_s
            self._looks, self._watch_at_s = 0, now_s + EXTINCT_S
        rescan_at_s = now_s + RESCAN_S
        if now_s < self._reserved_until_s:
            rescan_at_s = min(rescan_at_s, self._reserved_until_s)
        upcoming = 0 if self._manifest is None else self._manifest.generation + 1
        while True:
            if (yield from Stopping()):
                return WorkerEnding.STOPPED
            if self._looks % 2 == 0 and now_s >= self._final_at_s:
                self._final_at_s = now_s + RESCAN_S
                if (yield from self.finished()):
                    return WorkerEnding.FINISHED
            self._looks += 1
            if (yield from content(paths.manifest(upcoming))) is not None:
                return None
            yield from Sleep(pause_s(now_s - self._idle_since_s, self._pace.poll_s))
            now_s = yield from Now()
            if now_s < rescan_at_s:
                continue
            yield from self._controls.look(LOOK_IDLE_S)
            if self._monitor.held_back or self._retry_asked():
                return None
            waited_s = now_s - self._idle_since_s
            yield from self.repair(waited_s)
            if now_s >= self._watch_at_s:
                self._watch_at_s = now_s + WATCH_S
                if (yield from self._extinct()):
                    return WorkerEnding.EXTINCT
                if (yield from self._out_of_date()):
                    return None
            if (yield from self._some_open(now_s)):
                return None
            rescan_at_s = now_s + RESCAN_S

    def _wait_for_resume(self) -> Steps[WorkerEnding | None]:
        """Wait while the run is paused: nothing is trained, lost checkpoints included."""
        self._idle_since_s = None
        while True:
            if (yield from Stopping()):
                return WorkerEnding.STOPPED
            steering = yield from self._controls.look(LOOK_S)
            if not steering.paused or steering.cancelled or self._name in steering.drained:
                return None
            if (yield from self.finished()):
                return WorkerEnding.FINISHED
            yield from Sleep(LOOK_S)

    def _some_open(self, now_s: float) -> Steps[bool]:
        """Whether a job of the generation in work may be taken, by a listing of its claims."""
        if self._manifest is None or now_s < self._reserved_until_s + RESCAN_S:
            return True
        generation = self._manifest.generation
        self._in_work, some_open = self._open.in_work((yield from List(paths.claims(generation))))
        return some_open or bool(self._without_result - self._in_work.keys())

    def _out_of_date(self) -> Steps[bool]:
        """Now and then, see what else waiting does not notice: a generation beyond one that is
        lost, a result that was put aside, and, should there be no coordinator to end the claims of
        the dead, one job in work after the other.
        """
        if self._manifest is None:
            return False
        generation = self._manifest.generation
        if (yield from newest_generation(generation)) > generation:
            return True
        results = yield from List(paths.results(generation))
        self._open.done(results, absent=self._absent(self._manifest, results))
        if self._in_work:
            self._watched += 1
            member = sorted(self._in_work)[self._watched % len(self._in_work)]
            number, slot = self._in_work[member].number, paths.job_slot(generation, member)
            if (yield from self._claims.abandoned(slot, number)):
                self._abandoned.add(member)
        return bool(self._abandoned)

    def finished(self) -> Steps[bool]:
        """Whether the run is over, and the best members are there that its last record names.

        Where one of them is lost, its coordinator waits for an idle worker to compute it again.
        """
        asked = len(self._controls.steering.of("extend"))
        name = paths.final(max(asked, self._extended))
        data = yield from content(name)
        if data is None:
            return False
        if len((yield from self._controls.look()).of("extend")) > asked:
            return False  # it goes on, for its coordinator knows the same or will
        try:
            core = decode(data, name, kind="final", run=self._run).core
        except CorruptRecord:
            return True  # the coordinator publishes the same again, without any worker
        return (yield from best_are_there(core))

    def _extinct(self) -> Steps[bool]:
        """Whether all members of the newest generation diverged or failed, or lack an objective."""
        if self._manifest is None:
            return False
        for job in self._manifest.jobs:
            if job.member not in self._hopeless:
                retries = self._controls.steering.retries(job.generation).get(job.member, 0)
                record, _ = yield from result_of(
                    job.generation, job.member, self._run, retries=retries
                )
                if record is None or is_usable(self._objectives, Result.from_json(record.core)):
                    return False
                self._hopeless.add(job.member)
        return True

    def repair(self, waited_s: float) -> Steps[None]:
        """After so long without work, now and then look for lost checkpoints."""
        if self._monitor.held_back:
            return
        self._without_result = yield from self._recovery.while_waiting(waited_s, self._manifest)


def _slot(job: Job) -> Slot:
    return paths.job_slot(job.generation, job.member)
