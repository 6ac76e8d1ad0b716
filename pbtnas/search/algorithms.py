"""Algorithms: pure functions from a ranked generation to births.

An algorithm decides; it never touches weights.  PBT-NAS and its baselines differ in one
small function each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pbtnas.errors import PbtnasError
from pbtnas.search.births import Birth
from pbtnas.search.population import Member, rank, usable
from pbtnas.search.seeding import derive, stream
from pbtnas.search.space import Architecture, SearchSpace


@dataclass(frozen=True)
class SelectionRule:
    """The constants of selection and mixing (paper section 4).

    `SearchConfig.selection` makes it; the defaults stand there.

    Args:
        parents: Number of the best members that may become parents.
        replaced: Number of the worst members that are replaced.
        inherit_probability: Probability that a variable is taken from the donor.
        shrink: Lambda of shrink-perturb.
        perturb: Gamma of shrink-perturb.
        mutated_networks: Dotted paths of the networks whose weights SEARL-like mutation may
            change; () for all.
    """

    parents: int
    replaced: int
    inherit_probability: float
    shrink: float
    perturb: float
    mutated_networks: tuple[str, ...]


Algorithm = Callable[[Sequence[Member], SearchSpace, SelectionRule, int, int], tuple[Birth, ...]]
"""(members, space, selection, run seed, generation) -> births, at most one a slot."""


class NoParentsError(PbtnasError, RuntimeError):
    """Every member diverged or failed: there is nothing to continue from."""


def pbtnas(
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """PBT-NAS: replace the worst by layer-wise mixes of two of the best (Algorithms 1 and 2).

    Members without a finite score are replaced even when they are more than
    `selection.replaced`, and never become parents.  With a single usable member it is both
    base and donor: its children differ by what is shrink-perturbed.

    The ablations "copy exactly" and "reinitialise" are this with shrink 1 and perturb 0, and
    with shrink 0 and perturb 1.

    Raises `NoParentsError` when no member is usable.
    """
    births = []
    for vacancy in _vacancies(members, selection, run_seed, generation):
        base, donor = _two_parents(vacancy)
        births.append(_mixed(vacancy, base, donor, space, selection))
    return tuple(births)


def no_mixing(
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """Ablation: each of the worst is replaced by one of the best, mixed with itself.

    The architecture stays; the modules of the drawn variables are shrink-perturbed all the
    same.  The parent is any of the best with equal chance, not the better of two.

    Raises `NoParentsError` when no member is usable.
    """
    births = []
    for vacancy in _vacancies(members, selection, run_seed, generation):
        parent = vacancy.rng.choice(vacancy.best)
        births.append(_mixed(vacancy, parent, parent, space, selection))
    return tuple(births)


def searl(
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """SEARL-like mutation: each of the worst is replaced by a mutated copy of a good member.

    The parent is the better of two of the best.  With equal chance nothing, the weights or
    the architecture mutates: one variable, each as likely, takes one of its other options and
    its modules begin fresh.

    Raises `NoParentsError` when no member is usable.
    """
    births = []
    for vacancy in _vacancies(members, selection, run_seed, generation):
        base, _ = _two_parents(vacancy)
        kind = vacancy.rng.choice(("nothing", "weights", "architecture"))
        birth = _copy(vacancy.slot, base, vacancy.seed)
        if kind == "weights":
            birth = replace(birth, operator="mutate", networks=selection.mutated_networks)
        elif kind == "architecture":
            birth = _renewed(birth, space, vacancy.rng)
        births.append(birth)
    return tuple(births)


def weighted_sum(
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """Baseline for several objectives: PBT-NAS by their sum instead of by fronts.

    Each objective counts in units of its range in this generation, and all count alike.  With a
    single objective it is PBT-NAS.

    Raises `NoParentsError` when no member is usable.
    """
    return pbtnas(_summed(members), space, selection, run_seed, generation)


def random_search(
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """Random search: the initial population is trained to the end, nobody is replaced."""
    return ()


def random_search_shrink_perturb(
    members: Sequence[Member],
    space: SearchSpace,
    selection: SelectionRule,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """Ablation: random search, with every member shrink-perturbed between generations.

    Nobody is replaced: a member without a finite score is left out from there on.
    """
    births = []
    for member in sorted(filter(usable, members), key=lambda m: m.number):
        copy = _copy(member.number, member, derive(run_seed, "birth", generation, member.number))
        births.append(
            replace(copy, operator="perturb", shrink=selection.shrink, perturb=selection.perturb)
        )
    return tuple(births)


ALGORITHMS: dict[str, Algorithm] = {
    "pbt-nas": pbtnas,
    "random-search": random_search,
    "searl": searl,
    "no-mixing": no_mixing,
    "random-search-shrink-perturb": random_search_shrink_perturb,
    "weighted-sum": weighted_sum,
}

REPLACING_NOBODY = frozenset({"random-search", "random-search-shrink-perturb"})
"""Those that make nobody a parent of somebody else: a single member can go on alone."""


def replaced_slots(ranked: Sequence[Member], replaced: int) -> list[int]:
    """Numbers of the members to be replaced, ascending: the worst, and all unusable ones."""
    failed = sum(not usable(m) for m in ranked)
    return sorted(m.number for m in ranked[len(ranked) - max(replaced, failed) :])


@dataclass(frozen=True)
class _Vacancy:
    """A slot to fill: candidate parents (best first), random stream and seed."""

    slot: int
    best: Sequence[Member]
    rng: random.Random
    seed: int


def _vacancies(
    members: Sequence[Member], selection: SelectionRule, run_seed: int, generation: int
) -> Iterator[_Vacancy]:
    ranked = rank(members)
    best = [m for m in ranked if usable(m)][: selection.parents]
    if not best:
        raise NoParentsError(f"all {len(ranked)} members of generation {generation} failed")
    for slot in replaced_slots(ranked, selection.replaced):
        rng = stream(run_seed, "mix", generation, slot)
        yield _Vacancy(slot, best, rng, derive(run_seed, "birth", generation, slot))


def _summed(members: Sequence[Member]) -> list[Member]:
    """The members with the sum of their objectives as their only one."""
    points = [member.objectives for member in members if usable(member)]
    columns = list(zip(*points, strict=True))
    lows = [min(column) for column in columns]
    ranges = [max(column) - low for column, low in zip(columns, lows, strict=True)]
    return [
        replace(member, score=_sum(member.objectives, lows, ranges), objectives=())
        if usable(member) and member.objectives
        else member
        for member in members
    ]


def _sum(point: Sequence[float], lows: Sequence[float], ranges: Sequence[float]) -> float:
    """An objective in which all members are equal adds nothing."""
    return sum(
        (value - low) / width
        for value, low, width in zip(point, lows, ranges, strict=True)
        if width
    )


def _two_parents(vacancy: _Vacancy) -> tuple[Member, Member]:
    """Draw two distinct parents, the better one first; a single candidate is both."""
    best = vacancy.best
    if len(best) == 1:
        return best[0], best[0]
    i, j = sorted(vacancy.rng.sample(range(len(best)), 2))
    return best[i], best[j]


def _mixed(
    vacancy: _Vacancy, base: Member, donor: Member, space: SearchSpace, selection: SelectionRule
) -> Birth:
    chance, rng = selection.inherit_probability, vacancy.rng
    inherited = tuple(i for i in range(len(space)) if rng.random() < chance)
    return Birth(
        member=vacancy.slot,
        base=base.number,
        donor=donor.number,
        inherited=inherited,
        architecture=_with(base.architecture, {i: donor.architecture[i] for i in inherited}),
        seed=vacancy.seed,
        shrink=selection.shrink,
        perturb=selection.perturb,
    )


def _copy(slot: int, parent: Member, seed: int) -> Birth:
    """A birth that copies the parent."""
    number = parent.number
    return Birth(slot, number, number, (), parent.architecture, seed, shrink=1.0, perturb=0.0)


def _renewed(birth: Birth, space: SearchSpace, rng: random.Random) -> Birth:
    """The same birth with another option of one variable, among those that have another."""
    open_to_change = [i for i, v in enumerate(space) if len(v.options) > 1]
    if not open_to_change:
        return birth
    index = open_to_change[rng.randrange(len(open_to_change))]
    options = len(space.variables[index].options)
    option = (birth.architecture[index] + rng.randrange(1, options)) % options
    architecture = _with(birth.architecture, {index: option})
    return replace(birth, operator="renew", inherited=(index,), architecture=architecture)


def _with(architecture: Architecture, choices: Mapping[int, int]) -> Architecture:
    return tuple(choices.get(i, option) for i, option in enumerate(architecture))
