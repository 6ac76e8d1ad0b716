"""Names of subnets, and the groups of which each has a supernet."""

from __future__ import annotations

import pytest

from pbtnas.models.cell64.networks import cell64_space
from pbtnas.search.space import SearchSpace, switch
from pbtnas.supernet.parts import Grouping, parts_of, subnets_of

SUBNETS = subnets_of(cell64_space())


def test_subnets_have_the_names_of_the_paper() -> None:
    """Three digits, in the order of the index."""
    assert list(SUBNETS)[:5] == ["111", "112", "113", "114", "121"]
    assert SUBNETS["434"] == (3, 2, 3)
    assert [16 * a + 4 * b + c for a, b, c in SUBNETS.values()] == list(range(64))


def test_options_beyond_nine_have_names_that_cannot_be_mistaken() -> None:
    """1-12 is not 11-2."""
    names = list(subnets_of(SearchSpace([switch(v, tuple(range(12))) for v in "ab"])))

    assert len(set(names)) == 144
    assert {"1-12", "11-2", "11"} <= set(names)


@pytest.mark.parametrize("grouping", ["random", "similar"])
def test_as_many_groups_as_subnets_are_the_subnets_in_order(grouping: Grouping) -> None:
    """So member 17 of such a run has the same architecture as that of a run of all, each alone."""
    parts = parts_of(SUBNETS, 64, grouping)

    assert [list(part) for part in parts.values()] == [[name] for name in SUBNETS]
    assert list(parts)[:2] == ["g00", "g01"]


def test_groups_are_those_of_the_paper() -> None:
    """One is the published random partition into 16; the similar ones are slices."""
    assert ["143", "144", "344", "424"] in map(list, parts_of(SUBNETS, 16, "random").values())
    assert list(parts_of(SUBNETS, 16, "similar")["g01"]) == ["121", "122", "123", "124"]
    assert list(parts_of(SUBNETS, 1, "random")) == ["all"]
