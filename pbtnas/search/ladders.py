"""Makes ladders: ordered variables whose options are the rungs between two numbers.

A ladder is what a task searches besides its network, such as a learning rate.  Its rungs are
computed here once, so nothing that moves on it can leave its range.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Literal, get_args

from pbtnas.search.options import plain_options
from pbtnas.search.space import Variable

Scale = Literal["geometric", "linear"]

_DIGITS = 9  # significant ones of a rung: powers differ between machines in the 16th


def ladder(
    name: str,
    low: float,
    high: float,
    steps: int,
    *,
    scale: Scale = "geometric",
    integer: bool = False,
) -> Variable:
    """An ordered choice between two numbers; it carries no weights.

    Rung i of n = `steps` is `low * (high / low) ** (i / (n - 1))`, or
    `low + (high - low) * (i / (n - 1))` with scale "linear", rounded to nine significant digits,
    and then to the nearest whole number (halves to the even one) with `integer`.  The first is
    exactly `low` and the last exactly `high`; a single one is `low`.

    Args:
        name: Name, unique in the space.
        low: Smallest value; positive on a geometric ladder.
        high: Largest value.
        steps: Number of rungs, both ends included.
        scale: Whether neighbours have the same ratio or the same difference.
        integer: Whether the rungs are whole numbers; otherwise all are floats.

    Raises `ValueError` naming the ladder, the value and what was expected.
    """
    low, high = _end(name, "low", low, integer), _end(name, "high", high, integer)
    if not low < high:
        raise ValueError(f"ladder {name!r}: expected low below high, not {low!r} and {high!r}")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(
            f"ladder {name!r}: steps: expected an integer of at least 1, not {steps!r}"
        )
    if scale not in get_args(Scale):
        expected = " or ".join(map(repr, get_args(Scale)))
        raise ValueError(f"ladder {name!r}: scale: expected {expected}, not {scale!r}")
    if scale == "geometric" and low <= 0:
        raise ValueError(
            f"ladder {name!r}: low: expected a number above 0, not {low!r}, since the scale is "
            "geometric; scale='linear' may begin anywhere"
        )
    if not math.isfinite(float(high) / low if scale == "geometric" else float(high) - low):
        raise ValueError(f"ladder {name!r}: low and high are too far apart: {low!r} and {high!r}")
    between = [_between(low, high, i / (steps - 1), scale, integer) for i in range(1, steps - 1)]
    rungs = (low, *between, high)[:steps]
    if not all(below < above for below, above in pairwise(rungs)):
        what = "whole numbers" if integer else f"{_DIGITS} significant digits"
        raise ValueError(
            f"ladder {name!r}: steps: expected fewer than {steps} between {low!r} and {high!r}, "
            f"since two rungs are equal when they are rounded to {what}"
        )
    return Variable(name, rungs, ordered=True)


def _end(name: str, key: str, value: Any, integer: bool) -> float:
    """An end of the ladder as a plain number of the rungs' type."""
    expected = "a whole number" if integer else "a finite number"
    try:
        (plain,) = plain_options(name, (value,))
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            if not integer:
                return float(plain)
            if math.isfinite(float(plain)) and plain == int(plain):
                return int(plain)
    except (ValueError, OverflowError):
        pass  # no plain value, or an integer larger than any float
    raise ValueError(f"ladder {name!r}: {key}: expected {expected}, not {value!r}")


def _between(low: float, high: float, share: float, scale: Scale, integer: bool) -> float:
    if scale == "geometric":
        exact = low * (high / low) ** share
    else:
        exact = low + (high - low) * share
    rounded = float(f"{exact:.{_DIGITS}g}")
    return round(rounded) if integer else rounded
