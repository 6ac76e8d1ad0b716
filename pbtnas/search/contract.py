"""Checks the contract of an algorithm with the engine on made-up populations.

`fault` judges one answer, so that a broken one is never published; `faults` tries an algorithm
out, and belongs into the tests of everybody who writes one:

    def test_the_contract():
        assert faults(my_algorithm) == []
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from typing import get_args

from pbtnas.search.algorithms import Algorithm, NoParentsError, SelectionRule
from pbtnas.search.births import Birth, Operator
from pbtnas.search.population import Member, usable
from pbtnas.search.space import SearchSpace, Variable


def fault(births: object, members: Sequence[Member], space: SearchSpace) -> str | None:
    """What is wrong with the births of one generation, as a sentence; None if nothing is."""
    if not isinstance(births, tuple) or not all(isinstance(b, Birth) for b in births):
        return f"returned {type(births).__name__}, expected a tuple of Birth"
    slots = [birth.member for birth in births]
    numbers = {member.number for member in members}
    if slots != sorted(set(slots)) or not numbers.issuperset(slots):
        return f"fills the slots {slots}, expected different ones of {sorted(numbers)}, ascending"
    if len({birth.seed for birth in births}) < len(births):
        return "gives two births the same seed"
    parents = {member.number: member for member in members if usable(member)}
    return next(filter(None, (_fault_of(birth, parents, space) for birth in births)), None)


def faults(algorithm: Algorithm, *, situations: int = 100) -> list[str]:
    """Everything found wrong with an algorithm, a sentence each; the same for every call.

    It meets populations of 2 to 30 members, ties, NaN and missing scores, and must be a pure
    function of its arguments that draws from streams of its own.
    """
    found: dict[str, None] = {}
    for number in range(situations):
        members, space, selection = _situation(random.Random(number))
        for sentence in _tried(algorithm, members, space, selection, number):
            found.setdefault(sentence)
    return list(found)


def _fault_of(birth: Birth, parents: dict[int, Member], space: SearchSpace) -> str | None:
    if birth.base not in parents or birth.donor not in parents:
        return f"has parents {birth.base} and {birth.donor}, one of which has no finite score"
    base, donor = parents[birth.base].architecture, parents[birth.donor].architecture
    if birth.operator not in get_args(Operator):
        return f"has an operator {birth.operator!r}, expected {', '.join(get_args(Operator))}"
    if birth.operator != "mix" and birth.donor != birth.base:
        return f"has a donor besides its base, though {birth.operator!r} starts from the base alone"
    listed = birth.inherited
    if list(listed) != sorted(set(listed)) or not set(range(len(space))).issuperset(listed):
        return f"inherits {list(listed)}, expected different variables' indices, ascending"
    try:
        space.check(birth.architecture)
    except ValueError as error:
        return f"has an architecture outside of the space: {error}"
    moved = birth.explored
    if list(moved) != sorted(set(moved)) or not set(space.ladders).issuperset(moved):
        return f"explores {list(moved)}, expected different ladders' indices, ascending"
    for i, option in enumerate(birth.architecture):
        if i in moved:
            continue  # a ladder owns no modules: any rung fits the weights
        if i not in listed and option != base[i]:
            return "differs from its base in a variable that is not listed as inherited"
        if i in listed and birth.operator == "mix" and option != donor[i]:
            return "has another option than its donor in a variable inherited from it"
    if not all(math.isfinite(factor) for factor in (birth.shrink, birth.perturb)):
        return "has a shrink or perturb that is not finite"
    return None


def _tried(
    algorithm: Algorithm,
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    seed: int,
) -> Iterator[str]:
    """What is wrong in one situation."""
    before = random.getstate()
    try:
        births = algorithm(members, space, selection, seed, 3)
    except NoParentsError:
        if any(map(usable, members)):
            yield "raises NoParentsError though a member has a finite score"
        return
    sentence = fault(births, members, space)
    if sentence is not None:
        yield sentence
        return
    if random.getstate() != before:
        yield "draws from the global random numbers instead of a stream of its own"
    if algorithm(members, space, selection, seed, 3) != births:
        yield "answers the same question differently the second time"
    if algorithm(members[::-1], space, selection, seed, 3) != births:
        yield "depends on the order of the members"
    for other in ((seed + 1, 3), (seed, 4)):
        again = algorithm(members, space, selection, *other)
        if {b.seed for b in births} & {b.seed for b in again}:
            yield "gives births of another run or generation the same seed"


def _situation(rng: random.Random) -> tuple[list[Member], SearchSpace, SelectionRule]:
    space = SearchSpace(
        [
            Variable(f"v{i}", (1, 2, 3), ordered=True)
            if i % 4 == 2
            else Variable(f"v{i}", ("a", "b", "c")[: rng.randint(2, 3)], (f"net.{i}",) * (i % 2))
            for i in range(rng.randint(1, 8))
        ]
    )
    scores = (None, math.nan, -math.inf, 0.0, 1.0, *(rng.gauss(0, 1) for _ in range(5)))
    usual = rng.random() < 0.5
    members = [
        Member(i, space.sample(rng), rng.gauss(0, 1) if usual else rng.choice(scores))
        for i in range(rng.randint(2, 30))
    ]
    rng.shuffle(members)
    replaced = round(rng.uniform(0, 0.5) * len(members))
    selection = SelectionRule(
        parents=max(2, replaced),
        replaced=replaced,
        inherit_probability=0.5,
        shrink=0.5,
        perturb=0.5,
        mutated_networks=(),
    )
    return members, space, selection
