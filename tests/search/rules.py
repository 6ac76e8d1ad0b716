"""Selection rules for tests, made as a search makes them."""

from __future__ import annotations

from typing import Any

from pbtnas.config import SearchConfig
from pbtnas.search.algorithms import SelectionRule


def selection_rule(population: int, **given: Any) -> SelectionRule:
    """The rule of a configuration that gives these keys and leaves all others at their default."""
    return SearchConfig(population=population, generations=1, epochs=1, **given).selection()
