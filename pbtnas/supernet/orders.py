"""Which subnet a mini-batch trains: pure functions of the step.

Steps are counted from the first mini-batch of the supernet on, so that a period runs on over the
ends of epochs and of jobs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from pbtnas.search.seeding import stream

Order = Literal["cycle", "permuted", "reshuffled", "uniform"]


def subnet_at(order: Order, step: int, count: int, seed: int) -> int:
    """The index of the subnet that a step trains.

    Args:
        order: cycle goes through all subnets in order, again and again; permuted through one
            permutation; reshuffled through a new permutation every time; uniform draws each.
        step: steps of the supernet before this one.
        count: number of subnets.
        seed: what permutations and draws derive from.
    """
    turn, place = divmod(step, count)
    match order:
        case "cycle":
            return place
        case "permuted":
            return _permutation(count, seed, 0)[place]
        case "reshuffled":
            return _permutation(count, seed, turn)[place]
        case "uniform":
            return stream(seed, "subnet", step).randrange(count)


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, turn: int) -> tuple[int, ...]:
    places = list(range(count))
    stream(seed, "order of subnets", turn).shuffle(places)
    return tuple(places)
