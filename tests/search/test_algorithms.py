"""Algorithms: the contract of all, what each one promises, and a stored lineage of each."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pbtnas.search import Birth, Member, SearchSpace, layer, rank, switch
from pbtnas.search.algorithms import (
    ALGORITHMS,
    Algorithm,
    NoParentsError,
    SelectionRule,
    no_mixing,
    pbtnas,
    random_search,
    random_search_shrink_perturb,
    replaced_slots,
    searl,
    weighted_sum,
)
from pbtnas.search.population import usable
from tests.search.lineage import STORED, trace
from tests.search.rules import selection_rule
from tests.search.strategies import populations, spaces

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS.values(), ids=list(ALGORITHMS))
every_replacing = pytest.mark.parametrize("algorithm", [pbtnas, no_mixing, searl])

WIDE = SearchSpace([layer(f"net.c{i}", ("a", "b", "c")) for i in range(40)])


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Member], SearchSpace, SelectionRule]:
    """A population with somebody usable in it, its space, and counts that fit its size."""
    space = draw(spaces())
    members = draw(populations(space))
    assume(any(map(usable, members)))
    selection = selection_rule(
        len(members),
        tau=draw(st.floats(0, 0.5)),
        inherit_probability=draw(st.sampled_from([0.0, 0.25, 1.0])),
        mutated_networks=draw(st.sampled_from([(), ("net.part0",)])),
    )
    return members, space, selection


def field(count: int, space: SearchSpace = WIDE) -> list[Member]:
    """So many members of different architectures, the best first."""
    rng = random.Random(0)
    return [Member(i, space.sample(rng), float(-i)) for i in range(count)]


def many_births(algorithm: Algorithm, selection: SelectionRule, rounds: int = 500) -> list[Birth]:
    """The births of many generations of 24 members that never change."""
    members = field(24)
    return [b for g in range(rounds) for b in algorithm(members, WIDE, selection, 1, g)]


def best(members: Sequence[Member], selection: SelectionRule) -> list[int]:
    """Numbers of those that may become parents, best first."""
    return [m.number for m in rank(members) if usable(m)][: selection.parents]


# ---- the contract of every algorithm ---------------------------------------------------------


@every_algorithm
@settings(max_examples=40)
@given(situations(), st.integers(), st.integers(0, 99))
def test_births_fill_different_slots_from_usable_parents(
    algorithm: Algorithm,
    situation: tuple[list[Member], SearchSpace, SelectionRule],
    seed: int,
    generation: int,
) -> None:
    """At most one birth a slot, in order; parents have checkpoints; children are in the space,
    and differ from their base only in the variables that the birth lists."""
    members, space, selection = situation
    by_number = {m.number: m for m in members}

    births = algorithm(members, space, selection, seed, generation)

    slots = [birth.member for birth in births]
    assert sorted(set(slots)) == slots and set(slots) <= set(by_number)
    assert len({birth.seed for birth in births}) == len(births)
    for birth in births:
        base = by_number[birth.base]
        assert usable(base) and usable(by_number[birth.donor])
        assert birth.operator == "mix" or birth.donor == birth.base
        space.check(birth.architecture)
        assert sorted(set(birth.inherited)) == list(birth.inherited)
        for i in set(range(len(space))) - set(birth.inherited):
            assert birth.architecture[i] == base.architecture[i]


@every_algorithm
@settings(max_examples=40)
@given(st.data(), situations())
def test_the_order_of_members_changes_nothing(
    algorithm: Algorithm,
    data: st.DataObject,
    situation: tuple[list[Member], SearchSpace, SelectionRule],
) -> None:
    """An algorithm is a pure function of the set of members, not of the order they came in."""
    members, space, selection = situation
    shuffled = data.draw(st.permutations(members))

    births = algorithm(members, space, selection, 5, 2)

    assert births == algorithm(shuffled, space, selection, 5, 2)


@every_algorithm
def test_generations_and_runs_draw_anew(algorithm: Algorithm) -> None:
    """Another generation or another run seed leads to other births, wherever there are any."""
    members, selection = field(24), selection_rule(24)

    births = {algorithm(members, WIDE, selection, s, g) for s in (1, 2) for g in (1, 2)}

    assert len(births) == (1 if algorithm is random_search else 4)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_lineage_is_the_stored_one(name: str) -> None:
    """Births and survivors of a whole search are pinned, to the last seed.

    After a change that is meant: `python -m tests.search.lineage`.
    """
    stored = json.loads(STORED.read_text())
    # With a single objective there is nothing to sum.
    assert stored["pbt-nas" if name == "weighted-sum" else name] == trace(ALGORITHMS[name])


# ---- who is replaced, and by whose children --------------------------------------------------


@given(st.integers(2, 60), st.floats(0, 0.5))
def test_counts_follow_tau(population: int, tau: float) -> None:
    """Worst and best are the same share of the population, but there are always two parents."""
    selection = selection_rule(population, tau=tau)

    assert abs(selection.replaced - tau * population) <= 0.5
    assert selection.parents == max(2, selection.replaced) <= population


@pytest.mark.parametrize(("population", "count"), [(6, 2), (12, 3), (18, 4), (24, 6), (36, 9)])
def test_counts_of_the_paper(population: int, count: int) -> None:
    """The populations of the paper have the numbers of children its code had."""
    selection = selection_rule(population)

    assert (count, count) == (selection.parents, selection.replaced)


def test_exact_counts_take_precedence() -> None:
    """Given counts are used as they are."""
    selection = selection_rule(24, tau=0.25, parents=3, replaced=0)

    assert (3, 0) == (selection.parents, selection.replaced)


@every_replacing
@settings(max_examples=40)
@given(situations())
def test_the_worst_and_all_failed_are_replaced_by_children_of_the_best(
    algorithm: Algorithm, situation: tuple[list[Member], SearchSpace, SelectionRule]
) -> None:
    """Sizes are exact; who failed is always replaced, even beyond the share, never a parent."""
    members, space, selection = situation
    failed = {m.number for m in members if not usable(m)}

    births = algorithm(members, space, selection, 5, 2)

    worst = [m.number for m in rank(members)][::-1][: len(births)]
    assert len(births) == max(selection.replaced, len(failed))
    assert sorted(worst) == [b.member for b in births] == replaced_slots(rank(members), len(births))
    assert failed <= set(worst)
    assert {b.base for b in births} | {b.donor for b in births} <= set(best(members, selection))


@every_replacing
def test_nobody_left_is_an_error(algorithm: Algorithm) -> None:
    """A generation without a finite score has no parents, and says which it was."""
    members = [Member(i, (0,) * 40, score) for i, score in enumerate([None, float("nan")])]

    with pytest.raises(NoParentsError, match="all 2 members of generation 3 failed"):
        algorithm(members, WIDE, selection_rule(2), 5, 3)


# ---- PBT-NAS ---------------------------------------------------------------------------------


@given(situations(), st.integers())
def test_pbtnas_crosses_two_distinct_parents_and_keeps_the_better_one(
    situation: tuple[list[Member], SearchSpace, SelectionRule], seed: int
) -> None:
    """Base before donor in rank; the child is the base with the donor's inherited options."""
    members, space, selection = situation
    by_number = {m.number: m for m in members}
    parents = best(members, selection)

    for birth in pbtnas(members, space, selection, seed, 0):
        if len(parents) == 1:
            assert birth.base == birth.donor
        else:
            assert parents.index(birth.base) < parents.index(birth.donor)
        for i in birth.inherited:
            assert birth.architecture[i] == by_number[birth.donor].architecture[i]
        if selection.inherit_probability in (0, 1):
            assert len(birth.inherited) == selection.inherit_probability * len(space)
        assert ("mix", 0.4, 0.1) == (birth.operator, birth.shrink, birth.perturb)


@pytest.mark.parametrize("algorithm", [pbtnas, no_mixing])
def test_the_expected_share_of_variables_is_inherited(algorithm: Algorithm) -> None:
    """A quarter of 120,000 draws, within five sigma, and each variable as often as any other."""
    births = many_births(algorithm, selection_rule(24))
    counted = Counter(i for birth in births for i in birth.inherited)

    assert 3000 == len(births)
    assert abs(counted.total() / (3000 * len(WIDE)) - 0.25) < 0.00625
    assert all(abs(counted[i] / 3000 - 0.25) < 0.04 for i in range(len(WIDE)))


def test_pairs_of_parents_are_uniform() -> None:
    """Each of the fifteen pairs of six parents is as likely, within five sigma."""
    pairs = Counter((b.base, b.donor) for b in many_births(pbtnas, selection_rule(24)))

    assert pairs.keys() == {(i, j) for j in range(6) for i in range(j)}
    assert all(abs(count - 200) < 69 for count in pairs.values())


def test_shrink_perturb_is_passed_on() -> None:
    """Copy exactly and reinitialise are settings: the births carry them."""
    births = pbtnas(field(4), WIDE, selection_rule(4, shrink=1.0, perturb=0.0), 1, 1)

    assert [(1.0, 0.0)] == [(birth.shrink, birth.perturb) for birth in births]


# ---- baselines and ablations -----------------------------------------------------------------


def test_no_mixing_clones_any_of_the_best() -> None:
    """Parent and architecture are one member's; each of six is as likely, within five sigma."""
    members, births = field(24), many_births(no_mixing, selection_rule(24))
    bases = Counter(birth.base for birth in births)

    assert all(birth.base == birth.donor and birth.operator == "mix" for birth in births)
    assert all(birth.architecture == members[birth.base].architecture for birth in births)
    assert all(abs(bases[i] - 500) < 103 for i in range(6))


def test_searl_mutates_nothing_weights_or_architecture_alike() -> None:
    """Each kind is a third of 3,000 births; the better of two parents makes the best likelier."""
    births = many_births(searl, selection_rule(24, mutated_networks=("actor",)))
    kinds = Counter(birth.operator for birth in births)
    bases = Counter(birth.base for birth in births)

    assert {"mix", "mutate", "renew"} == kinds.keys()
    assert all(abs(count - 1000) < 130 for count in kinds.values())
    assert [True] * 5 == [abs(bases[i] - (5 - i) * 200) < 130 for i in range(5)]
    assert all(
        birth.networks == (("actor",) if birth.operator == "mutate" else ()) for birth in births
    )


def test_searl_changes_one_variable_to_another_option_of_it() -> None:
    """An architecture mutation is never the old architecture; variable and option are uniform."""
    members, changes = field(24), Counter[tuple[int, int]]()
    for birth in many_births(searl, selection_rule(24), rounds=2000):
        base = members[birth.base].architecture
        changed = tuple(i for i in range(len(WIDE)) if birth.architecture[i] != base[i])
        assert changed == birth.inherited
        assert (birth.operator == "renew") == (len(changed) == 1)
        for i in changed:
            changes[i, (birth.architecture[i] - base[i]) % 3] += 1

    assert changes.keys() == {(i, step) for i in range(len(WIDE)) for step in (1, 2)}
    assert all(abs(count - changes.total() / 80) < 37 for count in changes.values())


def test_searl_can_change_a_switch() -> None:
    """A variable without modules mutates like any other."""
    space = SearchSpace([switch("norm", (False, True))])
    members = [Member(i, (0,), float(i)) for i in range(8)]

    births = [b for g in range(30) for b in searl(members, space, selection_rule(8), 1, g)]

    assert {(0,), (1,)} == {birth.architecture for birth in births}


def test_searl_leaves_a_variable_with_a_single_option() -> None:
    """Another variable changes instead; where there is none, the copy stays as it is."""
    fixed = layer("only", ("conv",))
    for space in (SearchSpace([fixed]), SearchSpace([fixed, switch("norm", (False, True))])):
        members = [Member(i, (0,) * len(space), float(i)) for i in range(8)]
        births = [b for g in range(30) for b in searl(members, space, selection_rule(8), 1, g)]
        changed = {index for birth in births for index in birth.inherited}
        assert changed == set(range(1, len(space)))


@given(situations())
def test_random_search_replaces_nobody(
    situation: tuple[list[Member], SearchSpace, SelectionRule],
) -> None:
    """Every member goes on as it is; with shrink-perturb, every usable one as its own child."""
    members, space, selection = situation

    births = random_search_shrink_perturb(members, space, selection, 5, 2)

    assert () == random_search(members, space, selection, 5, 2)
    assert [b.member for b in births] == sorted(m.number for m in members if usable(m))
    for birth in births:
        assert birth.member == birth.base and birth.inherited == ()
        assert ("perturb", 0.4, 0.1) == (birth.operator, birth.shrink, birth.perturb)


def test_the_weighted_sum_counts_each_objective_by_its_range() -> None:
    """A member in the middle of both beats the extremes of either, whatever their units; with a
    single objective it decides as PBT-NAS does."""
    points = [(0.0, -1000.0), (0.7, -4000.0), (1.0, -11000.0), (0.1, -9000.0)]
    members = [Member(i, (0,), p[0], p) for i, p in enumerate(points)]
    space = SearchSpace([switch("v", (0, 1))])
    rule = selection_rule(4, replaced=1, parents=1)

    (birth,) = weighted_sum(members, space, rule, 1, 0)
    assert (birth.member, birth.base) == (3, 1)
    (rescaled,) = weighted_sum(
        [replace(m, objectives=(m.objectives[0], 9 * m.objectives[1])) for m in members],
        space,
        rule,
        1,
        0,
    )
    assert rescaled == birth
    single = [replace(member, objectives=()) for member in members]
    assert weighted_sum(single, space, rule, 1, 0) == pbtnas(single, space, rule, 1, 0)
