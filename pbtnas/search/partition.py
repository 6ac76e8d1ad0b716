"""Cuts the architectures of a space into groups of equal size: at random, or by likeness.

A partition is a tuple of labels, 0 to groups - 1: one an architecture, in the order of the space.
Supernets that each span one group are the paper's group sharing ("Deeper insights into weight
sharing", section 4.2).
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence

Partition = tuple[int, ...]

PUBLISHED_SEED = 42
"""Of the paper's random partitions, which are the same in all its instances."""


def random_groups(size: int, groups: int, *, seed: int = PUBLISHED_SEED) -> Partition:
    """The paper's random partition: the labels 0, 1, ..., 0, 1, ... shuffled.

    The same as `numpy.random.RandomState(seed).shuffle`, and so the published partitions, without
    resting on a generator that numpy keeps only for old programs.

    Raises `ValueError` when `groups` does not divide `size`.
    """
    _check_divides(size, groups)
    labels = [i % groups for i in range(size)]
    rng = _numpy_generator(seed)
    for i in range(size - 1, 0, -1):
        j = _at_most(rng, i)
        labels[i], labels[j] = labels[j], labels[i]
    return tuple(labels)


def similar_groups(size: int, groups: int) -> Partition:
    """Consecutive slices of the space: architectures that agree in their first choices.

    Raises `ValueError` when `groups` does not divide `size`.
    """
    _check_divides(size, groups)
    return tuple(i // (size // groups) for i in range(size))


def members_of(labels: Sequence[Hashable]) -> tuple[tuple[int, ...], ...]:
    """Indices of each group's architectures; the group of the first architecture comes first."""
    groups: dict[Hashable, list[int]] = {}
    for i, label in enumerate(labels):
        groups.setdefault(label, []).append(i)
    return tuple(map(tuple, groups.values()))


def same_partition(first: Sequence[Hashable], other: Sequence[Hashable]) -> bool:
    """Whether two lists of labels make the same groups, whatever these are called."""
    return members_of(first) == members_of(other)


def _check_divides(size: int, groups: int) -> None:
    if groups < 1 or size % groups:
        raise ValueError(
            f"{groups} groups do not divide {size} architectures: expected a number that does"
        )


def _numpy_generator(seed: int) -> random.Random:
    """The Mersenne Twister as numpy's `RandomState(seed)` starts it, which Python's seed does not.

    Both draw the same words from the same state; the seeding is `init_genrand` of its authors.
    """
    words = [seed & 0xFFFFFFFF]
    for i in range(1, 624):
        words.append((1812433253 * (words[-1] ^ words[-1] >> 30) + i) & 0xFFFFFFFF)
    rng = random.Random(0)
    rng.setstate((3, (*words, 624), None))
    return rng


def _at_most(rng: random.Random, most: int) -> int:
    """A uniform number from 0 to `most`, drawn as numpy does: by bits, until one is in range."""
    mask = (1 << most.bit_length()) - 1
    while (value := rng.getrandbits(32) & mask) > most:
        pass
    return value
