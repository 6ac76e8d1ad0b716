"""The archive: what no member of any generation so far dominates, thinned out."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.search import Member
from pbtnas.search.archive import Archive, Archived
from pbtnas.search.fronts import Point, dominates

values = st.tuples(st.integers(0, 9).map(float), st.integers(0, 9).map(float))
histories = st.lists(
    st.lists(st.tuples(values, st.sampled_from([0.0, 0.0, 0.0, 0.5])), max_size=6), max_size=8
)
Seen = list[list[tuple[Point, float]]]


def members_of(generation: list[tuple[Point, float]]) -> list[Member]:
    return [Member(i, (0,), p[0], p, outside) for i, (p, outside) in enumerate(generation)]


def archives(history: Seen, size: int) -> list[Archive]:
    """The archive after each generation."""
    archive, found = Archive(size), []
    for number, generation in enumerate(history):
        archive = archive.after(number, members_of(generation))
        found.append(archive)
    return found


def brute_force(history: Seen) -> list[Archived]:
    """Everybody within bounds whom nobody within bounds dominates, the earliest of equals."""
    everybody = [
        Archived(number, member)
        for number, generation in enumerate(history)
        for member in members_of(generation)
        if not member.outside
    ]
    kept: list[Archived] = []
    for one in everybody:
        point = one.member.objectives
        beaten = any(dominates(other.member.objectives, point) for other in everybody)
        if not beaten and all(other.member.objectives != point for other in kept):
            kept.append(one)
    return kept


@given(histories)
def test_with_room_it_is_everybody_whom_nobody_dominates(history: Seen) -> None:
    """After each generation, compared with all members up to there at once."""
    for number, archive in enumerate(archives(history, size=99)):
        assert list(archive.kept) == brute_force(history[: number + 1])


@given(histories, st.integers(2, 4))
@settings(max_examples=60)
def test_without_room_it_is_thinned_and_nobody_returns(history: Seen, size: int) -> None:
    """It never holds more than its size, nor anybody whom another dominates, nor a member that it
    has been without before, whose checkpoint is garbage; and the best of each objective stay."""
    before: tuple[Archived, ...] = ()
    for number, archive in enumerate(archives(history, size)):
        whole = brute_force(history[: number + 1])
        assert len(archive.kept) <= size
        assert set(archive.kept) <= set(whole)
        assert all(a in before or a.generation == number for a in archive.kept)
        if whole:
            best = [max(a.member.objectives[axis] for a in whole) for axis in (0, 1)]
            kept = [a.member.objectives for a in archive.kept]
            assert [max(column) for column in zip(*kept, strict=True)] == best
        before = archive.kept


def test_the_front_counts_along_the_first_objective() -> None:
    """Its first place has the best of it, its last the worst, whatever generation they are of."""
    history = [[((1.0, 9.0), 0.0), ((5.0, 5.0), 0.0)], [((9.0, 1.0), 0.0), ((9.0, 9.0), 0.5)]]
    front = archives(history, 9)[-1].front()

    assert [(a.generation, a.member.number) for a in front] == [(1, 0), (0, 1), (0, 0)]


def test_with_one_objective_there_is_no_archive() -> None:
    """The best-ever is all that there is to keep."""
    members = [Member(0, (0,), 1.0), Member(1, (0,), 2.0, (2.0,))]

    assert Archive(9).after(0, members).kept == ()
