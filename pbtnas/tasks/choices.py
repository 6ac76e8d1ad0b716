"""Hands the choices of a member to those methods of a task that take them.

Tasks were written before there were ladders: their `optimizer` and `train_batches` have one
argument, and go on to be called with one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

NO_CHOICES: Mapping[str, Any] = MappingProxyType({})
"""What a method is given where no member is meant."""


def with_choices(method: Callable[..., Any], *arguments: Any, choices: Mapping[str, Any]) -> Any:
    """Call a method, with the choices behind its other arguments if it has a place for them.

    That is a parameter named `choices`, or one more than these arguments that must be given.

    Args:
        method: bound method of a task.
        arguments: its other arguments.
        choices: the chosen option by the name of the variable; the method gets a copy.
    """
    parameters = inspect.signature(method).parameters
    if "choices" in parameters:
        return method(*arguments, choices=dict(choices))
    required = [p for p in parameters.values() if p.default is p.empty and p.kind in _IN_ORDER]
    if len(required) > len(arguments):
        return method(*arguments, dict(choices))
    return method(*arguments)


_IN_ORDER = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
