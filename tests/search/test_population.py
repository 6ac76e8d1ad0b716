"""The stratified start and the ranking."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbtnas.search import Member, SearchSpace, initial_population, ladder, rank, switch
from pbtnas.search.population import every_architecture, usable, with_one_network
from tests.search.strategies import populations, spaces


@given(spaces(), st.integers(2, 40), st.integers())
def test_every_option_has_its_even_share_in_the_first_population(
    space: SearchSpace, size: int, seed: int
) -> None:
    """Per variable each option occurs at least size // options times, so none is forgotten."""
    population = initial_population(space, size, random.Random(seed))

    assert size == len(population)
    for i, variable in enumerate(space):
        column = [architecture[i] for architecture in population]
        share = size // len(variable.options)
        assert all(column.count(option) >= share for option in range(len(variable.options)))
        assert set(column) <= set(range(len(variable.options)))


def test_the_remainder_is_random_and_the_columns_are_shuffled_apart() -> None:
    """Twelve members of ten options: two more at random; equal variables get unequal columns."""
    space = SearchSpace([switch(f"v{i}", tuple(range(10))) for i in range(3)])
    populations = [initial_population(space, 12, random.Random(seed)) for seed in range(200)]

    extra = [sorted(a[0] for a in population) for population in populations]
    assert len({tuple(column) for column in extra}) > 30
    columns = [tuple(a[i] for a in population) for population in populations for i in range(3)]
    assert len(set(columns)) == len(columns)


def test_a_population_has_a_member() -> None:
    """One is enough where nobody is replaced; none is not."""
    space = SearchSpace([switch("v", (0, 1)), switch("w", ("only",))])
    assert len(initial_population(space, 1, random.Random(0))) == 1
    with pytest.raises(ValueError, match="at least 1 member, not 0"):
        initial_population(space, 0, random.Random(0))


def test_every_architecture_is_there_once_by_index() -> None:
    """The last variable changes fastest, as digits of a number do."""
    space = SearchSpace([switch("v", (0, 1)), switch("w", ("only",)), switch("x", tuple("abc"))])
    assert every_architecture(space) == [(v, 0, x) for v in range(2) for x in range(3)]


def test_one_network_may_start_with_all_rungs() -> None:
    """Population Based Training proper: what differs between the members is the ladders only."""
    space = SearchSpace([switch("v", tuple(range(10))), ladder("rate", 0.1, 0.8, steps=4)])
    start = initial_population(space, 8, random.Random(0))
    population = with_one_network(space, start)

    assert {architecture[0] for architecture in population} == {start[0][0]}
    assert [rung for _, rung in population] == [rung for _, rung in start]
    assert sorted(rung for _, rung in population) == [0, 0, 1, 1, 2, 2, 3, 3]


@given(st.data())
def test_ranking_is_by_score_then_number_with_the_unusable_last(data: st.DataObject) -> None:
    """NaN, infinities and None never beat a number, and equal scores are settled by number."""
    members = data.draw(populations(SearchSpace([switch("v", (0, 1))])))

    ranked = rank(members)

    assert sorted(m.number for m in members) == sorted(m.number for m in ranked)
    for better, worse in zip(ranked, ranked[1:], strict=False):
        if usable(worse):
            assert better.score is not None and worse.score is not None
            assert (-better.score, better.number) < (-worse.score, worse.number)
        else:
            assert usable(better) or better.number < worse.number
    assert ranked == rank(data.draw(st.permutations(members)))


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_only_a_finite_score_is_usable(score: float | None) -> None:
    """A diverged or failed member ranks behind the worst finite score."""
    bad, poor = Member(0, (0,), score), Member(1, (0,), -1e300)

    assert not usable(bad)
    assert [poor, bad] == rank([bad, poor])
