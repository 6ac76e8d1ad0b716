"""Defines what an option may be: a plain value, the same in every process and on disk.

An option stands in records and digests by its text.  That of a function holds an address, and
that of a set depends on the process: every worker would have another space than the coordinator.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

Option = bool | int | float | str | tuple[Any, ...] | None
"""A plain value; the items of a tuple are options themselves."""


def plain_options(variable: str, options: Iterable[Any]) -> tuple[Option, ...]:
    """The options as plain values: numpy's scalars as Python's numbers, lists as tuples.

    Raises `ValueError` naming the variable and what was expected.
    """
    try:
        return tuple(map(_plain, _sequence(options)))
    except ValueError as error:
        raise ValueError(f"variable {variable!r}: {error}") from None


def _sequence(options: Any) -> Iterable[Any]:
    if isinstance(options, set | frozenset):
        raise ValueError("options are a list or tuple, not a set, whose order differs by process")
    if isinstance(options, str | bytes):
        raise ValueError(f"options are a list or tuple, not the text {options!r}")
    if not isinstance(options, Iterable):
        raise ValueError(f"options are a list or tuple, not {_named(options)}")
    return options


def _plain(value: Any) -> Option:
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()  # a scalar of numpy, or of torch
    if value is None or isinstance(value, bool):
        return value
    # Members of enumerations are numbers or text, too.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"an option must be finite, not {value}")
        return float(value)
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    advice = "; give it a name, and look that up where the network is built"
    raise ValueError(
        "an option is a number, text, a bool, None or a tuple of these, not "
        f"{_named(value)}{advice if callable(value) else ''}"
    )


def _named(value: Any) -> str:
    """The value in words that hold no address."""
    name = getattr(value, "__name__", None)
    if isinstance(name, str):
        kind = "class" if isinstance(value, type) else type(value).__name__.replace("_", " ")
        return f"the {kind} {name!r}"
    return f"a value of type {type(value).__name__!r}"
