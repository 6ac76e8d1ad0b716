"""Which subnet a step trains, and the rate it trains with."""

from __future__ import annotations

import pytest

from pbtnas.supernet.orders import Order, subnet_at
from pbtnas.supernet.schedule import Cosine


def steps(order: Order, count: int, seed: int = 0, *, begin: int = 0) -> list[int]:
    """The subnets of three periods of five."""
    return [subnet_at(order, begin + step, 5, seed) for step in range(count)]


def test_a_cycle_runs_on() -> None:
    """The period goes on over the ends of epochs and jobs: it knows the step alone."""
    assert steps("cycle", 12) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert steps("cycle", 3, begin=196) == [1, 2, 3]


def test_a_permutation_is_repeated_or_drawn_anew() -> None:
    """Each period has every subnet once: in the same order, or in another each time."""
    permuted, reshuffled = steps("permuted", 500), steps("reshuffled", 500)
    periods = [[found[i : i + 5] for i in range(0, 500, 5)] for found in (permuted, reshuffled)]

    assert all(sorted(period) == [0, 1, 2, 3, 4] for each in periods for period in each)
    assert len({tuple(period) for period in periods[0]}) == 1
    assert len({tuple(period) for period in periods[1]}) > 50


@pytest.mark.parametrize("order", ["permuted", "reshuffled", "uniform"])
def test_orders_are_functions_of_their_seed(order: Order) -> None:
    """The same seed gives the same order from any step on, another seed another."""
    assert steps(order, 40)[17:] == steps(order, 23, begin=17)
    assert steps(order, 40) != steps(order, 40, seed=1)


def test_uniform_draws_forget() -> None:
    """A period has some subnets twice and others never, each as often in the long run."""
    drawn = steps("uniform", 5000)

    assert any(len(set(drawn[i : i + 5])) < 5 for i in range(0, 100, 5))
    assert all(900 < drawn.count(subnet) < 1100 for subnet in range(5))


def test_the_rate_falls_by_epoch_or_by_step() -> None:
    """From the highest to nearly the lowest, held during an epoch if it is to be."""
    by_epoch, by_step = Cosine(40, 0.2, 0.0, held=10), Cosine(40, 0.2, 0.0)

    assert [by_epoch.rate(step) for step in (0, 9, 20, 29)] == pytest.approx([0.2, 0.2, 0.1, 0.1])
    assert by_step.rate(0) == 0.2
    assert by_step.rate(20) == pytest.approx(0.1)
    assert by_step.rate(39) < by_step.rate(38)
    assert by_step.rate(41) == by_step.rate(40) == pytest.approx(0)
