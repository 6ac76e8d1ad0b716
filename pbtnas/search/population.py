"""Samples the initial population, stratified by option, and ranks members."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pbtnas.search.space import Architecture, SearchSpace


@dataclass(frozen=True)
class Member:
    """One network as selection sees it after training and evaluation.

    Args:
        number: Slot in the population, 0 to N - 1.
        architecture: Option index of every variable.
        score: Number that selection maximises; None if training diverged or failed.
    """

    number: int
    architecture: Architecture
    score: float | None


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
    """Best first; ties by member number; members without a finite score last."""
    return sorted(members, key=_order)


def usable(member: Member) -> bool:
    """Whether the member may become a parent: it has a finite score."""
    return member.score is not None and math.isfinite(member.score)


def _order(member: Member) -> tuple[bool, float, int]:
    # NaN compares false with everything: keep it out of the sort key.
    if member.score is None or not usable(member):
        return (True, 0.0, member.number)
    return (False, -member.score, member.number)
