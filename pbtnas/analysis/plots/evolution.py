"""The evolution of a population: descent, origins of layers, diversity.

Pure functions over one run's generations; the figures draw what they return.
G generations, N members at the start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.search.births import Birth
from pbtnas.search.population import Member, rank
from pbtnas.search.space import Architecture, Variable

Shares = NDArray[np.float64]


class NothingToShow(PbtnasError, ValueError):
    """A run that has not come far enough to be shown, or has another search space."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Standing:
    """One member at the end of one generation.

    Args:
        member: Slot of the member.
        architecture: Option index of every variable.
        score: Score; None if it diverged or failed.
        birth: Birth that filled the slot before this generation; None if the member was there.
    """

    member: int
    architecture: Architecture
    score: float | None
    birth: Birth | None = None

    @property
    def parent(self) -> int:
        """The slot, one generation earlier, of the member it goes on from."""
        return self.member if self.birth is None else self.birth.base


@dataclass(frozen=True)
class Evolution:
    """All finished generations of a run.

    Args:
        variables: Variables of the search space; empty if unknown, which descent can do without.
        metric: Name of what scores measure; larger is better.
        epochs: [G] total epochs of a member at the end of each generation.
        generations: [G] members alive in each generation, by slot.
    """

    variables: tuple[Variable, ...]
    metric: str
    epochs: tuple[int, ...]
    generations: tuple[tuple[Standing, ...], ...]

    def __post_init__(self) -> None:
        if not self.generations:
            raise NothingToShow("the run has no finished generation yet")
        if len(self.epochs) != len(self.generations):
            raise ValueError(f"{len(self.epochs)} epochs for {len(self.generations)} generations")
        choices = len(self.generations[0][0].architecture)
        if self.variables and len(self.variables) != choices:
            raise NothingToShow(
                f"the search space has {len(self.variables)} variables, the run's architectures "
                f"have {choices} choices: it is another space"
            )

    def only(self, generation: int) -> Evolution:
        """One generation of it, as an evolution by itself."""
        here = slice(generation, generation + 1)
        return replace(self, epochs=self.epochs[here], generations=self.generations[here])

    def at(self, generation: int, member: int) -> Standing:
        """The member in that slot; raises `KeyError` if nobody was."""
        try:
            return self._by_slot[generation][member]
        except KeyError:
            raise KeyError(f"no member {member} in generation {generation}") from None

    @cached_property
    def _by_slot(self) -> list[dict[int, Standing]]:
        return [{s.member: s for s in standings} for standings in self.generations]

    @property
    def member_steps(self) -> int:
        """How often a member was trained: members times generations."""
        return sum(len(standings) for standings in self.generations)


def ranked(evolution: Evolution) -> list[int]:
    """Slots of the last generation, best first."""
    last = evolution.generations[-1]
    return [m.number for m in rank([Member(s.member, s.architecture, s.score) for s in last])]


def ancestry(evolution: Evolution, member: int) -> list[int]:
    """[G] the slot of a last-generation member's ancestor (through bases) in each generation."""
    slots = [member]
    for generation in range(len(evolution.generations) - 1, 0, -1):
        slots.append(evolution.at(generation, slots[-1]).parent)
    return slots[::-1]


def tree_order(evolution: Evolution) -> list[list[int]]:
    """[G] the slots of each generation in the order of the family tree.

    Descendants (through bases) of one member stand together, in the order of their ancestors,
    so that lines from bases to children never cross.
    """
    orders: list[list[int]] = []
    for standings in evolution.generations:
        orders.append(next_order(orders[-1] if orders else None, standings))
    return orders


def next_order(before: Sequence[int] | None, standings: Sequence[Standing]) -> list[int]:
    """The slots of a generation in the order of the family tree, by that of the one before."""
    if before is None:
        return [standing.member for standing in standings]
    place = {member: i for i, member in enumerate(before)}
    sides = _sides(standings, place)
    family = sorted(standings, key=lambda s: (place[s.parent], sides[s.member], s.member))
    return [standing.member for standing in family]


def layer_roots(evolution: Evolution, generation: int, member: int) -> list[tuple[int, int]]:
    """Where each variable of a member began, as generation and slot.

    It goes from parent to child, donated or not, so it began in an initial member; or in the child
    for which it was made anew.
    """
    roots = []
    for i in range(len(evolution.at(generation, member).architecture)):
        slot, number = member, generation
        while number:
            standing = evolution.at(number, slot)
            birth = standing.birth
            if birth is not None and i in birth.inherited:
                if birth.begins_fresh:
                    break
                slot = birth.donor
            else:
                slot = standing.parent
            number -= 1
        roots.append((number, slot))
    return roots


def origin_shares(evolution: Evolution) -> Shares:
    """[G, N + 1] share of all layers in a generation that began in each initial member.

    A layer is a variable with modules.  It goes from parent to child with its weights,
    shrink-perturbed or not, so its origin is the initial member whose slot it started in.  The
    last column has the layers that began later: renewed by a mutation, or donated with lambda 0.
    """
    layers = [i for i, variable in enumerate(evolution.variables) if variable.modules]
    if not layers:
        raise NothingToShow("no variable of this space has weights to trace")
    starts = [s.member for s in evolution.generations[0]]
    column = {member: i for i, member in enumerate(starts)}
    shares = np.zeros((len(evolution.generations), len(starts) + 1))
    origins = {member: [column[member]] * len(evolution.variables) for member in starts}
    for generation, standings in enumerate(evolution.generations):
        if generation:
            origins = {s.member: _origins_of(s, origins, later=len(starts)) for s in standings}
        for standing in standings:
            for i in layers:
                shares[generation, origins[standing.member][i]] += 1
        shares[generation] /= len(standings) * len(layers)
    return shares


def option_shares(evolution: Evolution) -> list[Shares]:
    """For each variable, [G, options] share of members that have each option.

    Raises `ValueError` when the evolution was read without its search space.
    """
    if not evolution.variables:
        raise ValueError("the search space of the run is needed to tell its options")
    return [
        np.array(
            [
                np.bincount([s.architecture[i] for s in standings], minlength=len(variable.options))
                / len(standings)
                for standings in evolution.generations
            ]
        )
        for i, variable in enumerate(evolution.variables)
    ]


def mean_entropy(evolution: Evolution) -> Shares:
    """[G] entropy of a variable's options, as a share of its maximum, averaged over variables.

    1: every option of every variable is equally frequent; 0: a single architecture is left.
    Variables of a single option cannot differ, and are not counted.
    """
    entropies = [
        _relative_entropy(shares) for shares in option_shares(evolution) if shares.shape[1] > 1
    ]
    if not entropies:
        return np.zeros(len(evolution.generations))
    return np.asarray(np.mean(entropies, axis=0))


def distinct_architectures(evolution: Evolution) -> list[int]:
    """[G] how many different architectures are alive."""
    return [len({s.architecture for s in standings}) for standings in evolution.generations]


def _sides(standings: Sequence[Standing], place: Mapping[int, int]) -> dict[int, int]:
    """On which side of its parent's row each member stands: -1 before, 1 behind, 0 on it.

    A child stands on the side of a row that becomes free, so that few survivors have to move.
    """
    stay = {s.member for s in standings if s.birth is None}
    free = sorted(place[member] for member in place if member not in stay)
    children = sorted((place[s.parent], s.member) for s in standings if s.member not in stay)
    sides = dict.fromkeys(stay, 0)
    for i, (parent, member) in enumerate(children):
        sides[member] = -1 if free[i] < parent else 1
    return sides


def _origins_of(
    standing: Standing, before: Mapping[int, Sequence[int]], *, later: int
) -> list[int]:
    origins = list(before[standing.parent])
    if standing.birth is not None:
        fresh = standing.birth.begins_fresh
        for i in standing.birth.inherited:
            origins[i] = later if fresh else before[standing.birth.donor][i]
    return origins


def _relative_entropy(shares: Shares) -> Shares:
    if shares.shape[1] == 1:  # a single option is no diversity
        return np.zeros(len(shares))
    # 0 * log 0 is 0: a lost option adds nothing.
    bits: Shares = -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=1)
    return bits / math.log2(shares.shape[1])


def best_scores(evolution: Evolution) -> Sequence[float]:
    """[G] best finite score of each generation; NaN where nobody has one."""
    return [max(finite_scores(standings), default=math.nan) for standings in evolution.generations]


def finite_scores(standings: Iterable[Standing]) -> list[float]:
    """The scores of those that have a finite one."""
    return [s.score for s in standings if s.score is not None and math.isfinite(s.score)]


def quartiles(standings: Iterable[Standing]) -> tuple[float, float, float] | None:
    """The first quartile, the median and the third quartile of the finite scores."""
    scores = finite_scores(standings)
    if not scores:
        return None
    low, middle, high = np.quantile(scores, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def lowest_shade(scores: Sequence[float]) -> float | None:
    """The score that has the last colour of a scale, which the worst fifth shares: these are
    usually of early generations, and would leave few colours to all others."""
    return float(np.quantile(scores, 0.2)) if scores else None
