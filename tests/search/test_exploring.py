"""Exploring: how ladders move in children, whatever algorithm has decided on them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pbtnas.protocol import generations
from pbtnas.records.schema import birth_from_json, birth_to_json
from pbtnas.search import Birth, Member, SearchSpace, ladder, layer, switch
from pbtnas.search.algorithms import ALGORITHMS, no_mixing, pbtnas
from pbtnas.search.contract import fault
from pbtnas.search.exploring import Exploration, Way, explore
from pbtnas.search.population import usable
from tests.search.lineage import run, search
from tests.search.rules import selection_rule
from tests.search.strategies import populations, spaces

RUNGS, MANY = 21, 2000
SPACE = SearchSpace(
    [
        layer("hidden", ("a", "b", "c")),
        ladder("rate", 1e-4, 1e-2, RUNGS),
        switch("norm", (False, True)),
        ladder("batch", 16, 256, 5, integer=True),
    ]
)
PARENT = (0, 10, 0, 2)

explorations = st.builds(
    Exploration,
    st.sampled_from(["none", "step", "resample"]),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.25, 1.0]),
)


def copy(slot: int, architecture: tuple[int, ...] = PARENT) -> Birth:
    """A child that inherits everything from a member of another slot."""
    return Birth(slot, -1, -1, (), architecture, slot, 1.0, 0.0)


def moves(exploration: Exploration, rung: int = 10, variable: int = 1) -> Counter[int]:
    """How often many children have each rung of a ladder."""
    parent = (*PARENT[:variable], rung, *PARENT[variable + 1 :])
    children = explore([copy(slot, parent) for slot in range(MANY)], SPACE, exploration, 7, 3)
    return Counter(child.architecture[variable] for child in children)


def even(counts: Counter[int], rungs: Collection[int]) -> bool:
    """Whether each of these rungs, and no other, is as frequent as chance allows."""
    expected = sum(counts.values()) / len(rungs)
    return counts.keys() == set(rungs) and all(
        abs(count - expected) < 5 * expected**0.5 for count in counts.values()
    )


def test_a_step_is_one_rung_up_or_down() -> None:
    """With rungs a factor 1.25 apart this is Population Based Training's 0.8 or 1.25."""
    assert even(moves(Exploration("step", 1, 0.0)), {9, 11})


def test_longer_steps_are_all_as_likely() -> None:
    """1 to `explore_rungs` rungs, up and down, each with the same chance."""
    assert even(moves(Exploration("step", 3, 0.0)), {7, 8, 9, 11, 12, 13})


def test_the_ends_hold_a_step() -> None:
    """A ladder at its end stays there for half of all steps, and never leaves its range."""
    for end, beside in ((0, 1), (RUNGS - 1, RUNGS - 2)):
        assert even(moves(Exploration("step", 1, 0.0), rung=end), {end, beside})


@pytest.mark.parametrize("way", ["step", "resample"])
def test_a_resampled_ladder_has_any_rung(way: Way) -> None:
    """With probability 1 every rung is as likely, wherever the parent was."""
    always = Exploration(way, 1, 1.0)

    assert even(moves(always, rung=0), range(RUNGS))
    assert even(moves(always, 0, variable=3), range(5))


def test_what_is_not_resampled_steps_or_stays() -> None:
    """`resample_probability` is the share of jumps: `step` steps otherwise, `resample` stays."""
    stays = moves(Exploration("resample", 1, 0.25))
    steps = moves(Exploration("step", 1, 0.25))
    jumps = MANY / 4

    for unmoved, elsewhere in ((stays[10], RUNGS - 1), (steps[9] + steps[11], RUNGS - 2)):
        assert abs(unmoved - (MANY - jumps * elsewhere / RUNGS)) < 5 * (0.25 * MANY) ** 0.5


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Member], SearchSpace, Exploration, str, int]:
    space = draw(spaces())
    members = draw(populations(space))
    assume(any(map(usable, members)))
    return members, space, draw(explorations), draw(st.sampled_from(list(ALGORITHMS))), draw(seeds)


seeds = st.integers(0, 99)


@given(situations())
@settings(max_examples=60)
def test_only_ladders_of_children_move_and_every_algorithm_keeps_its_contract(
    situation: tuple[list[Member], SearchSpace, Exploration, str, int],
) -> None:
    """All else is as the algorithm decided; what moved is named, and fits the contract."""
    members, space, exploration, algorithm, seed = situation
    decided = ALGORITHMS[algorithm](members, space, selection_rule(len(members)), seed, 2)
    explored = explore(decided, space, exploration, seed, 2)

    assert fault(explored, members, space) is None
    for before, after in zip(decided, explored, strict=True):
        moved = [i for i in range(len(space)) if before.architecture[i] != after.architecture[i]]
        assert replace(after, architecture=before.architecture, explored=()) == before
        assert list(after.explored) == moved
        assert set(moved) <= set(space.ladders)
        if exploration.way == "none" or before.member == before.base == before.donor:
            assert after == before
        assert birth_from_json(birth_to_json(after)) == after
        assert ("explored" in birth_to_json(after)) == bool(moved)


@given(explorations, st.randoms(use_true_random=False), seeds)
def test_a_childs_moves_depend_on_its_slot_alone(
    exploration: Exploration, rng: random.Random, seed: int
) -> None:
    """Whatever the order of births, and whoever else is born: the same draws for the same slot."""
    births = [copy(slot) for slot in range(8)]
    shuffled = rng.sample(births, 5)
    all_of_them = explore(births, SPACE, exploration, seed, 1)

    assert explore(shuffled, SPACE, exploration, seed, 1) == tuple(
        all_of_them[birth.member] for birth in shuffled
    )


def test_every_generation_slot_and_run_has_draws_of_its_own() -> None:
    """Children of one parent spread; those of neighbouring seeds or generations do so otherwise."""
    wide = Exploration("resample", 1, 1.0)
    seen = {
        tuple(b.architecture for b in explore([copy(i) for i in range(8)], SPACE, wide, *where))
        for where in ((1, 1), (1, 2), (2, 1))
    }

    assert len(seen) == 3
    assert all(len(set(architectures)) > 1 for architectures in seen)


def test_survivors_never_change() -> None:
    """A member that goes on in its own slot keeps its rungs, shrink-perturbed or not."""
    wide = Exploration("resample", 1, 1.0)
    members = [Member(i, PARENT, float(-i)) for i in range(4)]
    goes_on = ALGORITHMS["random-search-shrink-perturb"](members, SPACE, selection_rule(4), 1, 1)
    itself = replace(copy(1), base=1, donor=1)

    assert len(goes_on) == 4
    assert explore((*goes_on, itself), SPACE, wide, 1, 1) == (*goes_on, itself)
    assert explore([replace(itself, donor=2)], SPACE, wide, 1, 1)[0].explored


def test_a_copy_of_a_good_member_explores() -> None:
    """No mixing and no mutation: the child of one parent differs from it by its rungs."""
    members = [Member(i, PARENT, float(-i)) for i in range(8)]
    births = no_mixing(members, SPACE, selection_rule(8), 1, 1)
    moved = explore(births, SPACE, Exploration("step", 1, 0.0), 1, 1)

    assert [b.explored for b in moved] == [(1, 3)] * len(births) and births


def test_the_engine_explores_for_any_algorithm_and_changes_no_other_draw() -> None:
    """A search with ladders decides on parents and options as it would without exploring."""
    still = replace(search(pbtnas), space=SPACE)
    moving = replace(still, exploration=Exploration("step", 2, 0.25))
    (manifest, before), (_, after) = next(run(still)), next(run(moving))

    assert [replace(b, explored=(), architecture=()) for b in after.births] == [
        replace(b, architecture=()) for b in before.births
    ]
    assert any(b.explored for b in after.births)
    births = {birth.member: birth for birth in after.births}
    following = list(run(moving))[1][0]
    for job in following.jobs:
        born = births.get(job.member)
        expected = manifest.job(job.member) if born is None else born
        assert job.architecture == expected.architecture


def test_a_space_without_ladders_is_never_explored() -> None:
    """Runs of before ladders have the same births, whatever the configuration says."""
    plain = search(pbtnas)
    moving = replace(plain, exploration=Exploration("resample", 3, 1.0))

    assert [generations.fingerprint(s) for _, s in run(moving)] == [
        generations.fingerprint(s) for _, s in run(plain)
    ]
