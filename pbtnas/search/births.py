"""The birth: the record of how a member is made.  Data only; `weights` builds it."""

from __future__ import annotations

from dataclasses import dataclass

from pbtnas.search.space import Architecture


@dataclass(frozen=True)
class Birth:
    """How one slot of the next generation is filled.

    Args:
        member: the slot that is filled, 0 to N - 1.
        base: number of the parent kept by default.
        donor: number of the parent that gives the modules of the inherited variables.
        inherited: indices of the variables taken from the donor, ascending.  Their modules
            come too, even where both parents chose the same option.
        architecture: the child's architecture.
        seed: of the fresh initialisation that shrink-perturb mixes in.
        shrink: lambda, the factor on donated weights.
        perturb: gamma, the factor on the fresh initialisation.
    """

    member: int
    base: int
    donor: int
    inherited: tuple[int, ...]
    architecture: Architecture
    seed: int
    shrink: float
    perturb: float
