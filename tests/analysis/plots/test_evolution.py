"""What descends from whom: derived by hand on three members, and in general."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis.plots.evolution import (
    Evolution,
    NothingToShow,
    Standing,
    ancestry,
    best_scores,
    distinct_architectures,
    mean_entropy,
    option_shares,
    origin_shares,
    ranked,
    tree_order,
)
from pbtnas.search.algorithms import random_search
from pbtnas.search.births import Birth
from pbtnas.search.ladders import ladder
from pbtnas.search.space import layer, switch
from tests.analysis.synthetic import evolve

VARIABLES = (layer("op", ("a", "b")), switch("norm", (False, True)), layer("head", ("a", "b")))


def by_hand() -> Evolution:
    """Three members; member 2 is replaced by 0 with the head of 1, then 0 by 2 with its op of 1."""
    first = Birth(2, 0, 1, (1, 2), (0, 1, 1), seed=0, shrink=0.4, perturb=0.1)
    second = Birth(0, 2, 1, (0,), (1, 1, 1), seed=0, shrink=0.4, perturb=0.1)
    return Evolution(
        VARIABLES,
        "score",
        (1, 2, 3),
        (
            (Standing(0, (0, 0, 0), 3.0), Standing(1, (1, 1, 1), 2.0), Standing(2, (0, 1, 0), 1.0)),
            (
                Standing(0, (0, 0, 0), None),
                Standing(1, (1, 1, 1), 4.0),
                Standing(2, (0, 1, 1), 5.0, first),
            ),
            (
                Standing(0, (1, 1, 1), 6.0, second),
                Standing(1, (1, 1, 1), 5.0),
                Standing(2, (0, 1, 1), math.nan),
            ),
        ),
    )


def test_ancestors_are_followed_through_bases():
    """A child's line goes on in its base's slot, and back to generation 0."""
    assert ancestry(by_hand(), 0) == [0, 2, 0]
    assert ancestry(by_hand(), 1) == [1, 1, 1]


def test_layers_are_traced_to_the_member_they_began_in():
    """Inherited layers count for the donor's line, all others for the base's; switches not."""
    shares = origin_shares(by_hand())

    assert shares[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0])
    # Member 2 now has its op from 0 and its head from 1.
    assert shares[1] == pytest.approx([3 / 6, 3 / 6, 0, 0])
    # Member 0 is made of 2, but for its op, which is that of 1.
    assert shares[2] == pytest.approx([1 / 6, 5 / 6, 0, 0])


@pytest.mark.parametrize("change", [{"operator": "renew"}, {"shrink": 0.0}])
def test_layers_that_began_later_have_no_initial_member(change):
    """What a mutation renewed, or lambda 0 reinitialised, is neither the base's nor the donor's."""
    run = by_hand()
    first, second, third = run.generations
    born = [s if s.birth is None else replace(s, birth=replace(s.birth, **change)) for s in second]

    shares = origin_shares(replace(run, generations=(first, tuple(born), third)))

    layers = sum(bool(variable.modules) for variable in VARIABLES)
    renewed = sum(
        bool(VARIABLES[i].modules) for s in born if s.birth for i in s.birth.inherited
    ) / (3 * layers)
    assert renewed > 0
    assert shares[1, 3] == pytest.approx(renewed)


def test_options_and_diversity_are_counted_over_the_living():
    """Shares, entropy and distinct architectures of a generation follow from its members."""
    shares = option_shares(by_hand())

    assert shares[0][:, 0] == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert distinct_architectures(by_hand()) == [3, 3, 2]
    third = -(math.log2(1 / 3) / 3 + 2 * math.log2(2 / 3) / 3)
    assert mean_entropy(by_hand())[2] == pytest.approx(third / 3)


def test_a_variable_of_a_single_option_has_no_diversity():
    """It is left out, so that the diversity of the others is what it would be without it."""
    run = by_hand()
    single = (*VARIABLES, ladder("rate", 0.1, 1.0, steps=1))
    generations = tuple(
        tuple(replace(s, architecture=(*s.architecture, 0)) for s in standings)
        for standings in run.generations
    )
    alone = tuple(
        tuple(replace(s, architecture=(0,), birth=None) for s in standings)
        for standings in run.generations
    )

    with_it = replace(run, variables=single, generations=generations)
    nothing_else = replace(run, variables=single[-1:], generations=alone)

    assert mean_entropy(with_it) == pytest.approx(mean_entropy(run))
    assert list(mean_entropy(nothing_else)) == [0, 0, 0]
    with pytest.raises(NothingToShow, match="no variable of this space has weights"):
        origin_shares(nothing_else)


def test_members_without_a_score_rank_last_and_are_never_best():
    """None and NaN are no scores."""
    assert ranked(by_hand()) == [0, 1, 2]
    assert best_scores(by_hand()) == [3.0, 5.0, 6.0]


@given(st.integers(0, 10_000), st.integers(2, 9))
@settings(deadline=None, max_examples=25)
def test_lines_from_bases_never_cross(seed, members):
    """In tree order, parents of neighbours are in the order of their rows, for any run."""
    run = evolve(seed, members=members, generations=6, failing=0.1)
    orders = tree_order(run)

    for generation in range(1, 6):
        row = {member: i for i, member in enumerate(orders[generation - 1])}
        parents = [row[run.at(generation, m).parent] for m in orders[generation]]
        assert parents == sorted(parents)
        assert sorted(orders[generation]) == list(range(members))


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_shares_are_shares(seed):
    """Origins and options of a generation add up to one; entropy stays between 0 and 1."""
    run = evolve(seed, members=6, generations=6)

    assert np.allclose(origin_shares(run).sum(axis=1), 1)
    assert all(np.allclose(shares.sum(axis=1), 1) for shares in option_shares(run))
    assert ((mean_entropy(run) >= -1e-12) & (mean_entropy(run) <= 1 + 1e-12)).all()


def test_random_search_keeps_every_origin_and_its_diversity():
    """Nobody is replaced, so nothing about the population changes but its scores."""
    run = evolve(3, algorithm=random_search)

    assert np.allclose(origin_shares(run)[:, :12], 1 / 12)
    assert not origin_shares(run)[:, 12].any()
    assert len(set(mean_entropy(run))) == 1


def test_a_variable_with_a_single_option_has_no_diversity():
    """A run of one supernet has such a space: its entropy is 0, without a warning."""
    run = Evolution((layer("part", ("all",)),), "score", (1,), ((Standing(0, (0,), 1.0),),))

    assert mean_entropy(run).tolist() == [0.0]


def test_what_cannot_be_an_evolution_is_refused():
    """No generation, another space and a missing space are said in a sentence."""
    run = by_hand()
    with pytest.raises(ValueError, match="no finished generation"):
        Evolution((), "score", (), ())
    with pytest.raises(ValueError, match="3 choices: it is another space"):
        Evolution(VARIABLES[:2], "score", run.epochs, run.generations)
    unknown = Evolution((), "score", run.epochs, run.generations)
    with pytest.raises(ValueError, match="search space of the run is needed"):
        option_shares(unknown)
    with pytest.raises(KeyError, match="no member 7 in generation 1"):
        run.at(1, 7)
