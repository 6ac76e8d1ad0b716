"""The state of a member, which tasks return, checkpoints store and mixing combines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

DONATED = "donor."
"""Prefix of the `extra` tensors that a child has from its donor."""

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass
class State:
    """Everything a member carries from job to job, in sections that mixing understands.

    All names are parameter paths below the trainee's networks ("generator.layers.0.weight"),
    so that `SearchSpace.owner` finds the variable they belong to.

    Args:
        live: Trained parameters; donated ones are shrink-perturbed.
        buffers: Estimates kept by modules (running statistics, spectral-norm vectors);
            copied, never perturbed.
        averaged: Averaged copies of `live` or `buffers` tensors, under the same names (EMA
            generator, target critic); copied, never perturbed.
        optimizer: Moments as "<parameter name>/<moment>"; dropped for donated parameters.
        extra: Tensors without an owner; the base's, but those whose name begins with "donor."
            the donor's.
        info: JSON without an owner (counters, schedule positions); always the base's.
    """

    live: dict[str, Tensor] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    averaged: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    extra: dict[str, Tensor] = field(default_factory=dict)
    info: dict[str, Json] = field(default_factory=dict)

    SECTIONS: ClassVar[tuple[str, ...]] = ("live", "buffers", "averaged", "optimizer", "extra")


@dataclass(frozen=True)
class LazyTensor:
    """A tensor of known shape and dtype that is made when it is needed.

    States larger than memory allows pass through it one tensor at a time this way.

    Args:
        shape: The shape of the tensor.
        dtype: The dtype of the tensor.
        make: The function that returns the tensor; it may be shared, so nobody writes to it.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]


def ready(tensor: Tensor) -> LazyTensor:
    """An existing tensor as a lazy one."""
    return LazyTensor(tuple(tensor.shape), tensor.dtype, lambda: tensor)


def lazily(state: State) -> dict[str, LazyTensor]:
    """The tensors of a state by key, "<section>/<name>"; they alias the state."""
    return {
        f"{section}/{name}": ready(tensor)
        for section in State.SECTIONS
        for name, tensor in getattr(state, section).items()
    }


def assemble(tensors: Mapping[str, Tensor], info: Mapping[str, Json]) -> State:
    """The state that has these tensors, by key as `lazily` gives them."""
    state = State(info=dict(info))
    for key, tensor in tensors.items():
        section, name = split_key(key)
        getattr(state, section)[name] = tensor
    return state


def split_key(key: str) -> tuple[str, str]:
    """The section and the name that a key "<section>/<name>" is made of.

    Raises `ValueError` when it is no such key.
    """
    section, _, name = key.partition("/")
    if section not in State.SECTIONS or not name:
        raise ValueError(f"key {key!r}, which is not <section>/<name>")
    return section, name
