"""Averages of states, against states of a few numbers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pbtnas.state import State
from pbtnas.tasks.checking.rehearsal import copy_of, difference
from pbtnas.weights.averaging import average


def state(value: float) -> State:
    def of(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.full(shape, value, dtype=dtype)

    return State(
        live={"encoder.weight": of(2, 3), "actor.weight": of(2), "actor.bits": of(1).long()},
        buffers={"encoder.norm.u": of(2), "actor.norm.weight_v": of(2), "actor.running_var": of(2)},
        averaged={"actor.weight": of(2, dtype=torch.bfloat16)},
        optimizer={"actor.weight/exp_avg": of(2)},
        extra={"environment.state": of(4)},
        info={"steps": value},
    )


def test_what_is_a_weight_is_averaged_and_the_rest_is_the_bests() -> None:
    """Parameters, running estimates and averaged copies; not integers, singular vectors,
    moments, and what has no owner."""
    soup = average(state(1), [state(2), state(6)])

    for section, name in (
        ("live", "encoder.weight"),
        ("live", "actor.weight"),
        ("buffers", "actor.running_var"),
        ("averaged", "actor.weight"),
    ):
        ours, best = getattr(soup, section)[name], getattr(state(1), section)[name]
        assert (ours.dtype, ours.shape) == (best.dtype, best.shape)
        assert torch.equal(ours, torch.full_like(best, 3)), name
        getattr(soup, section)[name] = best
    assert difference(soup, state(1)) is None


def test_one_part_is_averaged_and_the_others_are_the_bests() -> None:
    """Modules are whole dotted parts: `act` is not `actor`."""
    soup = average(state(1), [state(3)], ["encoder", "act"])

    assert torch.equal(soup.live["encoder.weight"], torch.full((2, 3), 2.0))
    soup.live["encoder.weight"] = state(1).live["encoder.weight"]
    assert difference(soup, state(1)) is None


@given(
    numbers=st.lists(
        st.floats(-(2.0**99), 2.0**99, width=32, allow_subnormal=False), min_size=1, max_size=20
    ),
    count=st.integers(0, 40),
)
@settings(deadline=None)
def test_the_average_of_copies_is_the_state_itself(numbers: list[float], count: int) -> None:
    """To the bit, whatever the numbers; nothing given is written to."""
    best = State(live={"weight": torch.tensor(numbers)})
    kept = copy_of(best)

    soup = average(best, [kept] * count)

    assert difference(soup, kept) is None
    assert difference(best, kept) is None
    assert soup.live["weight"].data_ptr() != best.live["weight"].data_ptr()


def test_what_does_not_fit_is_named() -> None:
    """Another architecture cannot be averaged in."""
    lacking, other = state(1), state(1)
    del lacking.live["actor.weight"]
    other.live["encoder.weight"] = torch.zeros(3, 3)

    with pytest.raises(ValueError, match="'actor.weight' has shape .2. in .* but is missing"):
        average(state(1), [lacking])
    with pytest.raises(ValueError, match=r"'encoder.weight'.*\[2, 3\].*\[3, 3\]"):
        average(state(1), [other])
