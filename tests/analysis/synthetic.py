"""Populations that evolve as the real ones do, with made-up scores: births by `pbtnas.search`."""

from __future__ import annotations

import math
import random

from pbtnas.analysis.compare.outcomes import Curve
from pbtnas.analysis.plots.evolution import Evolution, Standing, best_scores
from pbtnas.search.algorithms import Algorithm, pbtnas
from pbtnas.search.births import Birth
from pbtnas.search.exploring import Exploration, explore
from pbtnas.search.ladders import ladder
from pbtnas.search.population import Member, initial_population
from pbtnas.search.seeding import stream
from pbtnas.search.space import SearchSpace, layer, switch
from tests.search.rules import selection_rule

SPACE = SearchSpace(
    [
        variable
        for i in range(3)
        for variable in (
            layer(f"generator.layers.{i}.op", ("none", "linear", "residual", "wide")),
            switch(f"generator.layers.{i}.activation", ("tanh", "relu", "swish")),
            switch(f"generator.layers.{i}.batch_norm", (False, True)),
        )
    ]
)

LADDERS = SearchSpace(
    [
        *SPACE,
        ladder("learning_rate", 1e-4, 1e-2, steps=11),
        ladder("batch_size", 16, 256, steps=5, integer=True),
        ladder("momentum", 0.5, 1.0, steps=6, scale="linear"),
    ]
)
"""The same with something besides the network."""


def evolve(
    seed: int,
    *,
    members: int = 12,
    generations: int = 21,
    algorithm: Algorithm = pbtnas,
    failing: float = 0.02,
    space: SearchSpace = SPACE,
) -> Evolution:
    """A run whose scores grow towards what the architecture is worth, and dip at a birth."""
    rng = random.Random(seed)
    worth = [[rng.gauss(0, 1) for _ in variable.options] for variable in space]
    start = initial_population(space, members, stream(seed, "population"))
    architectures = dict(enumerate(start))
    skills = dict.fromkeys(architectures, 0.0)
    births: dict[int, Birth] = {}
    history = []
    for generation in range(generations):
        standings = []
        for member, architecture in architectures.items():
            value = sum(worth[i][option] for i, option in enumerate(architecture)) / len(space)
            goal = 0.95 + 0.05 * math.tanh(value)
            skills[member] += 0.2 * (goal - skills[member]) + rng.gauss(0, 0.004)
            # Member 0 never fails: a run without any score has no next generation.
            score = None if member and rng.random() < failing else skills[member]
            standings.append(Standing(member, architecture, score, births.get(member)))
        history.append(tuple(standings))
        if generation < generations - 1:
            ranked = [Member(s.member, s.architecture, s.score) for s in standings]
            chosen = algorithm(ranked, space, selection_rule(members), seed, generation)
            moved = explore(chosen, space, Exploration("step", 1, 0.1), seed, generation)
            births = {birth.member: birth for birth in moved}
            before = dict(skills)
            for member, birth in births.items():
                architectures[member] = birth.architecture
                skills[member] = before[birth.base] * (1 - 0.1 * rng.random())
    epochs = tuple(10 + 5 * generation for generation in range(generations))
    return Evolution(space.variables, "accuracy", epochs, tuple(history))


def curve(algorithm: str, seed: int, evolution: Evolution) -> Curve:
    """The run's best scores under that name."""
    members = len(evolution.generations[0])
    return Curve(
        run=f"{algorithm}-{seed}",
        algorithm=algorithm,
        seed=seed,
        metric=evolution.metric,
        epochs=tuple(members * epochs for epochs in evolution.epochs),
        scores=tuple(best_scores(evolution)),
    )
