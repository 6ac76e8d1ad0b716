"""Weight mutation of the SEARL-like baseline: a few elements of a few tensors change at random.

The constants are those of the published comparison with PBT-NAS.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pbtnas.weights.mixing import Described

MOST_ROWS = 10  # at most every tenth element of a tensor mutates
SUPER, RESET = 0.05, 0.05  # chances that a mutation is a large one, or forgets the weight
STRENGTH, SUPER_STRENGTH = 0.1, 10.0  # standard deviation, in units of the weight
LIMIT = 1e6


@dataclass(frozen=True)
class Mutation:
    """The mutation of one tensor: each element mutates with this chance, by this seed."""

    chance: float
    seed: int


def draw_mutations(
    weights: Mapping[str, Described], networks: Sequence[str], rng: random.Random
) -> dict[str, Mutation]:
    """Draw which tensors mutate, and how much.

    Any number of the `mutable` ones, each number as likely; in a tensor of n rows less than
    ceil(n / 10) in n elements.  So one of at most ten rows (the layer that makes an image, a
    critic's value) never changes.
    """
    names = mutable(weights, networks)
    if not names:
        return {}
    mutations = {}
    for name in rng.sample(names, rng.randint(1, len(names))):
        rows = weights[name].shape[0]
        mutated = rng.randrange(-(-rows // MOST_ROWS))
        seed = rng.getrandbits(63)
        if mutated:
            mutations[name] = Mutation(mutated / rows, seed)
    return mutations


def mutable(weights: Mapping[str, Described], networks: Sequence[str] = ()) -> list[str]:
    """Names of the weights that may mutate, in alphabetical order: matrices and kernels, but
    none of a normalisation, below one of these networks (dotted paths; () for all)."""
    return sorted(
        name
        for name, weight in weights.items()
        if len(weight.shape) >= 2
        and math.prod(weight.shape) > 0
        and weight.dtype.is_floating_point
        and "norm" not in name
        and (not networks or any(name.startswith(f"{network}.") for network in networks))
    )


@torch.no_grad()
def mutate(weight: Tensor, chance: float, generator: torch.Generator) -> Tensor:
    """A copy of a weight in which each element has mutated with this chance.

    A mutated element w gets noise of standard deviation |0.1 w| added; one in twenty of
    |10 w| instead, and one in twenty is replaced by a standard normal number.  They are cut
    off at a million.
    """
    hit = torch.rand(weight.shape, generator=generator) < chance
    old = weight[hit]  # [E]
    kind = torch.rand(old.shape, generator=generator)
    noise = torch.randn(old.shape, generator=generator).to(old.dtype)
    strength = torch.where(kind < SUPER, SUPER_STRENGTH, STRENGTH).to(old.dtype)
    new = torch.where(
        (kind >= SUPER) & (kind < SUPER + RESET), noise, old + noise * (strength * old).abs()
    )
    child = weight.clone()
    child[hit] = new.clamp(-LIMIT, LIMIT)
    return child
