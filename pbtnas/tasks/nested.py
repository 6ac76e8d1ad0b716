"""Walks values of any nesting: tensors in tuples, lists, mappings and dataclasses.

Batches and outputs of networks have such forms.  What is made of one keeps its form, so that
`outputs.logits` and `outputs["logits"]` go on to work.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor


def leaves(nest: Any) -> Iterator[Any]:
    """Everything in it that is no container: tensors, and whatever else."""
    parts = _parts(nest)
    if parts is None:
        yield nest
    else:
        for part in parts:
            yield from leaves(part)


def tensors(nest: Any) -> Iterator[Tensor]:
    """All tensors in it, always in the same order."""
    return (leaf for leaf in leaves(nest) if isinstance(leaf, Tensor))


def mapped(function: Callable[[Tensor], Tensor], nest: Any) -> Any:
    """The same form with the function of every tensor; other leaves stay what they are."""
    if isinstance(nest, Tensor):
        return function(nest)
    parts = _parts(nest)
    if parts is None:
        return nest
    return _rebuilt(nest, [mapped(function, part) for part in parts])


def joined(nests: Sequence[Any]) -> Any:
    """One value of many: tensors [B, ...] end to end, and a number of each as a vector.

    Leaves that are no tensors are those of the first.  Raises `ValueError` when the forms differ.
    """
    first = nests[0]
    if isinstance(first, Tensor):
        return torch.stack([*nests]) if first.dim() == 0 else torch.cat([*nests])
    parts = [_parts(nest) for nest in nests]
    if parts[0] is None:
        return first
    columns = zip(*(part or () for part in parts), strict=True)
    return _rebuilt(first, [joined(column) for column in columns])


def _parts(nest: Any) -> list[Any] | None:
    """What a container holds; None if it is none."""
    if isinstance(nest, Mapping):
        return list(nest.values())
    if isinstance(nest, tuple | list):
        return list(nest)
    if dataclasses.is_dataclass(nest) and not isinstance(nest, type):
        return [getattr(nest, field.name) for field in dataclasses.fields(nest)]
    return None


def _rebuilt(nest: Any, parts: Sequence[Any]) -> Any:
    """A container of the same type with other parts."""
    if isinstance(nest, MutableMapping):
        # Not by its constructor: those of libraries take all kinds of arguments.
        made = copy.copy(nest)
        for key, part in zip(list(nest), parts, strict=True):
            made[key] = part
        return made
    if isinstance(nest, Mapping):
        return dict(zip(nest, parts, strict=True))
    if isinstance(nest, tuple | list):
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    names = [field.name for field in dataclasses.fields(nest)]
    return dataclasses.replace(nest, **dict(zip(names, parts, strict=True)))
