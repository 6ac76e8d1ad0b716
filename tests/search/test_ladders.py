"""Ladders: rungs between two numbers, and what is refused."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pbtnas.search import SearchSpace, Variable, ladder, layer


@given(
    low=st.floats(1e-12, 1e9),
    factor=st.floats(1.001, 1e12),
    steps=st.integers(1, 40),
    scale=st.sampled_from(["geometric", "linear"]),
    integer=st.booleans(),
)
def test_rungs_climb_from_exactly_low_to_exactly_high(
    low: float, factor: float, steps: int, scale: Any, integer: bool
) -> None:
    """Whatever the ends: rungs ascend, stay in range, have the ends as given, and survive JSON."""
    high = low * factor
    if integer:
        low, high = math.ceil(low), math.ceil(high)
        assume(low < high)
    try:
        variable = ladder("v", low, high, steps, scale=scale, integer=integer)
    except ValueError as error:
        assert "two rungs are equal" in str(error)
        return
    rungs: tuple[Any, ...] = variable.options

    assert len(rungs) == steps
    assert rungs[0] == low and (steps == 1 or rungs[-1] == high)
    assert all(a < b for a, b in pairwise(rungs))
    assert {type(rung) for rung in rungs} == {int if integer else float}
    assert repr(json.loads(json.dumps(rungs))) == repr(list(rungs))
    assert variable == Variable("v", rungs, ordered=True)


@pytest.mark.parametrize(
    ("made", "rungs"),
    [
        (ladder("v", 1e-4, 1e-2, 5), (0.0001, 0.000316227766, 0.001, 0.00316227766, 0.01)),
        (ladder("v", 16, 256, 5, integer=True), (16, 32, 64, 128, 256)),
        (ladder("v", 1, 3, 3), (1.0, 1.73205081, 3.0)),
        (ladder("v", 0, 1, 4, scale="linear"), (0.0, 0.333333333, 0.666666667, 1.0)),
        (ladder("v", -2, 2, 4, scale="linear", integer=True), (-2, -1, 1, 2)),
        (ladder("v", 0.1234567891234, 1, 1), (0.1234567891234,)),
        (ladder("v", np.float32(0.5), np.int64(2), 3), (0.5, 1.0, 2.0)),
        (ladder("v", 1.0, 4.0, 3, integer=True), (1, 2, 4)),
    ],
)
def test_the_rungs_are_those_of_the_documented_formula(
    made: Variable, rungs: tuple[float, ...]
) -> None:
    """Nine significant digits between the ends: the same on every machine, and in every digest."""
    assert repr(made.options) == repr(rungs)
    assert made.ordered and not made.modules


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 2, "high": 2}, "ladder 'v': expected low below high, not 2.0 and 2.0$"),
        ({"low": 3}, "expected low below high, not 3.0 and 2.0$"),
        ({"steps": 0}, "ladder 'v': steps: expected an integer of at least 1, not 0$"),
        ({"steps": 2.5}, "steps: expected an integer of at least 1, not 2.5$"),
        ({"steps": True}, "steps: expected an integer of at least 1, not True$"),
        ({"low": 0}, "ladder 'v': low: expected a number above 0, not 0.0, since the scale is geo"),
        ({"low": -1}, "low: expected a number above 0, not -1.0, .*; scale='linear' may begin any"),
        ({"low": "1"}, "ladder 'v': low: expected a finite number, not '1'$"),
        ({"low": math.nan}, "ladder 'v': low: expected a finite number, not nan$"),
        ({"high": math.inf}, "ladder 'v': high: expected a finite number, not inf$"),
        ({"high": True}, "ladder 'v': high: expected a finite number, not True$"),
        ({"high": 10**400}, "high: expected a finite number, not 10"),
        ({"low": 1.5, "integer": True}, "low: expected a whole number, not 1.5$"),
        ({"scale": "log"}, "scale: expected 'geometric' or 'linear', not 'log'$"),
        ({"steps": 3, "integer": True}, "steps: expected fewer than 3 .*rounded to whole numbers"),
        ({"high": 1 + 1e-12, "steps": 9}, "fewer than 9 between .* 9 significant digits$"),
        ({"low": 1e-300, "high": 1e300}, "too far apart: 1e-300 and 1e\\+300$"),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(arguments: dict[str, Any], message: str) -> None:
    """One sentence: the ladder, the argument, its value and what was expected."""
    with pytest.raises(ValueError, match=message):
        ladder("v", **{"low": 1, "high": 2, "steps": 2, **arguments})


@pytest.mark.parametrize(
    ("options", "modules", "message"),
    [
        ((1, 2), ("net",), "ladder 'v' owns modules, net: expected none"),
        ((2, 1), (), r"ladder 'v': expected ascending numbers as rungs, not \(2, 1\)"),
        ((1, 1.0), (), "expected ascending numbers as rungs"),
        (("a", "b"), (), "expected ascending numbers as rungs"),
        ((False, 1), (), "expected ascending numbers as rungs"),
    ],
)
def test_an_ordered_variable_is_numbers_without_weights(
    options: tuple[Any, ...], modules: tuple[str, ...], message: str
) -> None:
    """What moves from rung to rung has an order, and no weights that would have to move too."""
    with pytest.raises(ValueError, match=message):
        Variable("v", options, modules, ordered=True)
    with pytest.raises(ValueError, match="'v': ordered is True or False, not 1"):
        Variable("v", (1, 2), ordered=1)  # type: ignore[arg-type]


def test_a_space_knows_its_ladders_and_describes_them_in_short() -> None:
    """A table of 21 rungs would hide the other variables: the ends and the number are shown."""
    space = SearchSpace([layer("hidden", ("a", "b")), ladder("rate", 1e-4, 1e-2, steps=21)])

    assert space.ladders == (1,)
    assert space.describe()[1] == (1, "rate", "0.0001 to 0.01, a ladder of 21", "-")
    assert space.encode({"hidden": "b", "rate": 0.01}) == (1, 20)
