"""Finds an algorithm by name: one of ours, or one that another package installs.

Like tasks, they come from what is installed on the machine; nothing in a run directory names
code.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Any

from pbtnas.config import ConfigError
from pbtnas.config.schema import ALGORITHM_GROUP, algorithm_names
from pbtnas.errors import PbtnasError
from pbtnas.search.algorithms import ALGORITHMS, Algorithm, SelectionRule
from pbtnas.search.births import Birth
from pbtnas.search.contract import fault
from pbtnas.search.population import Member
from pbtnas.search.space import SearchSpace


class BrokenAlgorithm(PbtnasError):
    """An installed algorithm gave an answer that must not be published."""


def load_algorithm(name: str) -> Algorithm:
    """Find an algorithm by name; ours takes precedence over an installed one.

    One of another package is watched: it raises `BrokenAlgorithm` instead of answering what the
    engine could not carry out.  Raises `ConfigError` when there is none, or it cannot be
    called.  An exception of the other package is let through.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    found = entry_points(group=ALGORITHM_GROUP, name=name)
    if not found:
        known = ", ".join(algorithm_names())
        raise ConfigError([f"search.algorithm: {name!r} is not installed here; there are {known}"])
    algorithm: Any = next(iter(found)).load()
    if not callable(algorithm):
        kind = type(algorithm).__name__
        raise ConfigError([f"search.algorithm: {name!r} is a {kind}, expected a function"])
    return _watched(algorithm, name)


def _watched(algorithm: Algorithm, name: str) -> Algorithm:
    def watched(
        members: Sequence[Member],
        space: SearchSpace,
        selection: SelectionRule,
        run_seed: int,
        generation: int,
    ) -> tuple[Birth, ...]:
        births = algorithm(members, space, selection, run_seed, generation)
        sentence = fault(births, members, space)
        if sentence is not None:
            raise BrokenAlgorithm(f"algorithm {name!r}, generation {generation}: {sentence}")
        return births

    return watched
