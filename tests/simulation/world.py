"""Thousands of bad days: the real worker and coordinator code on a simulated directory.

One seed decides everything: how many processes there are, who runs next, and which of the faults
of `tests.simulation.faults` happen, to whom and at which operation.  Every seed must end with the
fingerprint of the undisturbed run, and on the way no operation may break one of the rules of
`tests.simulation.invariants`, nor repeat work more often than the faults explain
(`tests.simulation.bounds`).

Replay a seed and see what happened to it:  python -m tests.simulation 1234
"""

from __future__ import annotations

import random
from bisect import bisect
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, ClassVar

from pbtnas.protocol.attempts import (
    AttemptFailed,
    Failure,
    Halt,
    Poll,
    Progress,
    Start,
    Stopped,
    Trained,
)
from pbtnas.protocol.children import Mix, Mixed, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import (
    Dead,
    Get,
    Has,
    List,
    Now,
    Put,
    PutBlob,
    ReadHeartbeat,
    Say,
    Sleep,
    Stopping,
)
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.protocol.work_loop import WorkerEnding
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import decode, digest
from pbtnas.records.names import Name
from pbtnas.records.schema import CANCELLED, Job, Manifest, Selected
from pbtnas.search.objectives import BY_SCORE, Objectives
from tests.simulation.bounds import Ledger
from tests.simulation.faults import FAULTS, LEASE_S, draw_faults
from tests.simulation.invariants import Witness
from tests.simulation.no_claims import NoClaims
from tests.simulation.processes import (
    MACHINES,
    Actor,
    Clock,
    Training,
    machine_names,
    new_nonce,
)
from tests.simulation.search import (
    LADDERS,
    OBJECTIVES,
    REFERENCE,
    SEARCH,
    always_fails,
    mixed,
    reference,
    trained,
)
from tests.simulation.store import STORAGE, Entry, Faults, SimulatedStore, settle

__all__ = ["REFERENCE", "SEARCH", "World", "always_fails", "reference", "run_seed", "trained"]

RUN = "simulated"
BEAT_S, POLL_S, JOB_S = 5.0, 1.0, 12.0
SLOW_S = 20.0  # from the moment when a name is visible until it is durable, on a slow disk
PACE = Pace(BEAT_S, POLL_S, attempts=3)
LOOKS = frozenset({Get, Has})
UNWATCHED = frozenset({ReadHeartbeat, List})


class Watched:
    """A directory with those who watch over it.

    Args:
        store: the directory.
        objectives: what its members are ranked by.
    """

    def __init__(self, store: SimulatedStore, objectives: Objectives = BY_SCORE) -> None:
        self.store = store
        self.witness = Witness(store, attempts=PACE.attempts, objectives=objectives)
        self.ledger = Ledger(store)
        self.wounds: set[str] = set()  # checkpoints that were damaged or lost
        store.gone = self.gone

    def gone(self, name: str, entry: Entry, how: str) -> None:
        self.witness.gone(name, how)
        self.ledger.gone(name, how)

    def carry_out(self, actor: Actor, operation: Any, *, half: bool = False) -> Any:
        """Carry out a storage operation; what it publishes is durable when the process goes on.

        `half` stops a publish after the name appeared, as when its process is killed then.
        """
        kind = type(operation)
        if kind in UNWATCHED:
            return self.store.execute(actor.machine, operation)
        if kind not in LOOKS:
            self.witness.before(actor.name, operation)
        if kind is Put or kind is PutBlob:
            reply, entry = self.store.show(actor.machine, operation)
            if entry is not None and not half:
                actor.unsettled.append(entry)
                if self.store.is_slow():
                    self.ledger.struck(actor.name)
                    actor.wake += SLOW_S
        else:
            reply = self.store.execute(actor.machine, operation)
        self.witness.after(actor.name, operation, reply)
        self.ledger.after(actor.name, operation, reply)
        return reply


@dataclass
class World:
    """One simulated run under one seed.

    Args:
        seed: decides everything.
        sick: machine on which every job fails, with a worker on each machine from the beginning.
        odd: machine on which training gives other bits.
        swarm: whether a subset of the faults, drawn by the seed, happens.
        trace: whether everything is printed.
    """

    seed: int
    sick: int | None = None
    odd: int | None = None
    swarm: bool = True
    trace: bool = False
    injected: Counter[str] = field(default_factory=Counter)

    operation_s: ClassVar[float] = 0.5  # longest time that an operation takes
    fault_rate: ClassVar[float] = 1.0  # in proportion to the probabilities of `FAULTS`
    trained_meta: ClassVar[Mapping[str, Any]] = {}
    undisturbed: ClassVar[str] = REFERENCE  # the fingerprint that every run has to end with

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        search = self.search
        self.watched = Watched(SimulatedStore(self.rng), search.objectives)
        self.store = self.watched.store  # for which operations are carried out now
        self.actors: dict[str, Actor] = {}
        self.gone: set[str] = set()
        self.damaged: set[int] = set()
        self.hung: Counter[Job] = Counter()
        self.spawned = 0
        self.files = 0
        self.beats = 0
        self.calm_from = 0.0
        self.possible: list[str] = []
        self.machines = machine_names(self.rng)
        if self.swarm:
            drawn = [name for name in FAULTS if self.rng.random() < 0.6]
            self.allow(drawn, draw_faults(self.rng))
            self.calm_from = self.rng.choice([300.0, 1500.0])
        self.populate()

    def allow(self, names: list[str], faults: Faults) -> None:
        """From now on, these faults may happen, and those of single operations."""
        self.possible, self.store.faults = names, faults
        self._until = list(accumulate(FAULTS[name].rate * self.fault_rate for name in names))

    def populate(self) -> None:
        self.without_term = self.swarm and self.rng.random() < 0.3
        if self.sick is not None or self.odd is not None:
            for machine in range(MACHINES):
                self.spawn("worker", machine)
        for _ in range(self.rng.randint(1, 4) if self.swarm else 1):
            self.spawn("worker")
        for _ in range(2 if self.without_term else 1):
            self.spawn("coordinator")

    @property
    def run_id(self) -> str:
        return RUN

    @property
    def search(self) -> Search:
        return SEARCH

    @property
    def end(self) -> Name:
        """The record that says that the run is over."""
        return paths.FINAL

    @property
    def over(self) -> bool:
        return self.end in self.store.entries

    @property
    def length(self) -> int:
        """How many generations the run is to have."""
        return self.search.generations

    @property
    def now(self) -> float:
        return self.store.now

    @property
    def directories(self) -> list[Watched]:
        return [self.watched]

    @contextmanager
    def somewhere(self) -> Iterator[None]:
        """Damage goes to the directory of one run."""
        yield

    # -- processes -----------------------------------------------------------------------------

    def spawn(self, kind: str, machine: int | None = None) -> None:
        self.spawned += 1
        machine = self.rng.randrange(MACHINES) if machine is None else machine
        name = f"{self.machines[machine]}-{self.spawned}-{kind}-x"
        clock = Clock(self.rng.uniform(-1e5, 1e5), self.rng.uniform(0.8, 1.25))
        wake = self.now + self.rng.uniform(0, 5)
        self.actors[name] = Actor(name, kind, machine, self.life_of(name, kind), clock, wake)

    def life_of(self, name: str, kind: str) -> Any:
        """The protocol of a process."""
        kind_of_claims = NoClaims if kind == "coordinator" and self.without_term else Claims
        claims = kind_of_claims(RUN, {"worker": name}, lease_s=LEASE_S, new_nonce=new_nonce(name))
        if kind == "worker":
            return Worker(RUN, name, claims, PACE, objectives=self.search.objectives).work()
        return Coordinator(RUN, self.search, claims, beat_s=BEAT_S, poll_s=POLL_S).coordinate()

    def remove(self, actor: Actor) -> None:
        actor.steps.close()
        del self.actors[actor.name]
        self.gone.add(actor.name)

    def keep_staffed(self) -> None:
        for kind in ("worker", "coordinator"):
            if not any(actor.kind == kind for actor in self.actors.values()):
                self.spawn(kind)

    # -- the scheduler -------------------------------------------------------------------------

    def run(self, limit_s: float = 20_000.0) -> str:
        """Until the run is finished and every zombie has had its say; the fingerprint."""
        while not self.over:
            before = len(self.actors)
            self.step()
            if len(self.actors) < before:
                self.keep_staffed()
            assert self.now < limit_s, "the run does not end"
        self.calm_from = 0.0
        self.run_down(2 * limit_s)
        # Run again, it must repair whatever record was damaged; and once more, where the claims of
        # terms were, for it may take a lost one for the next and find itself succeeded.
        for _ in range(2):
            self.spawn("coordinator")
            self.run_down(3 * limit_s)
        final = decode(self.store.entries[self.end].content, self.end, kind="final", run=RUN)
        fingerprint: str = final.core["fingerprint"]
        return fingerprint

    def run_down(self, limit_s: float) -> None:
        """Until every process has come to its end."""
        while self.actors:
            self.step()
            assert self.now < limit_s, "a process does not end"

    def step(self) -> None:
        actors = self.actors.values()
        now = self.store.now = max(self.store.now, min([actor.wake for actor in actors]))
        ready = [actor for actor in actors if actor.wake <= now]
        actor = ready[int(self.rng.random() * len(ready))] if len(ready) > 1 else ready[0]
        if now >= self.calm_from:
            if self.possible:
                self.allow([], Faults())
            self.store.faults = Faults()
        elif self.inject_fault(actor):
            return
        operation = self.advance(actor)
        if operation is not None:
            actor.wake = now + self.rng.random() * self.operation_s
            self.reply(actor, operation)
            if self.trace:
                print(f"{now:9.1f} {actor.name}: {operation!r:.150} -> {actor.reply!r:.60}")

    def reply(self, actor: Actor, operation: Any) -> None:
        actor.reply = self.execute(actor, operation)

    def advance(self, actor: Actor) -> Any:
        """The next operation of an actor; None if it came to its end."""
        self._settle(actor)
        error, actor.error = actor.error, None
        try:
            return actor.steps.send(actor.reply) if error is None else actor.steps.throw(error)
        except StopIteration as stop:
            self.log("ended", actor, stop.value)
            self.actors.pop(actor.name)
            self.gone.add(actor.name)
            self.ended(actor, stop.value)
            return None

    def _settle(self, actor: Actor) -> None:
        """What it published is durable before it goes on."""
        for entry in actor.unsettled:
            settle(entry)
        actor.unsettled.clear()

    def ended(self, actor: Actor, ending: Any) -> None:
        """A process has come to its end by itself."""
        cancelled = CoordinatorEnding.CANCELLED
        finished = ending in (WorkerEnding.FINISHED, CoordinatorEnding.FINISHED, cancelled)
        self.watched.witness.ended(actor.name, finished=finished)
        assert ending is not WorkerEnding.EXTINCT, "members have scores"

    # -- faults --------------------------------------------------------------------------------

    def inject_fault(self, actor: Actor) -> bool:
        """Perhaps something happens to this process, or to all, instead of its next step."""
        draw = self.rng.random()
        if not self.possible or draw >= self._until[-1]:
            return False
        name = self.possible[bisect(self._until, draw)]
        fault = FAULTS[name]
        if fault.strikes:
            self.struck(actor)
        if not fault.happen(self, actor):
            return False
        self.log(name, actor, "")
        self.injected[name] += 1
        return fault.instead

    def struck(self, actor: Actor) -> None:
        """A fault may cost the work that a process has in hand."""
        for watched in self.directories:
            watched.ledger.struck(actor.name)

    def may_fail(self, job: Job) -> bool:
        """Whether a failure that counts leaves the job an attempt that does well."""
        self.hung[job] += 1
        return self.hung[job] < PACE.attempts and self.sick is None

    def die_doing(self, actor: Actor, operation: Any) -> None:
        """A process is killed during an operation, which it began, half did or did."""
        how = self.rng.choice(["before", "half", "after"])
        if how == "half" and isinstance(operation, Put | PutBlob):
            self.watched.carry_out(actor, operation, half=True)
        elif how == "after":
            self.execute(actor, operation)
            self._settle(actor)

    def cut_power(self) -> None:
        for watched in self.directories:
            watched.store.cut_power()
            watched.witness.power_cut()

    def newest(self) -> int:
        return max((int(d.rpartition("/")[2]) for d in self.store.directories), default=0)

    # -- operations ----------------------------------------------------------------------------

    def execute(self, actor: Actor, operation: Any) -> Any:
        if actor.kind == "worker":  # as its host does beside all it is told
            self.sign_of_life(actor)
        return self.carry_out(actor, operation)

    def sign_of_life(self, actor: Actor) -> None:
        self.beats += 1
        self.store.beats[actor.beat] = b"%d" % self.beats

    def carry_out(self, actor: Actor, operation: Any) -> Any:
        if type(operation) in STORAGE:
            return self.watched.carry_out(actor, operation)
        match operation:
            case Now():
                return actor.clock.at(self.now)
            case Stopping():
                return actor.stopping
            case Sleep(seconds):
                # Simulated machines oversleep: it finds more, and saves simulating every look.
                actor.wake = self.now + max(seconds, self.rng.uniform(0.5, 4))
            case Poll(seconds):
                return self.poll(actor, seconds)
            case WriteViews():
                return None
            case Say(text):
                self.log("says", actor, text)
            case Dead(holder):
                return holder["worker"] in self.gone and self.rng.random() < 0.5
            case Start(attempt):
                self.watched.witness.started(actor.name, attempt.slot, attempt.number)
                self.watched.ledger.started(actor.name, attempt)
                digits = int(actor.machine == self.odd)
                actor.training = Training(attempt, self.now + JOB_S, digits=digits)
            case Halt():
                assert actor.training is not None
                actor.training.halted = True
            case Mix():
                return self.mix(actor, operation)
            case _:
                raise AssertionError(f"not an operation: {operation!r}")
        return None

    def poll(self, actor: Actor, seconds: float) -> Any:
        training = actor.training
        assert training is not None
        busy = self.now < (training.until if training.hangs_until is None else training.hangs_until)
        if busy and not training.halted and not training.killed:
            actor.wake = min(training.until, self.now + seconds)
            return Progress(1) if training.hangs_until is None else None
        actor.training = None
        event = self.outcome(actor, training)
        well = isinstance(event, Trained)
        if isinstance(event, Trained) and training.attempt.repair and training.digits:
            well = False
        self.watched.ledger.ended(actor.name, training.attempt, well=well)
        if isinstance(event, AttemptFailed) and event.failure.counted:
            job = training.attempt.job
            job_of = job.generation, job.member, training.attempt.retry
            self.watched.witness.failures[job_of] += 1
        return event

    def outcome(self, actor: Actor, training: Training) -> Trained | AttemptFailed | Stopped:
        """What comes of a training that has ended."""
        job = training.attempt.job
        if training.killed:
            return AttemptFailed(Failure.INFRA, "killed")
        if training.halted:
            return Stopped(3)
        if training.hangs_until is not None:
            return AttemptFailed(Failure.HANG, "no progress")
        for checkpoint in job.inputs:
            name = paths.checkpoint(job.generation - 1, checkpoint)
            entry = self.store.entries.get(name)
            if entry is None:
                return AttemptFailed(Failure.INPUT, f"{checkpoint} is missing")
            if entry.content != checkpoint.encode():
                self.watched.witness.read_damaged(actor.name, name)
                return AttemptFailed(Failure.INPUT, f"{checkpoint} is damaged", checkpoint)
        attempt = training.attempt
        hopeless = always_fails(job) and not (attempt.retry or attempt.repair)
        if hopeless or actor.machine == self.sick:
            return AttemptFailed(Failure.ERROR, "ValueError: always")
        result = trained(job, training.digits) if training.digits else trained(job)
        return Trained(result, self.private(result.checkpoint or ""), self.trained_meta)

    def mix(self, actor: Actor, mix: Mix) -> Mixed | None:
        parents = (mix.base_checkpoint, mix.donor_checkpoint)
        found = [self.intact(mix.generation, parent) for parent in parents]
        self.watched.ledger.mixed(actor.name, mix, well=all(found))
        if not all(found):
            return None
        overlay = mixed(mix, digits=int(actor.machine == self.odd))
        self.watched.ledger.overlay(paths.checkpoint(mix.generation, overlay), mix)
        return Mixed(self.private(overlay), overlay, {})

    def intact(self, generation: int, checkpoint: str) -> bool:
        """Whether a parent is there; a damaged one is put aside, as its host does."""
        name = paths.checkpoint(generation, checkpoint)
        entry = self.store.entries.get(name)
        if entry is not None and entry.content != checkpoint.encode():
            self.store.remove(name, "put aside")
            return False
        return entry is not None

    def private(self, content: str) -> str:
        self.files += 1
        self.store.private[f"file-{self.files}"] = content.encode()
        return f"file-{self.files}"

    def log(self, what: str, actor: Actor, value: Any) -> None:
        if self.trace:
            print(f"{self.now:9.1f} {actor.name} {what}: {value}")

    def counts(self) -> Counter[str]:
        """How many faults of each kind happened."""
        return sum((watched.store.counts for watched in self.directories), self.injected.copy())

    @property
    def expected(self) -> str:
        """The fingerprint that this run has to end with."""
        return self.undisturbed

    # -- what must hold afterwards -------------------------------------------------------------

    def check(self) -> None:
        """Check what the run left behind."""
        # Where machines disagree, the first to publish decides, and the witness sees to that.
        for name, contents in self.store.contents.items() if self.odd is None else ():
            if "/results/" in name or "/births/" in name or name.endswith("n.json"):
                records = [decode(c, name, kind=_kind(name)) for c in contents]
                cores = {r.digest for r in records if r.core.get("ended") != CANCELLED}
                assert len(cores) <= 1, f"{name} was published with different contents"
        last = self.length - 1
        selected = self._core(paths.selection(last), "selection")
        for result in Selected.from_json(selected).results:
            if result.checkpoint is not None:
                name = paths.checkpoint(last, result.checkpoint)
                assert name in self.store.entries, f"{name} of the final population is gone"
        for generation in range(last + 1):
            self._check_generation(generation)

    def _check_generation(self, generation: int) -> None:
        manifest = Manifest.from_json(self._core(paths.manifest(generation), "manifest"))
        selected = Selected.from_json(self._core(paths.selection(generation), "selection"))
        assert selected.manifest == digest(["manifest", manifest.to_json()])
        outcomes = {result.member: result.outcome for result in selected.results}
        for birth in selected.births:
            assert outcomes[birth.base] == outcomes[birth.donor] == "ok", "a failed parent"
        if generation:
            extended = paths.extension(generation - 1) in self.store.entries
            kind = "extension" if extended else "selection"
            name = getattr(paths, kind)(generation - 1)
            before = self._core(name, kind)
            assert manifest.previous == digest([kind, before]), "the chain is broken"

    def _core(self, name: str, kind: str) -> Mapping[str, Any]:
        return decode(self.store.entries[name].content, name, kind=kind, run=self.run_id).core


def _kind(name: str) -> str:
    folder, _, leaf = name.rpartition("/")
    return {"results": "result", "births": "birth"}.get(
        folder.rpartition("/")[2], leaf.removesuffix(".json")
    )


def run_seed(seed: int) -> str | None:
    """One simulated run; what went wrong in it, or None."""
    return run_and_count(seed)[0]


class LadderWorld(World):
    """The same for a search with ladders, which move in children."""

    undisturbed = reference(LADDERS)

    @property
    def search(self) -> Search:
        return LADDERS


class ObjectivesWorld(World):
    """The same for a search with two objectives, a bound, and room for few in its archive."""

    undisturbed = reference(OBJECTIVES)

    @property
    def search(self) -> Search:
        return OBJECTIVES

    def check(self) -> None:
        """Check also that what the end names as the front is there, within its room."""
        super().check()
        front = self._core(paths.FINAL, "final")["front"]
        for member in front:
            name = paths.checkpoint(member["generation"], member["checkpoint"])
            assert name in self.store.entries, f"{name} of the front is gone"
        assert 0 < len(front) <= self.search.objectives.archive


def run_and_count(seed: int, sort: type[World] = World) -> tuple[str | None, Counter[str]]:
    """What went wrong in a simulated run, and how many faults of each kind happened."""
    world = sort(seed)
    try:
        fingerprint = world.run()
        world.check()
    except Exception as error:  # noqa: BLE001  (anything that escapes the protocol is a finding)
        return f"{type(error).__name__}: {error}", world.counts()
    other = fingerprint != world.expected
    return f"ended with another search: {fingerprint}" if other else None, world.counts()


def run_all(seeds: range, sort: type[World] = World) -> tuple[list[str], Counter[str]]:
    """What went wrong, each with the command that replays it, and the faults; on all cores."""
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(partial(run_and_count, sort=sort), seeds, chunksize=20))
    world = "" if sort is World else f" --world {sort.__name__}"
    problems = [
        f"{problem}   replay: python -m tests.simulation {seed}{world}"
        for seed, (problem, _) in zip(seeds, found, strict=True)
        if problem
    ]
    return problems, sum((counts for _, counts in found), Counter())
