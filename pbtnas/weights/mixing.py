"""Mixing: a child's weights from its two parents and a fresh initialisation (Algorithm 2).

`origins` decides which parent every tensor comes from, `shrink_perturb` is the arithmetic.
`child_of` puts them together: it plans a child tensor by tensor, to be written as an overlay on
the base's checkpoint.  `mix_states` makes the planned child in memory.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from pbtnas.search import Birth, SearchSpace
from pbtnas.state import DONATED, Json, LazyTensor, State, assemble, lazily, split_key

T = TypeVar("T")

_BLOCK = 1 << 16  # elements perturbed at once: the scaled noise stays in the cache


class Origin(enum.StrEnum):
    """The parent that a tensor of the child comes from."""

    BASE = "base"
    CHANGED = "changed"  # the base's, mutated or perturbed; never by mixing
    DONOR = "donor"
    FRESH = "fresh"


class Described(Protocol):
    """A tensor, or its shape and dtype."""

    @property
    def shape(self) -> Sequence[int]: ...

    @property
    def dtype(self) -> torch.dtype: ...


def origins(
    space: SearchSpace,
    inherited: frozenset[int],
    *,
    base: Mapping[str, Described],
    donor: Mapping[str, Described],
    fresh: Mapping[str, Described],
) -> dict[str, Origin]:
    """Decide which parent each tensor of one section comes from, by parameter name.

    `fresh` is a new initialisation of the child's own architecture, so it has every name and
    shape the child needs.  Modules of the `inherited` variables come from `donor`, all others
    from `base`.  What the chosen parent lacks, or has in another shape or dtype, stays fresh.
    """
    found = {}
    for name, init in fresh.items():
        from_donor = space.owner(name) in inherited
        weight = (donor if from_donor else base).get(name)
        if weight is None or weight.shape != init.shape or weight.dtype != init.dtype:
            found[name] = Origin.FRESH
        else:
            found[name] = Origin.DONOR if from_donor else Origin.BASE
    return found


@torch.no_grad()
def shrink_perturb(weight: Tensor, fresh: Tensor, shrink: float, perturb: float) -> Tensor:
    """`shrink * weight + perturb * fresh`, of the weight's shape and dtype; never in place.

    Integer tensors, and all for shrink 1 and perturb 0, are given back as they are.
    """
    if not weight.is_floating_point() or (shrink, perturb) == (1, 0):
        return weight
    child = weight.reshape(-1) * shrink
    # Two roundings instead of a fused multiply-add: the same bits on every processor.
    noise = fresh.reshape(-1)
    for i in range(0, len(child), _BLOCK):
        child[i : i + _BLOCK] += noise[i : i + _BLOCK] * perturb
    return child.reshape(weight.shape)


def perturbed(weight: LazyTensor, fresh: LazyTensor, shrink: float, perturb: float) -> LazyTensor:
    """A lazy tensor that applies `shrink_perturb` when it is made."""
    if (shrink, perturb) == (1, 0):
        return weight
    return LazyTensor(
        weight.shape,
        weight.dtype,
        lambda: shrink_perturb(weight.make(), fresh.make(), shrink, perturb),
    )


@dataclass(frozen=True)
class ChildPlan:
    """A child as its checkpoint needs it: what differs from the base, and where it came from.

    Args:
        overlay: the donated and the fresh tensors, by key "<section>/<name>".
        origins: the origin of each tensor of the child, by key; the keys are all it has.
    """

    overlay: dict[str, LazyTensor]
    origins: dict[str, Origin]


def child_of(
    space: SearchSpace,
    birth: Birth,
    *,
    base: Mapping[str, LazyTensor],
    donor: Mapping[str, LazyTensor],
    fresh: Mapping[str, LazyTensor],
) -> ChildPlan:
    """Plan a child from tensors by key; makes none of them.

    Donated `live` tensors are shrink-perturbed; `buffers` and `averaged` are copied.  Moments
    of the optimiser stay where the parameter is the base's own.  `extra` is the base's, but for
    what it names as the donor's.  `fresh` is a new state of `birth.architecture`.

    Written as an overlay (`checkpoints.files.write_overlay`), the child takes the memory of its
    largest tensor, a few times over.
    """
    inherited = frozenset(birth.inherited)
    ours, donated, new = _by_section(base), _by_section(donor), _by_section(fresh)
    overlay: dict[str, LazyTensor] = {}
    where: dict[str, Origin] = {}
    for section, shrink, perturb in _mixed_sections(birth):
        found = origins(
            space, inherited, base=ours[section], donor=donated[section], fresh=new[section]
        )
        for name, origin in found.items():
            key, init = f"{section}/{name}", new[section][name]
            where[key] = origin
            if origin is Origin.DONOR:
                overlay[key] = perturbed(donated[section][name], init, shrink, perturb)
            elif origin is Origin.FRESH:
                overlay[key] = init
    live = _by_section(where)["live"]
    kept = [f"optimizer/{moment}" for moment in ours["optimizer"] if _kept(moment, live)]
    where |= dict.fromkeys(kept, Origin.BASE)
    for name, tensor in _extra(ours["extra"], donated["extra"]).items():
        # Where one member is both parents, its own need not be written again.
        from_donor = name.startswith(DONATED) and birth.donor != birth.base
        where[f"extra/{name}"] = Origin.DONOR if from_donor else Origin.BASE
        if from_donor:
            overlay[f"extra/{name}"] = tensor
    return ChildPlan(overlay, where)


def mix_states(
    space: SearchSpace, birth: Birth, *, base: State, donor: State, fresh: State
) -> State:
    """The child of `child_of` as a state in memory; its `info` is the base's.

    It may share tensors with its parents.
    """
    ours = lazily(base)
    child = child_of(space, birth, base=ours, donor=lazily(donor), fresh=lazily(fresh))
    tensors = ours | child.overlay
    return assemble({key: tensors[key].make() for key in child.origins}, base.info)


def report(space: SearchSpace, origins: Mapping[str, Origin]) -> dict[str, Json]:
    """Count tensors by origin, for the birth's record.

    By section, e.g. {"live": {"base": 40, "donor": 8}, ...}, and by variable for those that
    have something else than the base's: {"generator.c0": {"donor": 6, "fresh": 2}}; what no
    variable owns is under "".
    """
    sections: dict[str, Counter[str]] = {}
    variables: dict[str, Counter[str]] = {}
    for key, origin in origins.items():
        section, name = split_key(key)
        sections.setdefault(section, Counter())[origin.value] += 1
        if origin is not Origin.BASE:
            owner = space.owner(name)
            variable = "" if owner is None else space.variables[owner].name
            variables.setdefault(variable, Counter())[origin.value] += 1
    return {
        "sections": {section: dict(counts) for section, counts in sections.items()},
        "variables": {variable: dict(counts) for variable, counts in variables.items()},
    }


def _mixed_sections(birth: Birth) -> tuple[tuple[str, float, float], ...]:
    """The sections both parents give to, with shrink and perturb of each."""
    return (
        ("live", birth.shrink, birth.perturb),
        ("buffers", 1.0, 0.0),
        ("averaged", 1.0, 0.0),
    )


def _kept(moment: str, live: Mapping[str, Origin]) -> bool:
    """Whether a moment "<parameter name>/<moment>" still fits: the parameter is the base's."""
    return live.get(moment.rpartition("/")[0]) is Origin.BASE


def _extra(base: Mapping[str, T], donor: Mapping[str, T]) -> dict[str, T]:
    """The tensors without an owner, of the parent that their names decide."""
    kept = {name: tensor for name, tensor in base.items() if not name.startswith(DONATED)}
    return kept | {name: tensor for name, tensor in donor.items() if name.startswith(DONATED)}


def _by_section(tensors: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """A mapping by key "<section>/<name>" as mappings by name."""
    sections: dict[str, dict[str, T]] = {section: {} for section in State.SECTIONS}
    for key, tensor in tensors.items():
        section, name = split_key(key)
        sections[section][name] = tensor
    return sections
