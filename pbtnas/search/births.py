"""Defines a birth: how a member is made.  Data only; `weights` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pbtnas.search.space import Architecture

Operator = Literal["mix", "renew", "mutate", "perturb"]
"""What makes the child's weights; all but `mix` are baselines and start from the base alone.

mix: modules of the inherited variables are the donor's, shrink-perturbed (Algorithm 2).
renew: modules of the inherited variables begin fresh.
mutate: weights of the base are mutated at random (`weights.mutation`).
perturb: all weights of the base are shrink-perturbed.
"""


@dataclass(frozen=True)
class Birth:
    """How one slot of the next generation is filled.

    Args:
        member: Slot that is filled, 0 to N - 1.
        base: Number of the parent kept by default.
        donor: Number of the parent that gives the modules of the inherited variables; the base
            itself for every operator but `mix`.
        inherited: Indices of the variables taken from the donor, ascending.  Their modules
            come too, even where both parents chose the same option.  With `renew` these are
            the variables whose option changed.
        architecture: Architecture of the child.
        seed: Seed of the fresh initialisation that shrink-perturb mixes in, and of mutations.
        shrink: Lambda, the factor on donated weights.
        perturb: Gamma, the factor on the fresh initialisation.
        operator: Way in which the weights are made.
        networks: Dotted paths below which `mutate` changes weights; () for all.
        explored: Indices of the ladders that moved after they were inherited, ascending.
    """

    member: int
    base: int
    donor: int
    inherited: tuple[int, ...]
    architecture: Architecture
    seed: int
    shrink: float
    perturb: float
    operator: Operator = "mix"
    networks: tuple[str, ...] = ()
    explored: tuple[int, ...] = ()

    @property
    def begins_fresh(self) -> bool:
        """Whether nothing is left of the weights of the inherited variables."""
        return self.operator == "renew" or self.shrink == 0
