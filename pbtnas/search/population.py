"""Samples the initial population, stratified by option, and ranks members."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pbtnas.search.fronts import Point, by_fronts
from pbtnas.search.space import Architecture, SearchSpace


@dataclass(frozen=True)
class Member:
    """One network as selection sees it after training and evaluation.

    Args:
        number: Slot in the population, 0 to N - 1.
        architecture: Option index of every variable.
        score: Number that selection maximises; None if training diverged or failed, or if an
            objective of the run has no finite value.
        objectives: Value of each objective of the run, turned so that larger is better; () where
            the score is the only one.
        outside: How far outside of the bounds of the objectives; 0 within them.
    """

    number: int
    architecture: Architecture
    score: float | None
    objectives: Point = ()
    outside: float = 0.0


def initial_population(space: SearchSpace, size: int, rng: random.Random) -> list[Architecture]:
    """Stratified start: each variable shows its options as evenly as the size allows.

    Per variable, `size // len(options)` copies of every option are padded with uniformly
    random options and shuffled; variables are shuffled independently.  The authors' code
    does the same for every algorithm; the paper (Algorithm 1) only says "random".

    Raises `ValueError` for an empty population.
    """
    if size < 1:
        raise ValueError(f"a population has at least 1 member, not {size}")
    columns = [_stratified_column(len(v.options), size, rng) for v in space]
    return list(zip(*columns, strict=True))


def every_architecture(space: SearchSpace) -> list[Architecture]:
    """Each architecture of a space once, the last variable's option changing fastest."""
    return list(itertools.product(*(range(len(v.options)) for v in space)))


def with_one_network(
    space: SearchSpace, architectures: Sequence[Architecture]
) -> list[Architecture]:
    """The architectures with their own ladders, and all else as the first of them has it."""
    first = architectures[0]
    return [
        tuple(own[i] if i in space.ladders else option for i, option in enumerate(first))
        for own in architectures
    ]


def subnet_name(architecture: Architecture) -> str:
    """The digits of the options, counted from 1; separated by dashes where they are larger."""
    digits = [str(option + 1) for option in architecture]
    return ("" if all(len(digit) == 1 for digit in digits) else "-").join(digits)


def _stratified_column(options: int, size: int, rng: random.Random) -> list[int]:
    column = list(range(options)) * (size // options)
    column += [rng.randrange(options) for _ in range(size - len(column))]
    rng.shuffle(column)
    return column


def rank(members: Sequence[Member]) -> list[Member]:
    """Best first; ties by member number; members that are not usable last.

    Members with several objectives come front by front, each front spread out (`by_fronts`).
    Behind them come those outside of the bounds, by how far outside they are.
    """
    able = sorted(filter(usable, members), key=lambda m: m.number)
    within = [m for m in able if not m.outside]
    beyond = [m for m in able if m.outside]
    unusable = [m for m in members if not usable(m)]
    return [
        *(within[i] for i in by_fronts([_point(m) for m in within])),
        *sorted(beyond, key=lambda m: m.outside),
        *sorted(unusable, key=lambda m: m.number),
    ]


def usable(member: Member) -> bool:
    """Whether the member may become a parent: its score and objectives are finite."""
    # NaN compares false with everything: it must not take part in any order.
    return member.score is not None and all(map(math.isfinite, (member.score, *member.objectives)))


def _point(member: Member) -> Point:
    """What a usable member is ranked by."""
    assert member.score is not None, "it is usable"
    return member.objectives or (member.score,)
