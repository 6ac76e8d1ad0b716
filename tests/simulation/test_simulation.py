"""The protocol under every misfortune the simulation knows; see `tests.simulation.world`."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from pbtnas.protocol import claims, generations, operations
from pbtnas.protocol.operations import Published
from tests.simulation import store as simulated
from tests.simulation.world import SEARCH, World, reference, run_seed, trained

SEEDS = 2000
NIGHTLY_SEEDS = 50_000


def failures(seeds: range) -> list[str]:
    """What went wrong, each with the command that replays it; on all cores."""
    with ProcessPoolExecutor() as pool:
        found = pool.map(run_seed, seeds, chunksize=20)
        return [
            f"{problem}   replay: python -m tests.simulation {seed}"
            for seed, problem in zip(seeds, found, strict=True)
            if problem
        ]


@pytest.mark.timeout(3600)
def test_every_seed_ends_with_the_fingerprint_of_the_undisturbed_run() -> None:
    """Kills, pauses, stale views, full disks, damage and power cuts never change a search."""
    assert failures(range(SEEDS)) == []


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_fifty_thousand_further_seeds() -> None:
    """The same, for a night: seeds that no default run has seen."""
    assert failures(range(SEEDS, SEEDS + NIGHTLY_SEEDS)) == []


def test_a_calm_run_gives_the_reference() -> None:
    """Without faults the protocol computes exactly the pure functions, one after the other."""
    world = World(0, swarm=False)

    assert world.run() == reference()
    world.check()


def test_a_sick_machine_costs_time_and_no_member() -> None:
    """Where every job fails on one machine, the others do them all: nobody is recorded as
    failed for it, and its workers leave."""
    for seed in range(40):
        world = World(seed, swarm=False, sick=seed % 3)

        assert world.run() == reference()
        world.check()


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


def killed(mutant_seeds: range = range(120)) -> bool:
    return any(run_seed(seed) for seed in mutant_seeds)


def test_mutant_that_replaces_records_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishing over what is there breaks write-once, and is noticed."""
    original = simulated.SimulatedStore.put

    def replacing(self, machine, name, data, *, durable, interrupted=False):  # type: ignore[no-untyped-def]
        if "/results/" in name or "/manifest" in name:
            self.entries.pop(name, None)
            data = data.replace(b'"attempt":1', b'"attempt":2')
        return original(self, machine, name, data, durable=durable, interrupted=interrupted)

    monkeypatch.setattr(simulated.SimulatedStore, "put", replacing)
    monkeypatch.setattr(World, "check", check_single_publish)
    assert killed()


def check_single_publish(world: World) -> None:
    for name, contents in world.store.contents.items():
        if "/results/" in name:
            assert len(contents) == 1, f"{name} was published twice"


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
    """Records that a power cut may drop after others rest on them break the chain."""
    original = simulated.SimulatedStore.put

    def forgetful(self, machine, name, data, *, durable, interrupted=False):  # type: ignore[no-untyped-def]
        return original(self, machine, name, data, durable=False, interrupted=interrupted)

    monkeypatch.setattr(simulated.SimulatedStore, "put", forgetful)
    monkeypatch.setattr(simulated.SimulatedStore, "_sync", lambda self, directory: Published.WON)
    assert killed(range(400))


def test_a_lease_that_never_expires_only_wastes_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases save work: with every claim taken for expired at once, the outcome is the same."""

    def expired(self: claims.Claims, slot: str, attempt: int) -> operations.Steps[float]:
        yield operations.Now()
        return 1e9

    monkeypatch.setattr(claims.Claims, "silent_s", expired)
    assert [run_seed(seed) for seed in range(40)] == [None] * 40
