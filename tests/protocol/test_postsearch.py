"""Work after the search on a simulated directory: whoever dies, each item comes to one outcome."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Dead, Now, Put, Say, Sleep, Stopping
from pbtnas.protocol.postsearch import (
    CarryOut,
    Completed,
    Evaluate,
    GetReady,
    Mixture,
    PostSearch,
    WorkItem,
    WriteAverage,
)
from pbtnas.records import paths
from pbtnas.records.envelope import Record, decode, encode
from tests.simulation.store import Faults, SimulatedStore

RUN = "simulated"
LEASE_S, PIECE_S, STEPS = 30.0, 8.0, 5


def item(step: int) -> WorkItem:
    """One of a sequence of evaluations, or the average written at its end."""
    mixture = Mixture((0,), (f"file-{step}",), (f"digest-{step}",))
    if step == STEPS:
        return WorkItem(paths.soup("chain-soup"), "soup", "soup", WriteAverage(mixture), {})
    work = Evaluate(mixture, step, final=False)
    return WorkItem(paths.trial(f"step-{step}"), "trial", f"step {step}", work, {"step": step})


def plan(known: Mapping[str, Mapping[str, Any]]) -> list[WorkItem]:
    """A sequence of items beside two items that wait for nobody."""
    free = [
        WorkItem(paths.evaluation(name), "evaluation", name, item(0).work, {"checkpoint": name})
        for name in ("left", "right")
    ]
    sequence = (item(step) for step in range(STEPS + 1))
    following = next((p for p in sequence if p.record not in known), None)
    return [p for p in [following, *free] if p is not None and p.record not in known]


class World:
    """Some processes, and a scheduler that kills, stops and pauses them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.store = SimulatedStore(self.rng)
        self.store.faults = Faults(
            error=self.rng.choice([0.0, 0.05]), lag=self.rng.choice([0.0, 10.0])
        )
        self.rates = {name: self.rng.choice([0.0, 0.01]) for name in ("kill", "stop", "pause")}
        self.actors: dict[str, Any] = {}
        self.waking: dict[str, float] = {}
        self.replies: dict[str, Any] = {}
        self.stopping: set[str] = set()
        self.ends: list[Any] = []
        self.spawned = self.carried_out = 0

    def run(self) -> None:
        """Until one has seen everything through, and then all others."""
        while not any(self.ends):
            if len(self.actors) < 3 and (not self.actors or self.rng.random() < 0.05):
                self.spawn()
            self.step()
            assert self.store.now < 5000, "it does not end"
        self.rates = {}
        while self.actors:
            self.step()

    def spawn(self) -> None:
        self.spawned += 1
        name = f"process-{self.spawned}"
        nonces = iter(range(10**9))
        claims = Claims(
            RUN,
            {"worker": name, "host": "h"},
            lease_s=LEASE_S,
            new_nonce=lambda: f"{name}/{next(nonces)}",
        )
        self.actors[name] = PostSearch(RUN, name, claims, poll_s=1.0).complete(plan)
        self.waking[name], self.replies[name] = self.store.now, None

    def step(self) -> None:
        name = min(self.actors, key=lambda n: (self.waking[n], self.rng.random()))
        self.store.now = max(self.store.now, self.waking[name])
        draw = self.rng.random()
        if draw < self.rates.get("kill", 0):
            return self.remove(name)
        if draw < self.rates.get("pause", 0):
            self.waking[name] += self.rng.uniform(0, 3 * LEASE_S)
            return None
        if draw < self.rates.get("stop", 0):
            self.stopping.add(name)
        try:
            operation = self.actors[name].send(self.replies[name])
        except StopIteration as stop:
            self.ends.append(stop.value)
            return self.remove(name)
        self.waking[name] += self.rng.uniform(0, 0.2)
        self.replies[name] = self.execute(name, operation)
        return None

    def remove(self, name: str) -> None:
        self.actors.pop(name).close()

    def execute(self, name: str, operation: Any) -> Any:
        match operation:
            case GetReady():
                return True
            case Stopping():
                return name in self.stopping
            case Now():
                return self.store.now
            case Sleep(seconds):
                self.waking[name] += seconds
                return None
            case Say() | Dead():
                return None
            case CarryOut(claim):
                self.waking[name] += self.rng.uniform(0, PIECE_S)
                self.carried_out += 1
                return self.carry_out(name, claim.item)
        return self.store.execute(self.rng.randint(0, 1), operation)

    def carry_out(self, name: str, item: WorkItem) -> Completed | None:
        if name in self.stopping:
            return None
        if isinstance(item.work, WriteAverage):
            self.store.private[f"private-{name}"] = b"soup"
            return Completed({"checkpoint": "soup"}, f"private-{name}")
        return Completed({"score": float(len(item.record))})


def test_every_piece_has_one_outcome_whatever_happens() -> None:
    """Under kills, stops, pauses beyond the lease, full disks and stale views."""
    repeated = 0
    for seed in range(150):
        world = World(seed)
        world.run()
        records = [item(step).record for step in range(STEPS + 1)]
        records += [paths.evaluation("left"), paths.evaluation("right")]
        for seen in filter(None, world.ends):
            assert set(seen) == set(records), f"seed {seed}"
        for name in records:
            kind = paths.kind_afterwards(name)
            assert kind is not None
            cores = {decode(c, name, kind=kind, run=RUN).digest for c in world.store.contents[name]}
            assert len(cores) == 1, f"seed {seed}: {name}"
        assert world.store.entries[paths.soup_checkpoint("soup")].durable
        repeated += world.carried_out - len(records)
    assert repeated > 0, "no misfortune has happened at all"


def test_undisturbed_processes_do_nothing_twice() -> None:
    """Three at once share the items: claims are respected as long as their holders live."""
    world = World(0)
    world.rates, world.store.faults = {}, Faults()
    for _ in range(3):
        world.spawn()
    holders = set()
    carry_out = world.carry_out

    def noting(name: str, item: WorkItem) -> Completed | None:
        holders.add(name)
        return carry_out(name, item)

    world.carry_out = noting  # type: ignore[method-assign]
    world.run()

    assert world.carried_out == STEPS + 3
    assert len(holders) > 1


def test_a_lost_file_is_made_again_though_its_record_is_there() -> None:
    """The record of a soup says what it is; `Has` says whether it still is."""
    world = World(0)
    world.rates, world.store.faults = {}, Faults()
    world.spawn()
    world.run()
    before = dict(world.store.entries)
    del world.store.entries[paths.soup_checkpoint("soup")]
    world.spawn()
    world.ends.clear()
    world.store.now += 2 * LEASE_S
    world.run()

    assert {n: e.content for n, e in before.items()}.items() <= {
        n: e.content for n, e in world.store.entries.items()
    }.items()


def calm() -> World:
    """A world with one process, to which nothing happens by chance."""
    world = World(0)
    world.rates, world.store.faults = {}, Faults()
    world.spawn()
    return world


def test_a_soup_is_there_before_the_record_that_names_it() -> None:
    """Whoever reads the record may open the file."""
    world, there = calm(), []
    execute = world.execute

    def noting(name: str, operation: Any) -> Any:
        if isinstance(operation, Put) and operation.name == paths.soup("chain-soup"):
            there.append(paths.soup_checkpoint("soup") in world.store.entries)
        return execute(name, operation)

    world.execute = noting  # type: ignore[method-assign]
    world.run()

    assert there == [True]


def test_the_outcome_that_was_first_counts() -> None:
    """Where evaluation is not deterministic, all go on with the record that is there."""
    world = calm()
    carry_out = world.carry_out

    def overtaken(name: str, item: WorkItem) -> Completed | None:
        if item.record == paths.trial("step-2"):
            core = {**item.core, "score": -1.0}
            first = encode(Record("trial", RUN, core, {}, "another"))
            world.store.execute(1, Put(item.record, first))
        return carry_out(name, item)

    world.carry_out = overtaken  # type: ignore[method-assign]
    world.run()

    assert world.ends
    for known in world.ends:
        assert known[paths.trial("step-2")] == {"step": 2, "score": -1.0}
