"""A birth carried out: the child's tensors, whatever operator makes them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import assert_never

import torch
from torch import Tensor

from pbtnas.search import Birth, SearchSpace
from pbtnas.search.seeding import stream
from pbtnas.state import LazyTensor, split_key
from pbtnas.weights.mixing import ChildPlan, Origin, child_of, perturbed
from pbtnas.weights.mutation import Mutation, draw_mutations, mutate

Tensors = Mapping[str, LazyTensor]

_LIVE = "live/"


def carry_out(
    space: SearchSpace, birth: Birth, *, base: Tensors, donor: Tensors, fresh: Tensors
) -> ChildPlan:
    """Plan the child of a birth from tensors by key; makes none of them.

    `fresh` is a new state of `birth.architecture`.  `mutate` and `perturb` change `live`
    tensors alone: averaged copies, estimates and the optimiser stay the base's.
    """
    match birth.operator:
        case "mix":
            return child_of(space, birth, base=base, donor=donor, fresh=fresh)
        case "renew":
            # From a donor without networks, everything inherited is fresh.
            extra = {key: donor[key] for key in donor if split_key(key)[0] == "extra"}
            return child_of(space, birth, base=base, donor=extra, fresh=fresh)
        case "mutate":
            copy = child_of(space, birth, base=base, donor=base, fresh=fresh)
            rng = stream(birth.seed, "mutation")
            return _changed(copy, _mutations(_kept(copy, base), birth, rng))
        case "perturb":
            copy = child_of(space, birth, base=base, donor=base, fresh=fresh)
            return _changed(
                copy,
                {
                    key: perturbed(weight, fresh[key], birth.shrink, birth.perturb)
                    for key, weight in _kept(copy, base).items()
                    if weight.dtype.is_floating_point
                },
            )
        case _:
            assert_never(birth.operator)


def _mutations(kept: Tensors, birth: Birth, rng: random.Random) -> dict[str, LazyTensor]:
    weights = {key.removeprefix(_LIVE): weight for key, weight in kept.items()}
    drawn = draw_mutations(weights, birth.networks, rng)
    return {_LIVE + name: _mutated(weights[name], drawn[name]) for name in drawn}


def _mutated(weight: LazyTensor, mutation: Mutation) -> LazyTensor:
    def make() -> Tensor:
        generator = torch.Generator().manual_seed(mutation.seed)
        return mutate(weight.make(), mutation.chance, generator)

    return LazyTensor(weight.shape, weight.dtype, make)


def _kept(child: ChildPlan, base: Tensors) -> dict[str, LazyTensor]:
    """The `live` tensors that a child has from its base, by key."""
    return {
        key: base[key]
        for key, origin in child.origins.items()
        if origin is Origin.BASE and key.startswith(_LIVE)
    }


def _changed(child: ChildPlan, changes: Tensors) -> ChildPlan:
    """The same child with other values for some tensors of its base."""
    return replace(
        child,
        overlay={**child.overlay, **changes},
        origins={**child.origins, **dict.fromkeys(changes, Origin.CHANGED)},
    )
