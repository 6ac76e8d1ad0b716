"""The initial values that a birth needs: those of a new member, of which most are never used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pbtnas.search.space import Architecture
from pbtnas.state import LazyTensor, lazily, split_key
from pbtnas.tasks.base import Task
from pbtnas.tasks.faults import blamed
from pbtnas.tasks.optional import CreatesModules

_METHOD = "create_modules"


def fresh_tensors(task: Task, architecture: Architecture, seed: int) -> Mapping[str, LazyTensor]:
    """The tensors of `create(architecture, seed).state()` by key, to be mixed into a child.

    A task with `create_modules` makes each when it is needed, any other all of them now.
    Mistakes in the user's task are raised as `TaskFault`, here or when a tensor is made.
    """
    cls = type(task)
    if isinstance(task, CreatesModules) and offers_modules(task):
        with blamed(f"{_METHOD}()", cls):
            offered = task.create_modules(architecture, seed)
            return {key: _checked(key, lazy, cls) for key, lazy in offered.items()}
    with blamed("create()", cls):
        return lazily(task.create(architecture, seed).state())


def offers_modules(task: Task) -> bool:
    """Whether `create_modules` is there, and for this `create`: no subclass has overridden that."""
    if not isinstance(task, CreatesModules):
        return False
    first = next(c for c in type(task).__mro__ if {"create", _METHOD} & vars(c).keys())
    return _METHOD in vars(first)


def _checked(key: str, lazy: LazyTensor, cls: type) -> LazyTensor:
    split_key(key)

    def make() -> Tensor:
        with blamed(f"{_METHOD}()", cls):
            tensor = lazy.make()
            if (tuple(tensor.shape), tensor.dtype) != (tuple(lazy.shape), lazy.dtype):
                raise ValueError(
                    f"{_METHOD}() made {_described(tensor)} for {key!r}; "
                    f"expected {_described(lazy)}, as it had said"
                )
            return tensor

    return LazyTensor(lazy.shape, lazy.dtype, make)


def _described(tensor: Any) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
