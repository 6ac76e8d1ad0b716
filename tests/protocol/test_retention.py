"""What is kept of old generations: the best-ever, and what a soup of it needs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from pbtnas.protocol import generations
from pbtnas.protocol.coordinator import KEPT_GENERATIONS
from pbtnas.protocol.retention import Retention
from pbtnas.records import paths
from pbtnas.records.schema import Champion, Job, Manifest, Result, Selected
from pbtnas.search import SearchSpace, switch
from pbtnas.search.algorithms import random_search
from tests.simulation import world as simulation
from tests.simulation.world import SEARCH, World


def add(retention: Retention, generation: int, scores: dict[int, float | None]) -> None:
    """Add a generation in which even and odd members have one architecture each."""
    jobs = tuple(Job(generation, m, (m % 2,), (), 0, 1, 1) for m in scores)
    results = tuple(
        Result(m, "diverged", None, {}, None)
        if score is None
        else Result(m, "ok", score, {}, f"g{generation}m{m}")
        for m, score in scores.items()
    )
    ranking = tuple(sorted(scores, key=lambda m: -(scores[m] or -99)))
    manifest = Manifest(generation, "", 0, jobs)
    selected = Selected(generation, "", ranking, (), results)
    retention.add(generations.champion(manifest, selected), manifest, selected)


def test_those_with_the_architecture_of_the_best_ever_are_kept() -> None:
    """Of its generation, and without those that have no checkpoint; until a better one comes."""
    retention = Retention()
    assert retention.retained() == frozenset()
    add(retention, 0, {0: 1.0, 1: 3.0, 2: 2.0, 3: 2.0, 5: None})
    assert retention.retained() == {"g0m1", "g0m3"}
    add(retention, 1, {0: 2.0, 2: 1.0, 4: 2.5})
    assert retention.retained() == {"g0m1", "g0m3"}
    add(retention, 2, {0: 4.0, 2: 1.0, 1: 2.5})
    assert retention.retained() == {"g2m0", "g2m2"}
    assert retention.collectable(range(2, 3)) == [0, 2]


def test_those_of_the_same_network_are_kept_on_whatever_rung() -> None:
    """A soup averages them, so garbage leaves them alone: rungs of ladders do not count."""
    retention = Retention(ladders=(0,))
    add(retention, 0, {0: 1.0, 1: 3.0, 2: 2.0, 5: None})
    assert retention.retained() == {"g0m0", "g0m1", "g0m2"}


def test_of_equals_the_earliest_is_the_best_ever() -> None:
    """Its checkpoints are kept already, and need not be kept for another's sake as well."""
    retention = Retention()
    add(retention, 0, {0: 1.0, 1: 3.0})
    add(retention, 1, {0: 3.0, 1: 2.0})

    best = retention.best()
    assert best is not None and (best.generation, best.member) == (0, 1)
    assert retention.retained() == {"g0m1"}


def test_a_generation_is_discarded_at_most_twice() -> None:
    """However often the best-ever member changes: when it has aged, and when its champion is
    dethroned; so keeping house does not grow with the run."""
    retention, tidied = Retention(), 0
    discarded: Counter[int] = Counter()
    for generation in range(1000):
        add(retention, generation, {0: float(generation // 7 if generation < 500 else generation)})
        beyond = max(tidied, generation - KEPT_GENERATIONS)
        if generation % 5:  # a coordinator that need not wait does not tidy
            discarded.update(retention.collectable(range(tidied, beyond)))
            tidied = beyond

    assert discarded.keys() == set(range(tidied)), "none is forgotten"
    assert max(discarded.values()) == 2


def test_what_a_soup_of_the_best_ever_needs_outlives_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A coordinator that collects garbage for many generations leaves exactly that of an early
    best-ever's generation, though nothing else of it is left."""

    def early(job: Job) -> Result:
        score = job.member + (10.0 if job.generation == 1 else 0.0)
        checkpoint = f"g{job.generation}m{job.member}"
        return Result(job.member, "ok", score, {}, checkpoint)

    space = SearchSpace([switch("norm", (False, True))])  # so two members have each architecture
    search = replace(SEARCH, space=space, algorithm=random_search, generations=8)
    monkeypatch.setattr(simulation, "SEARCH", search)
    monkeypatch.setattr(simulation, "trained", early)
    monkeypatch.setattr(simulation, "always_fails", lambda job: False)
    world = World(0, swarm=False)
    world.run()

    best = Champion.from_json(world._core(paths.FINAL, "final")["best_ever"])
    manifest = Manifest.from_json(world._core(paths.manifest(1), "manifest"))
    kin = {f"g1m{job.member}" for job in manifest.jobs if job.architecture == best.architecture}
    there = {
        name.rpartition("/")[2].removesuffix(".safetensors")
        for name in world.store.entries
        if name.startswith(paths.checkpoints(1))
    }
    assert (best.generation, best.member, len(kin)) == (1, 3, 2)
    assert there == kin
    # Of the others, the last generation's, its inputs', and what these were computed from.
    names = [name for name in world.store.entries if name.endswith(".safetensors")]
    assert {int(name.split("/")[1]) for name in names} == {1, 5, 6, 7}
