"""Groups of architectures: of equal size, and the published ones bit for bit."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.search.partition import members_of, random_groups, same_partition, similar_groups

CELL64 = ["".join(digits) for digits in product("1234", repeat=3)]


def test_the_random_partition_of_the_paper_is_ours() -> None:
    """Four architectures that the published m=16 file has in one group are in one group here."""
    groups = members_of(random_groups(64, 16))

    assert {"143", "144", "344", "424"} in [{CELL64[i] for i in group} for group in groups]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_a_random_partition_is_numpys(members: int, groups: int, seed: int) -> None:
    """Every size, number and seed gives what the authors' line of numpy gives."""
    labels = [i % groups for i in range(members * groups)]
    np.random.RandomState(seed).shuffle(labels)  # noqa: NPY002  (the authors' generator)

    assert random_groups(members * groups, groups, seed=seed) == tuple(labels)


@pytest.mark.parametrize("cut", [random_groups, similar_groups])
@pytest.mark.parametrize("groups", [1, 2, 4, 8, 16, 32, 64])
def test_groups_have_equal_sizes(cut, groups) -> None:
    """Every architecture is in one group, and no supernet spans more than another."""
    found = members_of(cut(64, groups))

    assert sorted(i for group in found for i in group) == list(range(64))
    assert {len(group) for group in found} == {64 // groups}
    assert len(found) == groups


@pytest.mark.parametrize(
    ("groups", "agreement"),
    [(1, 1 / 4), (2, 1 / 3), (4, 1 / 2), (8, 7 / 12), (16, 3 / 4), (32, 5 / 6), (64, 1)],
)
def test_similar_groups_agree_in_their_choices(groups: int, agreement: float) -> None:
    """The more groups, the more choices their members share: the mean agreement of the paper's."""
    shared = [
        CELL64[i][at] == CELL64[j][at]
        for group in members_of(similar_groups(64, groups))
        for i in group
        for j in group
        for at in range(3)
    ]

    assert np.mean(shared) == pytest.approx(agreement)


@pytest.mark.parametrize("groups", [-1, 0, 3, 65])
def test_groups_that_do_not_divide_the_space_are_refused(groups: int) -> None:
    """Groups of unequal size would train their architectures unequally often."""
    for cut in (random_groups, similar_groups):
        with pytest.raises(ValueError, match=f"^{groups} groups do not divide 64 architectures"):
            cut(64, groups)


def test_partitions_are_compared_without_their_labels() -> None:
    """Labels may be numbers, text, or numbered otherwise."""
    assert same_partition([0, 0, 1, 2], ["b", "b", "a", "10"])
    assert not same_partition([0, 0, 1, 1], [0, 1, 1, 0])
    assert not same_partition([0, 0], [0, 0, 0])
