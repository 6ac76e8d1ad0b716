"""Thousands of bad days of a study: many runs, the real study worker and study coordinator.

Four runs that share jobs, one whose members all diverge in the end, and in many seeds one that is
damaged for good.  The others must end with the fingerprints of their undisturbed searches, and
what is wrong must be said.  All faults of `tests.simulation.faults` may happen to every run.

Replay a seed and see what happened to it:  python -m tests.simulation study 1234
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pbtnas.protocol.addressed import InRun, RunOfStudy, in_run
from pbtnas.protocol.attempts import Start
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import BrokenChain, Coordinator
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import Get
from pbtnas.protocol.reuse import ReadKind, TakeCheckpoint
from pbtnas.protocol.study import BusyElsewhere, CloseRun, OpenedRun, OpenRun, StudyWorker
from pbtnas.protocol.study_coordinator import (
    EndCoordinator,
    StartCoordinator,
    StudyCoordinator,
    StudyOutcomes,
)
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, RecordError, decode, encode
from pbtnas.records.schema import Job
from pbtnas.search.algorithms import random_search
from tests.simulation.faults import LEASE_S
from tests.simulation.processes import Actor, new_nonce
from tests.simulation.search import HOPELESS, SEARCH, reference
from tests.simulation.store import Entry, SimulatedStore
from tests.simulation.world import BEAT_S, PACE, POLL_S, Watched, World

BASE = replace(SEARCH, generations=3)
SEARCHES = {
    f"{name}-s{seed}": replace(search, seed=seed, origin=f"{name}-s{seed}")
    for seed in (7, 8)
    for name, search in {
        "pbt-nas": BASE,
        "random-search": replace(BASE, algorithm=random_search),
    }.items()
}
EXTINCT, DAMAGED = "hopeless-s7", "damaged-s8"
SEARCHES[EXTINCT] = replace(BASE, seed=7, origin=EXTINCT, epochs=HOPELESS)
SEARCHES[DAMAGED] = replace(BASE, seed=8, origin=DAMAGED, epochs=3)
SOUND = [label for label in SEARCHES if label not in (EXTINCT, DAMAGED)]
REFERENCES = {label: reference(SEARCHES[label]) for label in SOUND}
DAMAGES = ("unreadable", "manifest", "result", "nothing")
STUDY = "simulated-study"


@dataclass
class StudyWorld(World):
    """One simulated study under one seed.

    Args:
        reuse: Whether workers take over what other runs have computed.
    """

    reuse: bool = True
    label: str = ""  # of the run for which an operation is carried out

    operation_s: ClassVar[float] = 0.1  # there are many of them, for many runs
    fault_rate: ClassVar[float] = 0.4
    trained_meta: ClassVar[dict[str, Any]] = {"device": "cpu"}

    def populate(self) -> None:
        self.damage = self.rng.choice(DAMAGES) if self.swarm else "nothing"
        left_out = {DAMAGED} if self.damage == "nothing" else set()
        self.runs = [
            RunOfStudy(label, search.seed)
            for label, search in SEARCHES.items()
            if label not in left_out
        ]
        self.open_seeds = self.rng.choice([1, 2])
        self.study, self.place = self.watched, self.store  # the study's own directory
        self.watches = {run.label: Watched(SimulatedStore(self.rng)) for run in self.runs}
        self.flipped: defaultdict[str, set[int]] = defaultdict(set)  # generations, by run
        self.begun: set[str] = set()
        self.open: defaultdict[str, set[str]] = defaultdict(set)  # runs, by process
        self.outcomes: StudyOutcomes | None = None
        self.trainings: Counter[Job] = Counter()
        self.reused = 0
        if self.damage in ("manifest", "result"):
            self._make_foreign()
        for _ in range(self.rng.randint(1, 4) if self.swarm else 1):
            self.spawn("worker")
        for _ in range(self.rng.choice([1, 1, 2]) if self.swarm else 1):
            self.spawn("coordinator")

    def _make_foreign(self) -> None:
        """The damaged run has a record of another run in one of its slots."""
        name = paths.manifest(1) if self.damage == "manifest" else paths.result(0, 1)
        record = encode(Record(self.damage, "another run", {}, {}, "n"))
        self.watches[DAMAGED].store.entries[name] = Entry(record, durable=True)

    # -- processes -----------------------------------------------------------------------------

    def life_of(self, name: str, kind: str) -> Any:
        nonce = new_nonce(name)
        if kind == "worker":
            return StudyWorker(
                self.runs,
                {"worker": name},
                nonce,
                device="cpu",
                reuse=self.reuse,
                broken=(RecordError,),
            ).work()
        broken = (RecordError, BrokenChain)
        return StudyCoordinator(
            STUDY, self.runs, self.open_seeds, nonce, broken=broken
        ).coordinate()

    def ended(self, actor: Actor, ending: Any) -> None:
        if isinstance(ending, StudyOutcomes):
            if len(ending.ended) + len(ending.broken) == len(self.runs):
                self.outcomes = ending
        elif ending is WorkerEnding.FINISHED:
            assert paths.STUDY_ENDED in self.place.entries, "a worker leaves before the end"

    # -- the scheduler -------------------------------------------------------------------------

    def run(self, limit_s: float = 10_000.0) -> str:
        """Until the study is over and every zombie has had its say; "" if all is as it should."""
        problem = self._conduct(limit_s)
        self.calm_from = 0.0
        self.run_down(2 * limit_s)
        # The same command again: it must repair whatever record was damaged.
        self.outcomes = None
        self.spawn("worker")
        self.spawn("coordinator")
        problem = problem or self._conduct(3 * limit_s)
        self.run_down(4 * limit_s)
        self._mend(5 * limit_s)
        return problem

    def _mend(self, limit_s: float) -> None:
        """Coordinate every run once more by itself: the study leaves alone those that are over."""
        for label in SOUND:
            self.spawn("coordinator")
            (actor,) = self.actors.values()
            actor.steps.close()
            actor.steps = in_run(label, self._start(actor, label).coordinate())
            self.run_down(limit_s)

    def _conduct(self, limit_s: float) -> str:
        while self.outcomes is None:
            before = len(self.actors)
            self.step()
            if self.outcomes is None and len(self.actors) < before:
                self.keep_staffed()
            assert self.place.now < limit_s, "the study does not end"
        if not self.outcomes.over:  # its workers are told to stop, as `study.conduct` does
            for actor in self.actors.values():
                actor.stopping = True
        return self._wrong(self.outcomes)

    def _wrong(self, outcomes: StudyOutcomes) -> str:
        """What is not as it should be in what the coordinator of the study says."""
        broken = {DAMAGED} if self.damage != "nothing" else set()
        ended = {label: outcomes.ended.get(label) for label in SOUND}
        if ended != REFERENCES:
            return f"ended otherwise: {ended}"
        if outcomes.broken.keys() != broken or outcomes.failed != [EXTINCT]:
            return f"wrong runs are named: {outcomes}"
        return "" if outcomes.over == (not broken) else "the end is not recorded as it should"

    # -- operations ----------------------------------------------------------------------------

    @property
    def run_id(self) -> str:
        return self.label

    @property
    def search(self) -> Search:
        return SEARCHES.get(self.label, BASE)

    @property
    def now(self) -> float:
        return self.place.now

    @property
    def stores(self) -> dict[str, SimulatedStore]:
        return {label: watched.store for label, watched in self.watches.items()}

    @property
    def directories(self) -> list[Watched]:
        return [self.study, *self.watches.values()]

    @contextmanager
    def inside(self, label: str) -> Iterator[None]:
        """Operations and faults go to the directory of one run."""
        before = self.label, self.watched, self.store, self.damaged
        self.label, self.watched, self.damaged = label, self.watches[label], self.flipped[label]
        self.store = self.watched.store
        self.store.now, self.store.faults = self.place.now, self.place.faults
        try:
            yield
        finally:
            self.label, self.watched, self.store, self.damaged = before

    def reply(self, actor: Actor, operation: Any) -> None:
        actor.reply = None
        try:
            super().reply(actor, operation)
        except RecordError as error:
            actor.error = error

    def execute(self, actor: Actor, operation: Any) -> Any:
        match operation:
            case InRun(run, inner, as_peer):
                self._check_open(actor, run, inner)
                with self.inside(run):
                    run_it = self.carry_out if as_peer else super().execute
                    return run_it(actor, inner)
            case OpenRun(run):
                return self._open(actor, run)
            case StartCoordinator(run):
                return self._start(actor, run)
            case CloseRun(run) | EndCoordinator(run):
                self.open[actor.name].remove(run)
            case BusyElsewhere(runs):
                for run in runs:
                    with self.inside(run):
                        self.sign_of_life(actor)
            case _:
                return self.carry_out(actor, operation)
        return None

    def carry_out(self, actor: Actor, operation: Any) -> Any:
        match operation:
            case Start(attempt) if not attempt.repair:
                self.trainings[attempt.job] += 1
            case ReadKind():
                return "digits"
            case TakeCheckpoint(source, job, checkpoint):
                name = paths.checkpoint(job.generation, checkpoint)
                found = self.watches[source].store.entries.get(name)
                if found is None or found.content != checkpoint.encode():
                    return None
                self.reused += 1
                return self.private(checkpoint)
        return super().carry_out(actor, operation)

    def _check_open(self, actor: Actor, run: str, operation: Any) -> None:
        if run not in self.open[actor.name]:
            look = actor.kind == "coordinator" and isinstance(operation, Get)
            assert look, f"{actor.name} asks for {operation!r} in {run}, which it has not opened"

    def _open(self, actor: Actor, run: str) -> OpenedRun | None:
        if run not in self.begun:
            return None
        self._refuse_if_unreadable(run)
        self.open[actor.name].add(run)
        return OpenedRun(run, LEASE_S, PACE)

    def _start(self, actor: Actor, run: str) -> Coordinator:
        self.begun.add(run)
        self._refuse_if_unreadable(run)
        self.open[actor.name].add(run)
        claims = Claims(
            run, {"worker": actor.name}, lease_s=LEASE_S, new_nonce=new_nonce(f"{actor.name}/{run}")
        )
        return Coordinator(run, SEARCHES[run], claims, beat_s=BEAT_S, poll_s=POLL_S)

    def _refuse_if_unreadable(self, run: str) -> None:
        if run == DAMAGED and self.damage == "unreadable":
            raise CorruptRecord("run.json: not an intact record")

    # -- faults --------------------------------------------------------------------------------

    def die_doing(self, actor: Actor, operation: Any) -> None:
        try:
            if isinstance(operation, InRun):
                with self.inside(operation.run):
                    super().die_doing(actor, operation.operation)
            else:
                super().die_doing(actor, operation)
        except RecordError:
            return  # it would have been told so

    @contextmanager
    def somewhere(self) -> Iterator[None]:
        with self.inside(self.rng.choice(sorted(set(self.watches) - {DAMAGED}))):
            yield

    # -- what must hold afterwards -------------------------------------------------------------

    def check(self) -> None:
        """What `World.check` wants of a run, for each that is whole."""
        for label in SOUND:
            with self.inside(label):
                super().check()
                final = self.store.entries[paths.FINAL].content
                decode(final, paths.FINAL, kind="final", run=label)


def run_study_seed(seed: int) -> str | None:
    """One simulated study; what went wrong in it, or None."""
    world = StudyWorld(seed)
    try:
        problem = world.run()
        world.check()
    except Exception as error:  # noqa: BLE001  (anything that escapes the protocol is a finding)
        return f"{type(error).__name__}: {error}"
    return problem or None
