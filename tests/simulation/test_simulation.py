"""The protocol under every misfortune the simulation knows; see `tests.simulation.world`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pbtnas.protocol import claims, coordinator, generations, operations, worker
from pbtnas.protocol.coordinator import BrokenChain
from pbtnas.protocol.kept_front import KeptFront
from pbtnas.protocol.operations import Published, Put
from pbtnas.protocol.selecting import Collected
from pbtnas.records import paths
from pbtnas.records.controls import Steering
from pbtnas.records.envelope import ForeignRecord, Record, decode, encode
from tests.simulation import store as simulated
from tests.simulation.faults import FAULTS
from tests.simulation.search import OBJECTIVES, SEARCH, reference, trained
from tests.simulation.steering import (
    CancelledWorld,
    LengthenedWorld,
    RetriedWorld,
    SteeredWorld,
)
from tests.simulation.store import Entry
from tests.simulation.world import (
    RUN,
    LadderWorld,
    ObjectivesWorld,
    World,
    run_all,
    run_and_count,
    run_seed,
)

SEEDS = 200
NIGHTLY_SEEDS = 50_000
OF_OPERATIONS = {
    "write error",
    "lost reply",
    "stale lookup",
    "stale listing",
    "read error",
    "flip on one read",
    "slow sync",
    "vanished entry",
    "emptied file",
}


@pytest.mark.timeout(3600)
def test_every_seed_ends_with_the_fingerprint_of_the_undisturbed_run() -> None:
    """No fault that the simulation knows changes a search, or has a process break a rule or
    repeat work for no reason; and each of them has happened."""
    problems, counts = run_all(range(SEEDS))

    assert problems == []
    assert counts.keys() == FAULTS.keys() | OF_OPERATIONS


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_fifty_thousand_further_seeds() -> None:
    """The same, for a night: seeds that no default run has seen."""
    assert run_all(range(SEEDS, SEEDS + NIGHTLY_SEEDS))[0] == []


def ladders_moved(world: World) -> bool:
    """Whether a child of this run has explored."""
    last = world.search.generations - 1
    cores = [core_of(world, paths.selection(generation)) for generation in range(last)]
    return any("explored" in birth for core in cores for birth in core["births"])


def test_a_search_with_ladders_ends_alike_whatever_happens() -> None:
    """Where ladders move is decided by the records too: no kill or restart draws them again."""
    calm = LadderWorld(0, swarm=False)

    assert calm.run() == LadderWorld.undisturbed != World.undisturbed
    assert ladders_moved(calm)
    assert run_all(range(10), LadderWorld)[0] == []


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_two_thousand_searches_with_ladders() -> None:
    """The same with 2,000 seeds."""
    assert run_all(range(2000), LadderWorld)[0] == []


def test_a_search_with_two_objectives_ends_alike_whatever_happens() -> None:
    """The front is a function of the records too: under any faults a run keeps its checkpoints,
    and ends with the same one."""
    calm = ObjectivesWorld(0, swarm=False)

    assert calm.run() == ObjectivesWorld.undisturbed
    calm.check()
    front = core_of(calm, paths.FINAL)["front"]
    assert any(member["generation"] < OBJECTIVES.generations - 3 for member in front)
    first = [member["objectives"]["score"] for member in front]
    assert first == sorted(first, reverse=True)
    lacking = [
        result
        for generation in range(OBJECTIVES.generations)
        for result in core_of(calm, paths.selection(generation))["results"]
        if result["score"] is not None and not result["metrics"]
    ]
    assert lacking, "some members report no draw"
    assert run_all(range(16), ObjectivesWorld)[0] == []


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_two_thousand_searches_with_two_objectives() -> None:
    """The same with 2,000 seeds."""
    assert run_all(range(2000), ObjectivesWorld)[0] == []


def test_a_steered_search_ends_alike_whatever_happens() -> None:
    """Operators who pause, resume, drain, pin and note change nothing of a search, whatever else
    happens to it and to them; and each of these commands has been given."""
    problems, counts = run_all(range(12), SteeredWorld)

    assert problems == []
    assert {f"control: {action}" for action in SteeredWorld.actions} <= counts.keys()


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_two_thousand_steered_searches() -> None:
    """The same with 2,000 seeds."""
    assert run_all(range(2000), SteeredWorld)[0] == []


def test_the_same_controls_at_the_same_generations_give_the_same_search() -> None:
    """Stopped early and extended again and again, a run ends as those controls alone decide, with
    another fingerprint than without them, whatever else happens to it."""
    seeds = range(10)
    problems, counts = run_all(seeds, LengthenedWorld)

    assert problems == []
    assert {"control: stop", "control: extend"} <= counts.keys()
    known = [
        reference(SEARCH),
        reference(SEARCH, extended=[1]),
        reference(SEARCH, extended=[1, 1]),
        reference(SEARCH, extended=[2]),
        reference(SEARCH, stopped=[1]),
        reference(SEARCH, stopped=[1], extended=[2]),
        reference(replace(SEARCH, generations=5)),
    ]
    assert len(set(known)) == len(known)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_two_thousand_searches_stopped_and_extended() -> None:
    """The same with 2,000 seeds."""
    assert run_all(range(2000), LengthenedWorld)[0] == []


def test_a_search_with_retries_ends_alike_whatever_happens() -> None:
    """A failed job that is tried again in time gives another search, the same whatever else
    happens; one that is asked for too late, or of nobody who has failed, changes nothing."""
    calm = RetriedWorld(0, swarm=False)
    assert calm.run() == reference(SEARCH)
    problems, counts = run_all(range(10), RetriedWorld)

    assert problems == []
    assert counts["control: retry"]
    # Here an extension of a finished run has a number after one that is lost.
    assert run_and_count(349, RetriedWorld)[0] is None
    # And here a manifest is damaged that a parent's lost checkpoint is computed again from.
    assert run_and_count(1415, RetriedWorld)[0] is None
    in_time = RetriedWorld(2)
    assert in_time.run() == reference(SEARCH, retried={(1, 2): 1})
    assert in_time.retried == {(1, 2): 1}
    assert reference(SEARCH, retried={(1, 2): 1}) != reference(SEARCH)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_two_thousand_searches_with_retries() -> None:
    """The same with 2,000 seeds."""
    assert run_all(range(2000), RetriedWorld)[0] == []


def test_mutant_that_selects_without_waiting_for_a_retry_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was recorded as tried again has to be what the selection goes by."""
    monkeypatch.setattr(Collected, "add", lambda self, member, record, retry: add(self, record))

    def add(collected: Collected, record: Record) -> None:
        collected.records[record.core["member"]] = record

    assert any(run_and_count(seed, RetriedWorld)[0] for seed in range(60))


def test_a_cancelled_search_ends_where_it_was_cancelled() -> None:
    """Whenever and by however many it is cancelled, a run ends with what the same cancellation at
    the same place comes to, before its generation has jobs or in its midst."""
    seeds = range(12)
    problems, counts = run_all(seeds, CancelledWorld)

    assert problems == []
    assert counts["control: cancel"]
    # Here an idle worker looks for what a cancelled generation may have lost.
    assert run_and_count(639, CancelledWorld)[0] is None
    known = [reference(SEARCH)]
    for generation in range(1, 4):
        known.append(reference(SEARCH, cancelled=generation))
        known.append(reference(SEARCH, cancelled=generation, unopened=True))
    assert len(set(known)) == len(known)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_two_thousand_cancelled_searches() -> None:
    """The same with 2,000 seeds."""
    assert run_all(range(2000), CancelledWorld)[0] == []


def test_mutant_that_trains_in_a_cancelled_run_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has read that a run is cancelled takes no job more."""
    monkeypatch.setattr(Steering, "cancelled", False)
    assert any(run_and_count(seed, CancelledWorld)[0] for seed in range(60))


@pytest.mark.parametrize(
    ("asked", "obeyed"), [("paused", False), ("drained", frozenset()), ("pinned", frozenset())]
)
def test_mutant_that_reads_what_is_asked_and_does_not_obey_is_caught(
    monkeypatch: pytest.MonkeyPatch, asked: str, obeyed: Any
) -> None:
    """Who trains in a paused run, takes a job when it is to leave, or discards what is pinned."""
    monkeypatch.setattr(Steering, asked, obeyed)
    assert any(run_and_count(seed, SteeredWorld)[0] for seed in range(60))


def test_mutant_that_discards_the_front_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that keeps only the best-ever loses what the end has to name."""
    monkeypatch.setattr(KeptFront, "checkpoints", lambda self: frozenset())
    assert any(run_and_count(seed, ObjectivesWorld)[0] for seed in range(5))


def test_a_calm_run_gives_the_reference() -> None:
    """Without faults the protocol computes exactly the pure functions, one after the other."""
    world = World(0, swarm=False)

    assert world.run() == reference()
    world.check()


def test_a_sick_machine_costs_time_and_no_member() -> None:
    """Where every job fails on one machine, the others do them all: nobody is recorded as
    failed for it, and its workers leave."""
    for seed in range(12):
        world = World(seed, swarm=False, sick=seed % 3)

        assert world.run() == reference()
        world.check()


def test_where_machines_disagree_the_first_result_stands() -> None:
    """On a machine with other digits nothing is lost and all goes on from what was published
    first, whoever computes it again; the search is another one then."""
    needs_equal_bits = {"lost checkpoint", "rotten checkpoint", "other bits"}
    fingerprints = set()
    for seed in range(15):
        world = World(seed, odd=seed % 3)
        world.allow([f for f in world.possible if f not in needs_equal_bits], world.store.faults)
        fingerprints.add(world.run())
        world.check()

    assert len(fingerprints) > 1


def core_of(world: World, name: str) -> dict[str, Any]:
    kind = name.rpartition("/")[2].removesuffix(".json")
    return dict(decode(world.store.entries[name].content, name, kind=kind, run=RUN).core)


def forge(name: str, *, run: str = RUN, **changed: Any) -> Callable[[World], None]:
    """Puts an intact record into the place of another."""

    def plant(world: World) -> None:
        kind = name.rpartition("/")[2].removesuffix(".json")
        record = Record(kind, run, {**core_of(world, name), **changed}, {}, "forged")
        world.store.entries[name] = Entry(encode(record), durable=True)

    return plant


def lose_both(world: World) -> None:
    for name in (paths.selection(1), paths.result(1, 0)):
        del world.store.entries[name]


@pytest.mark.parametrize(
    ("plant", "error", "named"),
    [
        (forge(paths.manifest(0), previous="0" * 64), BrokenChain, "another configuration"),
        (forge(paths.manifest(0), products={"judge": "0" * 64}), BrokenChain, "products/judge"),
        (forge(paths.manifest(2), previous="0" * 64), BrokenChain, "manifest.json: does not conti"),
        (
            forge(paths.selection(1), manifest="0" * 64),
            BrokenChain,
            "1/selection.json: was",
        ),
        (forge(paths.selection(1), ranking=[3, 2, 1, 0]), BrokenChain, "2/manifest.json: does not"),
        (forge(paths.manifest(1), run="another"), ForeignRecord, paths.manifest(1)),
        (forge(paths.selection(2), run="another"), ForeignRecord, paths.selection(2)),
        (lose_both, BrokenChain, "both missing or damaged"),
    ],
)
def test_what_does_not_continue_the_chain_is_refused(
    plant: Callable[[World], None], error: type[Exception], named: str
) -> None:
    """A coordinator goes on from no record that does not follow from those before it."""
    world = World(0, swarm=False)
    world.run()
    plant(world)
    world.spawn("coordinator")

    with pytest.raises(error, match=named):
        world.run_down(1e9)


def test_the_simulated_search_has_every_outcome() -> None:
    """The reference run has diverged, failed and trained members: else faults would hide."""
    outcomes = {trained(job).outcome for job in generations.first_manifest(SEARCH).jobs}
    world = World(0, swarm=False)
    world.run()
    for name, entry in world.store.entries.items():
        if "/results/" in name:
            outcomes |= {o for o in ("ok", "diverged", "failed") if o.encode() in entry.content}

    assert outcomes == {"ok", "diverged", "failed"}


# Mutants: each breaks one rule of the protocol, and the simulation must notice.  A simulation
# that lets one of them live is itself broken.


def killed(mutant_seeds: range = range(60)) -> bool:
    return any(run_seed(seed) for seed in mutant_seeds)


def test_mutant_that_replaces_records_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing over what is there breaks write-once, and is noticed."""
    original = simulated.SimulatedStore.show

    def replacing(self, machine, operation):  # type: ignore[no-untyped-def]
        if isinstance(operation, Put) and "/results/" in operation.name:
            self.entries.pop(operation.name, None)
        return original(self, machine, operation)

    monkeypatch.setattr(simulated.SimulatedStore, "show", replacing)
    assert killed()


def test_mutant_whose_selection_draws_from_shared_randomness_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Randomness that remembers earlier draws differs after a restart, and is noticed."""
    import random

    shared = random.Random(3)

    def drifting(members, space, selection, run_seed, generation):  # type: ignore[no-untyped-def]
        births = SEARCH.algorithm(members, space, selection, run_seed, generation)
        return tuple(replace(birth, seed=shared.getrandbits(32)) for birth in births)

    monkeypatch.setattr("tests.simulation.world.SEARCH", replace(SEARCH, algorithm=drifting))
    assert killed()


def test_mutant_that_lets_nan_rank_first_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members without a score as parents have no checkpoint to give, and are noticed."""
    monkeypatch.setattr(
        generations,
        "_births",
        lambda search, generation, members: search.algorithm(
            [replace(m, score=9.0 if m.score is None else m.score) for m in members],
            search.space,
            search.selection,
            search.seed,
            generation,
        ),
    )
    assert killed(range(10))


def test_mutant_without_durability_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that nobody made durable are not to be built on, whether or not the power goes."""
    monkeypatch.setattr("tests.simulation.world.settle", lambda entry: None)
    assert killed(range(5))


def test_mutant_without_syncs_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads what another has not made durable yet must see to it before building on it."""
    monkeypatch.setattr(simulated.SimulatedStore, "_sync", lambda self, directory: Published.WON)
    assert killed()


@pytest.mark.parametrize("module", [worker, coordinator])
def test_mutant_that_takes_an_error_for_a_lost_race_is_caught(
    monkeypatch: pytest.MonkeyPatch, module: Any
) -> None:
    """A publish that failed has happened for nobody, though others may repair it."""

    def once(operation: operations.Operation[Published]) -> operations.Steps[Published]:
        return (yield from operation)

    monkeypatch.setattr(module, "persist", once)
    assert killed()


def test_a_lease_that_never_expires_only_wastes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases save work: with every claim taken for expired at once, the outcome is the same."""

    def expired(self: claims.Claims, slot: str, attempt: int) -> operations.Steps[float]:
        yield operations.Now()
        return 1e9

    monkeypatch.setattr(claims.Claims, "silent_s", expired)
    assert killed(range(20))  # it is noticed that work is repeated
    monkeypatch.setattr("tests.simulation.bounds.Ledger._count", lambda *what, **allowed: None)
    assert [run_seed(seed) for seed in range(10)] == [None] * 10
