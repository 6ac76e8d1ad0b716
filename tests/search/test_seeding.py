"""Seeds: stable for ever, and different for everything that differs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbtnas.search.seeding import derive, stream

parts = st.lists(st.integers(0, 2**40), max_size=3)
purposes = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=8)
named = st.tuples(st.integers(0, 2**63), purposes, parts)


def test_seeds_are_pinned() -> None:
    """Stored fingerprints rest on these numbers: they may never change."""
    assert 3490144256788916143 == derive(0, "job", 3, 11)
    assert 1092408038 == stream(7, "mix", 2, 5).getrandbits(32)


@given(named, named)
def test_different_purposes_generations_and_members_have_different_seeds(
    one: tuple[int, str, list[int]], other: tuple[int, str, list[int]]
) -> None:
    """The text that is hashed tells its parts apart; the seed fits a signed 64-bit integer."""
    first, second = derive(one[0], one[1], *one[2]), derive(other[0], other[1], *other[2])

    assert (one == other) == (first == second)
    assert 0 <= first < 2**63


def test_neighbouring_runs_share_no_seed() -> None:
    """Run s in one generation never repeats what run s + 1 did in another."""
    seeds = [
        derive(run, "job", generation, member)
        for run in range(20)
        for generation in range(30)
        for member in range(24)
    ]

    assert len(seeds) == len(set(seeds))
