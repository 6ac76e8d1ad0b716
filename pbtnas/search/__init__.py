"""Search spaces and algorithms: pure functions over data."""

from pbtnas.search.births import Birth
from pbtnas.search.ladders import ladder
from pbtnas.search.population import Member, initial_population, rank
from pbtnas.search.space import Architecture, SearchSpace, Variable, layer, switch

__all__ = [
    "Architecture",
    "Birth",
    "Member",
    "SearchSpace",
    "Variable",
    "initial_population",
    "ladder",
    "layer",
    "rank",
    "switch",
]
