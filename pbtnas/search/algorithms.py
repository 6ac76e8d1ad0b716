"""Algorithms: pure functions from a ranked generation to births.

An algorithm decides; it never touches weights.  PBT-NAS and its baselines differ in one
small function each.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pbtnas.search.births import Birth
from pbtnas.search.population import Member, rank, usable
from pbtnas.search.seeding import derive, stream
from pbtnas.search.space import Architecture, SearchSpace


@dataclass(frozen=True)
class Selection:
    """The constants of selection and mixing (paper section 4 gives the defaults).

    Args:
        parents: how many of the best may become parents.
        replaced: how many of the worst are replaced.
        inherit_probability: chance that a variable is taken from the donor.
        shrink: lambda of shrink-perturb.
        perturb: gamma of shrink-perturb.
    """

    parents: int
    replaced: int
    inherit_probability: float = 0.25
    shrink: float = 0.4
    perturb: float = 0.1

    @classmethod
    def of(
        cls,
        population: int,
        *,
        tau: float = 0.25,
        parents: int | None = None,
        replaced: int | None = None,
        inherit_probability: float = 0.25,
        shrink: float = 0.4,
        perturb: float = 0.1,
    ) -> Selection:
        """Counts from the fraction tau of a population; exact counts take precedence."""
        share = round(tau * population)
        return cls(
            parents=max(2, share) if parents is None else parents,
            replaced=share if replaced is None else replaced,
            inherit_probability=inherit_probability,
            shrink=shrink,
            perturb=perturb,
        )


Algorithm = Callable[[Sequence[Member], SearchSpace, Selection, int, int], tuple[Birth, ...]]
"""(members, space, selection, run seed, generation) -> births, at most one a slot."""


class NoParentsError(RuntimeError):
    """Every member diverged or failed: there is nothing to continue from."""


def pbtnas(
    members: Sequence[Member],
    space: SearchSpace,
    selection: Selection,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """PBT-NAS: replace the worst by layer-wise mixes of two of the best (Algorithms 1 and 2).

    Members without a finite score are replaced even when they are more than
    `selection.replaced`, and never become parents.  With a single usable member it is both
    base and donor: its children differ by what is shrink-perturbed.

    Raises `NoParentsError` when no member is usable.
    """
    ranked = rank(members)
    best = [m for m in ranked if usable(m)][: selection.parents]
    if not best:
        raise NoParentsError(f"all {len(ranked)} members of generation {generation} failed")
    return tuple(
        _mixed(slot, best, space, selection, run_seed, generation)
        for slot in replaced_slots(ranked, selection.replaced)
    )


def random_search(
    members: Sequence[Member],
    space: SearchSpace,
    selection: Selection,
    run_seed: int,
    generation: int,
) -> tuple[Birth, ...]:
    """Random search: the initial population is trained to the end, nobody is replaced."""
    return ()


ALGORITHMS: dict[str, Algorithm] = {"pbt-nas": pbtnas, "random-search": random_search}


def replaced_slots(ranked: Sequence[Member], replaced: int) -> list[int]:
    """Numbers of the members to be replaced, ascending: the worst, and all unusable ones."""
    failed = sum(not usable(m) for m in ranked)
    return sorted(m.number for m in ranked[len(ranked) - max(replaced, failed) :])


def _mixed(
    slot: int,
    best: Sequence[Member],
    space: SearchSpace,
    selection: Selection,
    run_seed: int,
    generation: int,
) -> Birth:
    rng = stream(run_seed, "mix", generation, slot)
    base, donor = _two_parents(best, rng)
    inherited = tuple(i for i in range(len(space)) if rng.random() < selection.inherit_probability)
    return Birth(
        member=slot,
        base=base.number,
        donor=donor.number,
        inherited=inherited,
        architecture=_crossed(base.architecture, donor.architecture, inherited),
        seed=derive(run_seed, "birth", generation, slot),
        shrink=selection.shrink,
        perturb=selection.perturb,
    )


def _two_parents(best: Sequence[Member], rng: random.Random) -> tuple[Member, Member]:
    """Two distinct members, the better one first (`best` is ranked)."""
    if len(best) == 1:
        return best[0], best[0]
    i, j = sorted(rng.sample(range(len(best)), 2))
    return best[i], best[j]


def _crossed(base: Architecture, donor: Architecture, inherited: Sequence[int]) -> Architecture:
    taken = set(inherited)
    return tuple(donor[i] if i in taken else base[i] for i in range(len(base)))
