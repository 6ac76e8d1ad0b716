"""docs/protocol.md says of each section of a state what mixing does with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pbtnas.checkpoints import files as checkpoints
from pbtnas.search import Birth, SearchSpace, layer
from pbtnas.state import State, lazily
from pbtnas.weights import carry_out
from tests.checkpoints.plain import read
from tests.docs.test_docs import PROTOCOL, rows

SPACE = SearchSpace([layer("taken", ("a", "b")), layer("left", ("a", "b"))])
BIRTH = Birth(0, 1, 2, (0,), (0, 0), seed=5, shrink=0.5, perturb=0.25)
VALUES = {
    "shrink · donor + perturb · fresh": 0.5 * 10 + 0.25 * 100,
    "base": 1.0,
    "donor": 10.0,
    "fresh": 100.0,
    "nothing": None,
}
"""What a cell of the table means, for states that hold 1, 10 and 100 throughout."""

Make = Callable[[float], Tensor]


def floats(value: float) -> Tensor:
    return torch.full((2,), value)


def integers(value: float) -> Tensor:
    return torch.full((2,), int(value))


def misfits(value: float) -> list[Tensor]:
    """Tensors that cannot take the place of those two: another shape, another dtype."""
    return [torch.full((3,), value), torch.full((2,), value, dtype=torch.float64)]


# The rows of the table: a section, the names of a tensor of the inherited variable and of
# another in it, and what makes one.
SECTIONS: dict[str, tuple[str, str, str, Make]] = {
    "`live`, floating point": ("live", "taken.w", "left.w", floats),
    "`live`, integers": ("live", "taken.w", "left.w", integers),
    "`buffers`": ("buffers", "taken.mean", "left.mean", floats),
    "`averaged`": ("averaged", "taken.w", "left.w", floats),
    "`optimizer`": ("optimizer", "taken.w/m", "left.w/m", floats),
    "`extra`, names that begin with `donor.`": ("extra", "donor.taken.x", "donor.x", floats),
    "`extra`, other names": ("extra", "taken.x", "x", floats),
}

TABLE = {
    row[0]: row[1:]
    for row in rows(PROTOCOL)
    if re.match("`(live|buffers|aver|opt|extra|info)", row[0])
}


def state(value: float, section: str, tensors: dict[str, Tensor]) -> State:
    """A member with these tensors in a section; its parameters are there in any case."""
    member = State(live={"taken.w": floats(value), "left.w": floats(value)}, info={"i": value})
    getattr(member, section).update(tensors)
    return member


def mixed(tmp_path: Path, base: State, donor: State, fresh: State) -> State:
    """The child as a search makes it: an overlay on its base's checkpoint, read again."""
    plan = carry_out(SPACE, BIRTH, base=lazily(base), donor=lazily(donor), fresh=lazily(fresh))
    base_file, overlay_file = tmp_path / "base", tmp_path / "overlay"
    checkpoints.write(base_file, base, algorithm="sha256")
    checkpoints.write_overlay(overlay_file, plan.overlay, plan.origins, algorithm="sha256")
    return read([overlay_file, base_file])


def value_of(tensors: dict[str, Tensor], name: str) -> float | None:
    return float(tensors[name].flatten()[0]) if name in tensors else None


def test_the_table_has_every_section() -> None:
    """No section of a state is left out, and none is invented."""
    assert {*SECTIONS, "`info`"} == TABLE.keys()
    assert {f"`{section}`" for section in (*State.SECTIONS, "info")} == {
        row.partition(",")[0] for row in TABLE
    }


@pytest.mark.parametrize("row", SECTIONS)
def test_a_section_is_mixed_as_the_table_says(tmp_path: Path, row: str) -> None:
    """The child has the values that the table gives for inherited and for other variables."""
    section, taken, left, make = SECTIONS[row]
    base, donor, fresh = (
        state(v, section, {taken: make(v), left: make(v)}) for v in (1.0, 10.0, 100.0)
    )

    child = getattr(mixed(tmp_path, base, donor, fresh), section)

    assert VALUES[TABLE[row][0]] == value_of(child, taken)
    assert VALUES[TABLE[row][1]] == value_of(child, left)


@pytest.mark.parametrize("row", SECTIONS)
def test_what_the_chosen_parent_lacks_is_as_the_table_says(tmp_path: Path, row: str) -> None:
    """The last column holds where the parent that the other columns name has no such tensor."""
    section, taken, left, make = SECTIONS[row]
    for name, cell in ((taken, TABLE[row][0]), (left, TABLE[row][1])):
        lacking = "donor" if "donor" in cell else "base"
        parents = {
            who: state(v, section, {} if who == lacking else {name: make(v)})
            for who, v in (("base", 1.0), ("donor", 10.0))
        }
        getattr(parents[lacking], section).pop(name, None)
        fresh = state(100.0, section, {name: make(100.0)})

        child = mixed(tmp_path, parents["base"], parents["donor"], fresh)

        assert VALUES[TABLE[row][2]] == value_of(getattr(child, section), name)


@pytest.mark.parametrize("row", [row for row in SECTIONS if TABLE[row][2] == "fresh"])
def test_another_shape_or_dtype_does_not_fit(tmp_path: Path, row: str) -> None:
    """A tensor that the child's architecture cannot load counts as one that is not there."""
    section, taken, left, make = SECTIONS[row]
    for misfit in (0, 1):
        base, donor = (
            state(v, section, {taken: misfits(v)[misfit], left: misfits(v)[misfit]})
            for v in (1.0, 10.0)
        )
        fresh = state(100.0, section, {taken: make(100.0), left: make(100.0)})

        child = getattr(mixed(tmp_path, base, donor, fresh), section)

        assert [100.0, 100.0] == [value_of(child, taken), value_of(child, left)]


def test_moments_follow_the_parameter(tmp_path: Path) -> None:
    """A moment is kept exactly where the child has its parameter from the base."""
    members = [
        state(v, "optimizer", {"taken.w/m": floats(v), "left.w/m": floats(v)})
        for v in (1.0, 10.0, 100.0)
    ]
    members[2].live["left.w"] = torch.zeros(3)  # the child's is wider: fresh

    assert mixed(tmp_path, *members).optimizer == {}


def test_info_is_as_the_table_says(tmp_path: Path) -> None:
    """What is not a tensor goes to the child as it is, and is not completed by the others."""
    base, donor, fresh = State(info={"i": 1}), State(info={"i": 10, "d": 10}), State(info={"f": 1})

    child = mixed(tmp_path, base, donor, fresh)

    assert (TABLE["`info`"], child.info) == (["base", "base", "nothing"], {"i": 1})
