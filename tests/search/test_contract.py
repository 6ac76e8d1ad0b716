"""The contract of algorithms: ours keep it, and each way of breaking it is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from pbtnas.search import Birth, Member, SearchSpace
from pbtnas.search.algorithms import ALGORITHMS, NoParentsError, SelectionRule, pbtnas
from pbtnas.search.contract import faults

Change = Callable[[Birth, SearchSpace, Sequence[Member]], Birth]


@pytest.mark.parametrize("name", ALGORITHMS)
def test_ours_keep_the_contract(name: str) -> None:
    """What outsiders are held to holds for every algorithm here."""
    assert faults(ALGORITHMS[name]) == []


BROKEN: dict[str, Change] = {
    "fills the slots": lambda b, space, members: replace(b, member=99),
    "the same seed": lambda b, space, members: replace(b, seed=1),
    "no finite score": lambda b, space, members: replace(b, base=-1),
    "has an operator": lambda b, space, members: replace(b, operator="clone"),  # type: ignore[arg-type]
    "has a donor besides": lambda b, space, members: replace(b, operator="renew"),
    "different variables' indices": lambda b, space, members: replace(b, inherited=(99,)),
    "outside of the space": lambda b, space, members: replace(
        b, architecture=(9,) * len(space), inherited=tuple(range(len(space)))
    ),
    "not listed as inherited": lambda b, space, members: replace(b, inherited=()),
    "different ladders' indices": lambda b, space, members: replace(
        b, explored=tuple(i for i, v in enumerate(space) if not v.ordered)
    ),
    "not finite": lambda b, space, members: replace(b, shrink=float("nan")),
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_birth_that_cannot_be_carried_out_is_found(sentence: str) -> None:
    """Slots, seeds, parents, operators, variables and factors are all looked at."""

    def broken(
        members: Sequence[Member],
        space: SearchSpace,
        selection: SelectionRule,
        run_seed: int,
        generation: int,
    ) -> tuple[Birth, ...]:
        births = pbtnas(members, space, selection, run_seed, generation)
        return tuple(BROKEN[sentence](birth, space, members) for birth in births)

    assert any(sentence in found for found in faults(broken))


def test_an_option_that_is_not_the_donors_is_found() -> None:
    """An inherited variable has the donor's option: its weights are of that option."""

    def invents(
        members: Sequence[Member],
        space: SearchSpace,
        selection: SelectionRule,
        run_seed: int,
        generation: int,
    ) -> tuple[Birth, ...]:
        return tuple(
            replace(
                birth,
                inherited=tuple(range(len(space))),
                architecture=tuple(
                    (option + 1) % len(variable.options)
                    for option, variable in zip(birth.architecture, space, strict=True)
                ),
            )
            for birth in pbtnas(members, space, selection, run_seed, generation)
        )

    assert any("another option than its donor" in found for found in faults(invents))


def test_impurity_is_found() -> None:
    """Global random numbers, the order of members, and seeds that repeat."""

    def draws(members, space, selection, run_seed, generation):  # type: ignore[no-untyped-def]
        random.random()
        return pbtnas(members, space, selection, run_seed, generation)

    def ordered(members, space, selection, run_seed, generation):  # type: ignore[no-untyped-def]
        return pbtnas(members, space, selection, members[0].number, generation)

    def repeats(members, space, selection, run_seed, generation):  # type: ignore[no-untyped-def]
        return pbtnas(members, space, selection, 0, 0)

    def gives_up(members, space, selection, run_seed, generation):  # type: ignore[no-untyped-def]
        raise NoParentsError("nobody is good enough")

    assert any("global random numbers" in found for found in faults(draws))
    assert "depends on the order of the members" in faults(ordered)
    assert "gives births of another run or generation the same seed" in faults(repeats)
    assert faults(gives_up) == ["raises NoParentsError though a member has a finite score"]


def test_the_answer_is_a_tuple_of_births() -> None:
    """A list, None or anything else is refused with its type."""
    assert faults(lambda *_: []) == ["returned list, expected a tuple of Birth"]  # type: ignore[arg-type, return-value]
