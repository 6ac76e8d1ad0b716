"""Thousands of bad days: the real worker and coordinator code on a simulated directory.

One seed decides everything: how many processes there are, who runs next, and who is killed,
suspended past its lease, joined by a second coordinator, or cut off from power, at which
operation.  Every seed must end with the fingerprint of the undisturbed run.

Replay a seed and see what happened to it:  python -m tests.simulation 1234
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pbtnas.protocol import generations
from pbtnas.protocol.attempts import (
    Attempt,
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
from pbtnas.protocol.operations import Dead, Now, Put, PutBlob, Say, Sleep, Stopping
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import decode, digest
from pbtnas.records.schema import Child, Job, Manifest, Result, Selected
from pbtnas.search import SearchSpace, layer, switch
from pbtnas.search.algorithms import pbtnas
from pbtnas.store.identity import machine_name
from tests.search.rules import selection_rule
from tests.simulation.no_claims import NoClaims
from tests.simulation.store import Faults, SimulatedStore

RUN = "simulated"
LEASE_S, BEAT_S, POLL_S, JOB_S = 60.0, 5.0, 1.0, 12.0
PACE = Pace(BEAT_S, POLL_S, attempts=3)
MOST_ACTORS = 8
MACHINES = 3
SEARCH = Search(
    space=SearchSpace(
        [layer(f"layer{i}", ("a", "b", "c")) for i in range(3)] + [switch("norm", (False, True))]
    ),
    algorithm=pbtnas,
    selection=selection_rule(4, tau=0.25, replaced=2),
    seed=7,
    population=4,
    generations=4,
    epochs=1,
    first_epochs=2,
    skip_selection=frozenset(),
    threads=1,
    origin="simulated",
)


HOPELESS = 9  # epochs with which every job diverges; only studies have such a run


def trained(job: Job) -> Result:
    """Training as a pure function of the job: some diverge, one always fails."""
    checkpoint = digest(["train", job.architecture, job.inputs, job.seed, job.epochs])
    draw = int(checkpoint[:8], 16)
    if draw % 7 == 0 or job.epochs == HOPELESS:
        return Result(job.member, "diverged", None, {}, None)
    return Result(job.member, "ok", (draw % 997) / 997, {"draw": draw % 7}, checkpoint)


def always_fails(job: Job) -> bool:
    return job.generation == 1 and job.member == 2


def mixed(mix: Mix) -> str:
    return digest(
        ["mix", mix.base_checkpoint, mix.donor_checkpoint, mix.birth.architecture, mix.birth.seed]
    )


def reference(search: Search | None = None) -> str:
    """The fingerprint of the undisturbed search, from the pure functions alone."""
    search = search or SEARCH
    manifest = generations.first_manifest(search)
    while True:
        results = {
            job.member: Result(job.member, "failed", None, {}, None)
            if always_fails(job)
            else trained(job)
            for job in manifest.jobs
        }
        selected = generations.select(search, manifest, results)
        if search.last(manifest.generation):
            return generations.fingerprint(selected)
        children = {}
        for birth in selected.births:
            base = selected.result(birth.base).checkpoint
            donor = selected.result(birth.donor).checkpoint
            assert base is not None and donor is not None
            overlay = mixed(Mix(manifest.generation, birth, base, donor))
            children[birth.member] = Child(birth.member, overlay, base)
        manifest = generations.next_manifest(search, manifest, selected, children)


REFERENCE = reference()


def new_nonce(name: str) -> Callable[[], str]:
    """Makes strings that no other process makes."""
    nonces = iter(range(10**9))
    return lambda: f"{name}/{next(nonces)}"


def named(machine: int) -> str:
    """How names of processes tell a machine: their host names agree in the first forty letters."""
    return machine_name(f"{'pod-of-a-long-experiment' * 2}-{machine}", "the boot of this kernel")


@dataclass
class Actor:
    """A simulated process: its generator, its machine, its clock and its training."""

    name: str
    kind: str
    machine: int
    steps: Any
    clock: Callable[[], float]
    wake: float
    reply: Any = None
    stopping: bool = False
    error: Exception | None = None  # of what it asked for last
    training: Training | None = None


@dataclass
class Training:
    """The simulated training process of a worker."""

    attempt: Attempt
    until: float
    halted: bool = False


@dataclass
class World:
    """One simulated run under one seed.

    Args:
        seed: decides everything.
        kill: probability that an operation is the last of its process; the other faults in
            the same manner.  `swarm` draws a subset of them for the seed.
        sick: machine on which every job fails, with a worker on each machine from the beginning.
    """

    seed: int
    sick: int | None = None
    swarm: bool = True
    trace: bool = False
    injected: dict[str, int] = field(default_factory=dict)

    operation_s: ClassVar[float] = 0.5  # longest time that an operation takes
    fault_rate: ClassVar[float] = 1.0  # in proportion to the probabilities below
    trained_meta: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.store = SimulatedStore(self.rng)
        self.actors: dict[str, Actor] = {}
        self.gone: set[str] = set()
        self.damaged: set[int] = set()
        self.spawned = 0
        self.files = 0
        self.beats = 0
        self.calm_from = 0.0
        self.rates: dict[str, float] = {}
        if self.swarm:
            self._choose_faults()
        self.populate()

    def populate(self) -> None:
        self.without_term = self.swarm and self.rng.random() < 0.3
        if self.sick is not None:
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
    def directories(self) -> list[SimulatedStore]:
        return [self.store]

    def _choose_faults(self) -> None:
        every = {
            "kill": 0.010,
            "pause": 0.006,
            "join": 0.002,
            "power": 0.0008,
            "stop": 0.003,
            "corrupt": 0.002,
            "lose": 0.001,
            "child": 0.01,
        }
        drawn = [name for name in every if self.rng.random() < 0.6]
        self.rates = {name: every[name] * self.fault_rate for name in drawn}
        self.store.faults = Faults(
            error=self.rng.choice([0.0, 0.03]),
            lost_reply=self.rng.choice([0.0, 0.05]),
            lag=self.rng.choice([0.0, 10.0, 60.0]),
        )
        self.calm_from = self.rng.choice([300.0, 1500.0])

    # -- processes -----------------------------------------------------------------------------

    def spawn(self, kind: str, machine: int | None = None) -> None:
        self.spawned += 1
        machine = self.rng.randrange(MACHINES) if machine is None else machine
        name = f"{named(machine)}-{self.spawned}-{kind}-x"
        offset, rate = self.rng.uniform(-1e5, 1e5), self.rng.uniform(0.8, 1.25)

        def clock() -> float:
            return offset + rate * self.store.now

        steps = self.life_of(name, kind)
        wake = self.store.now + self.rng.uniform(0, 5)
        self.actors[name] = Actor(name, kind, machine, steps, clock, wake)

    def life_of(self, name: str, kind: str) -> Any:
        """The protocol of a process."""
        kind_of_claims = NoClaims if kind == "coordinator" and self.without_term else Claims
        claims = kind_of_claims(RUN, {"worker": name}, lease_s=LEASE_S, new_nonce=new_nonce(name))
        if kind == "worker":
            return Worker(RUN, name, claims, PACE).work()
        return Coordinator(RUN, SEARCH, claims, beat_s=BEAT_S, poll_s=POLL_S).coordinate()

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
        while paths.FINAL not in self.store.entries:
            before = len(self.actors)
            self.step()
            if len(self.actors) < before:
                self.keep_staffed()
            assert self.store.now < limit_s, "the run does not end"
        self.calm_from = 0.0
        self.run_down(2 * limit_s)
        self.spawn("coordinator")  # run again: it must repair whatever record was damaged
        self.run_down(3 * limit_s)
        final = decode(self.store.entries[paths.FINAL].content, paths.FINAL, kind="final", run=RUN)
        fingerprint: str = final.core["fingerprint"]
        return fingerprint

    def run_down(self, limit_s: float) -> None:
        """Until every process has come to its end."""
        while self.actors:
            self.step()
            assert self.store.now < limit_s, "a process does not end"

    def step(self) -> None:
        self.store.now = max(self.store.now, min([a.wake for a in self.actors.values()]))
        ready = sorted([name for name, a in self.actors.items() if a.wake <= self.store.now])
        actor = self.actors[self.rng.choice(ready)]
        if self.store.now >= self.calm_from:
            self.rates, self.store.faults = {}, Faults()
        elif self.inject_fault(actor):
            return
        operation = self.advance(actor)
        if operation is not None:
            actor.wake = self.store.now + self.rng.uniform(0, self.operation_s)
            self.reply(actor, operation)
            if self.trace:
                print(
                    f"{self.store.now:9.1f} {actor.name}: {operation!r:.150} -> {actor.reply!r:.60}"
                )

    def reply(self, actor: Actor, operation: Any) -> None:
        actor.reply = self.execute(actor, operation)

    def advance(self, actor: Actor) -> Any:
        """The next operation of an actor; None if it came to its end."""
        error, actor.error = actor.error, None
        try:
            return actor.steps.send(actor.reply) if error is None else actor.steps.throw(error)
        except StopIteration as stop:
            self.log("ended", actor, stop.value)
            self.actors.pop(actor.name)
            self.gone.add(actor.name)
            self.ended(actor, stop.value)
            return None

    def ended(self, actor: Actor, ending: Any) -> None:
        """Called when a process has come to its end by itself."""

    def inject_fault(self, actor: Actor) -> bool:
        """Perhaps something happens to this process, or to all, instead of its next step."""
        for name, rate in self.rates.items():
            if self.rng.random() < rate:
                self.injected[name] = self.injected.get(name, 0) + 1
                happened: bool = getattr(self, f"_{name}")(actor)
                return happened
        return False

    def _kill(self, actor: Actor) -> bool:
        """SIGKILL; what it was doing may have happened, half happened, or not."""
        self.log("kill", actor, "")
        operation = self.advance(actor)
        if operation is None:
            return True
        self.die_doing(actor, operation)
        self.remove(actor)
        return True

    def die_doing(self, actor: Actor, operation: Any) -> None:
        how = self.rng.choice(["before", "half", "after"])
        if how == "half" and isinstance(operation, Put):
            self.store.put(
                actor.machine, operation.name, operation.data, durable=False, interrupted=True
            )
        elif how == "half" and isinstance(operation, PutBlob):
            content = self.store.private[operation.source]
            self.store.put(actor.machine, operation.name, content, durable=False, interrupted=True)
        elif how == "after":
            self.execute(actor, operation)

    def _pause(self, actor: Actor) -> bool:
        """SIGSTOP far past the lease."""
        actor.wake = self.store.now + self.rng.uniform(LEASE_S, 6 * LEASE_S)
        return True

    def _join(self, actor: Actor) -> bool:
        if len(self.actors) < MOST_ACTORS:
            self.spawn(self.rng.choice(["worker", "coordinator"]))
        return True

    def _power(self, actor: Actor) -> bool:
        for victim in list(self.actors.values()):
            self.remove(victim)
            self.spawn(victim.kind)
        for store in self.directories:
            store.cut_power()
        return True

    def _stop(self, actor: Actor) -> bool:
        """SIGTERM."""
        actor.stopping = True
        return False

    def _corrupt(self, actor: Actor) -> bool:
        """A bit flips in a record of the newest generation, in one of each generation at most:
        of two, one may have been the copy from which the other is restored."""
        newest = self._newest()
        if newest in self.damaged:
            return False
        self.damaged.add(newest)
        prefix = paths.generation(newest) + "/"
        names = [
            name
            for name in self.store.entries
            if name.startswith(prefix) and name.endswith(".json") and "/claims/" not in name
        ]
        if names:
            entry = self.store.entries[self.rng.choice(sorted(names))]
            at = self.rng.randrange(len(entry.content) - 1)
            flipped = bytes([entry.content[at] ^ 1 << self.rng.randrange(8)])
            entry.content = entry.content[:at] + flipped + entry.content[at + 1 :]
        return False

    def _lose(self, actor: Actor) -> bool:
        """A checkpoint of the newest two generations disappears; not in the moment between the
        coordinator's last look and the end of the run, after which only fsck looks."""
        newest = self._newest()
        if paths.selection(self.search.generations - 1) in self.store.entries:
            return False
        prefixes = tuple(paths.checkpoints(g) + "/" for g in (newest - 1, newest))
        names = [name for name in self.store.entries if name.startswith(prefixes)]
        if names:
            del self.store.entries[self.rng.choice(sorted(names))]
        return False

    def _child(self, actor: Actor) -> bool:
        """The training process is killed by somebody."""
        if actor.training is not None:
            actor.training.until = math.nan
        return False

    def _newest(self) -> int:
        return max((int(d.rpartition("/")[2]) for d in self.store.directories), default=0)

    # -- what is not storage -------------------------------------------------------------------

    def execute(self, actor: Actor, operation: Any) -> Any:
        if actor.kind == "worker":  # as its host does beside all it is told
            self.sign_of_life(actor)
        return self.carry_out(actor, operation)

    def sign_of_life(self, actor: Actor) -> None:
        self.beats += 1
        self.store.beats[paths.worker(actor.name)] = b"%d" % self.beats

    def carry_out(self, actor: Actor, operation: Any) -> Any:
        match operation:
            case Now():
                return actor.clock()
            case Sleep(seconds):
                # Simulated machines oversleep: it finds more, and saves simulating every look.
                actor.wake = self.store.now + max(seconds, self.rng.uniform(0.5, 4))
                return None
            case WriteViews():
                return None
            case Say(text):
                self.log("says", actor, text)
                return None
            case Dead(holder):
                return holder["worker"] in self.gone and self.rng.random() < 0.5
            case Stopping():
                return actor.stopping
            case Start(attempt):
                actor.training = Training(attempt, self.store.now + JOB_S)
                return None
            case Halt():
                assert actor.training is not None
                actor.training.halted = True
                return None
            case Poll(seconds):
                return self.poll(actor, seconds)
            case Mix():
                return self.mix(operation)
        return self.store.execute(actor.machine, operation)

    def poll(self, actor: Actor, seconds: float) -> Any:
        training = actor.training
        assert training is not None
        job = training.attempt.job
        if math.isnan(training.until):
            actor.training = None
            return AttemptFailed(Failure.INFRA, "killed")
        if training.halted:
            actor.training = None
            return Stopped(3)
        if self.store.now < training.until:
            actor.wake = min(training.until, self.store.now + seconds)
            return Progress(1)
        actor.training = None
        for checkpoint in job.inputs:
            if paths.checkpoint(job.generation - 1, checkpoint) not in self.store.entries:
                return AttemptFailed(Failure.INPUT, f"{checkpoint} is missing")
        if always_fails(job) or actor.machine == self.sick:
            return AttemptFailed(Failure.ERROR, "ValueError: always")
        result = trained(job)
        return Trained(result, self.private(result.checkpoint or ""), self.trained_meta)

    def mix(self, mix: Mix) -> Mixed | None:
        for parent in (mix.base_checkpoint, mix.donor_checkpoint):
            if paths.checkpoint(mix.generation, parent) not in self.store.entries:
                return None
        overlay = mixed(mix)
        return Mixed(self.private(overlay), overlay, {})

    def private(self, content: str) -> str:
        self.files += 1
        self.store.private[f"file-{self.files}"] = content.encode()
        return f"file-{self.files}"

    def log(self, what: str, actor: Actor, value: Any) -> None:
        if self.trace:
            print(f"{self.store.now:9.1f} {actor.name} {what}: {value}")

    # -- what must hold afterwards -------------------------------------------------------------

    def check(self) -> None:
        """Invariants of what the run left behind."""
        for name, contents in self.store.contents.items():
            if "/results/" in name or "/births/" in name or name.endswith("n.json"):
                cores = {decode(c, name, kind=_kind(name)).digest for c in contents}
                assert len(cores) == 1, f"{name} was published with different contents"
        last = self.search.generations - 1
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
            before = self._core(paths.selection(generation - 1), "selection")
            assert manifest.previous == digest(["selection", before]), "the chain is broken"

    def _core(self, name: str, kind: str) -> Mapping[str, Any]:
        return decode(self.store.entries[name].content, name, kind=kind, run=self.run_id).core


def _kind(name: str) -> str:
    folder, _, leaf = name.rpartition("/")
    return {"results": "result", "births": "birth"}.get(
        folder.rpartition("/")[2], leaf.removesuffix(".json")
    )


def run_seed(seed: int) -> str | None:
    """One simulated run; what went wrong in it, or None."""
    world = World(seed)
    try:
        fingerprint = world.run()
        world.check()
    except Exception as error:  # noqa: BLE001  (anything that escapes the protocol is a finding)
        return f"{type(error).__name__}: {error}"
    return None if fingerprint == REFERENCE else f"ended with another search: {fingerprint}"
