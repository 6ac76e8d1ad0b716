"""Explores: moves the ladders of children, whatever algorithm has decided on them.

A child inherits the rungs of its ladders as it does every option; then each ladder moves ("explore"
of Population Based Training, Jaderberg et al. 2017).  The draws come from streams of their own, so
that algorithms decide as they do without ladders.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from pbtnas.search.births import Birth
from pbtnas.search.seeding import stream
from pbtnas.search.space import SearchSpace

Way = Literal["none", "step", "resample"]


@dataclass(frozen=True)
class Exploration:
    """How ladders move in children.

    `SearchConfig.exploration` makes it; the defaults for users stand there.

    Args:
        way: "step": to any rung with `resample_probability`, otherwise up or down; "resample": to
            any rung with `resample_probability`, otherwise not at all; "none": never.
        rungs: Largest number of rungs of a step.
        resample_probability: Probability that a ladder moves to a rung drawn from all of it.
    """

    way: Way = "none"
    rungs: int = 1
    resample_probability: float = 0.0


def explore(
    births: Iterable[Birth],
    space: SearchSpace,
    exploration: Exploration,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """The births of a generation with every child's ladders moved.

    A birth that has the slot's own member for both parents continues this member: it is a
    survivor, and stays as it is.
    """
    if exploration.way == "none" or not space.ladders:
        return tuple(births)
    return tuple(
        birth
        if birth.member == birth.base == birth.donor
        else _explored(
            birth, space, exploration, stream(run_seed, "explore", generation, birth.member)
        )
        for birth in births
    )


def _explored(
    birth: Birth, space: SearchSpace, exploration: Exploration, rng: random.Random
) -> Birth:
    rungs = list(birth.architecture)
    for i in space.ladders:
        rungs[i] = _moved(rungs[i], len(space.variables[i].options), exploration, rng)
    moved = {i for i in space.ladders if rungs[i] != birth.architecture[i]}
    explored = tuple(sorted(moved.union(birth.explored)))
    return replace(birth, architecture=tuple(rungs), explored=explored)


def _moved(rung: int, count: int, exploration: Exploration, rng: random.Random) -> int:
    """Another rung, or the same: a draw from all of them may hit it, and the ends hold a step."""
    if rng.random() < exploration.resample_probability:
        return rng.randrange(count)
    if exploration.way == "resample":
        return rung
    step = rng.choice((-1, 1)) * rng.randint(1, exploration.rungs)
    return min(max(rung + step, 0), count - 1)
