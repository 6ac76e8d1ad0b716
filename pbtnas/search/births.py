"""The birth: the record of how a member is made.  Data only; `weights` builds it."""

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
        member: the slot that is filled, 0 to N - 1.
        base: number of the parent kept by default.
        donor: number of the parent that gives the modules of the inherited variables; the base
            itself for every operator but `mix`.
        inherited: indices of the variables taken from the donor, ascending.  Their modules
            come too, even where both parents chose the same option.  With `renew` these are
            the variables whose option changed.
        architecture: the child's architecture.
        seed: of the fresh initialisation that shrink-perturb mixes in, and of mutations.
        shrink: lambda, the factor on donated weights.
        perturb: gamma, the factor on the fresh initialisation.
        operator: what makes the weights.
        networks: with `mutate`, dotted paths below which weights are mutated; () for all.
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
