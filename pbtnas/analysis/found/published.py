"""Published results of a space: how good an architecture is, and what needs no search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pbtnas.analysis.ranks import Array

REPEATS = 2000
"""Replays of random search."""


@dataclass(frozen=True)
class Standing:
    """How good an architecture is on one data set.

    Args:
        accuracy: Its published accuracy, in percent.
        regret: How much the best one of the table has more.
        percentile: Percentage of the architectures that have less.
    """

    accuracy: float
    regret: float
    percentile: float


@dataclass(frozen=True, eq=False)
class Published:
    """Published accuracies of n architectures of a space on D data sets, in percent.

    Args:
        name: What the table is called.
        space: Name of the space, as `task.space` has it.
        names: Names of the architectures.
        data_sets: Names of the data sets; the first is what runs search on.
        accuracies: float64 [n, D].
        validation: What a cheap training reaches on images that do not train, which random search
            chooses by; float64 [n, D]; None where it is not known.
        landmarks: Architectures that no search is needed for, by what they are.
    """

    name: str
    space: str
    names: tuple[str, ...]
    data_sets: tuple[str, ...]
    accuracies: Array
    validation: Array | None
    landmarks: Mapping[str, str]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def accuracies_of(self, name: str | None) -> Array:
        """The accuracies [D] of an architecture; NaN where the table lacks it."""
        place = None if name is None else self._places.get(name)
        if place is None:
            return np.full(len(self.data_sets), np.nan)
        found: Array = self.accuracies[place]
        return found

    def standings(self, name: str) -> tuple[Standing, ...] | None:
        """How good an architecture is on each data set; None where the table lacks it."""
        if name not in self._places:
            return None
        mine = self.accuracies_of(name)
        regrets = self.accuracies.max(axis=0) - mine
        below = 100 * (self.accuracies < mine).mean(axis=0)
        rows = zip(mine.tolist(), regrets.tolist(), below.tolist(), strict=True)
        return tuple(Standing(*row) for row in rows)

    def percentile(self, accuracy: float) -> float:
        """Percentage of the architectures that have less than this on the first data set."""
        return 100 * float((self.accuracies[:, 0] < accuracy).mean())

    def replayed(self, draws: int, rng: np.random.Generator) -> Array:
        """Random search on the table, many times: the best of `draws` uniform ones.

        Each data set chooses by its own validation.  Returns the accuracies [REPEATS, D]; no rows
        where there is no validation.
        """
        if self.validation is None:
            return np.empty((0, len(self.data_sets)))
        drawn = rng.integers(len(self.names), size=(REPEATS, draws))
        best = np.take_along_axis(
            drawn[..., None], self.validation[drawn].argmax(axis=1)[:, None], axis=1
        )[:, 0]
        found: Array = np.take_along_axis(self.accuracies, best, axis=0)
        return found
