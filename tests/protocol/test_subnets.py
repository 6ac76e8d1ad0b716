"""Subnets are rated in pieces, each named by what it rates, and ranked."""

from __future__ import annotations

from pbtnas.protocol.subnets import Rating, Tuning, ranked, rating_items, ratings
from pbtnas.records.schema import Champion

NAMES = tuple(f"{number:02}" for number in range(40))
MEMBER = Champion(2, 0, 0.5, (0,), "digest")


def test_a_piece_is_named_by_all_that_decides_its_outcome() -> None:
    """Sixteen subnets each; other steps, statistics or weights are other records."""
    plain = rating_items({0: MEMBER}, {0: NAMES}, Tuning(), 1)
    assert [len(item.core["subnets"]) for item in plain] == [16, 16, 8]

    tuned = rating_items({0: MEMBER}, {0: NAMES}, Tuning((0, 4)), 1)
    batch = rating_items({0: MEMBER}, {0: NAMES}, Tuning(statistics="batch"), 1)
    other = rating_items({0: Champion(2, 0, 0.5, (0,), "other")}, {0: NAMES}, Tuning(), 1)
    items = [*plain, *tuned, *batch, *other]
    assert len({item.record for item in items}) == len(items)


def test_the_best_comes_first_and_what_has_no_score_last() -> None:
    """By the score that is asked for; equal ones stay in the order of the space."""
    found = [
        Rating("a", 0, (0.5, 0.1)),
        Rating("b", 0, (None, 0.3)),
        Rating("c", 1, (0.5, None)),
        Rating("d", 1, (0.9, 0.2)),
    ]
    assert [rating.subnet for rating in ranked(found, 0)] == ["d", "a", "c", "b"]
    assert [rating.subnet for rating in ranked(found, -1)] == ["b", "d", "a", "c"]


def test_ratings_come_back_in_the_order_of_the_pieces() -> None:
    """Whoever rated which piece."""
    items = rating_items({0: MEMBER}, {0: NAMES}, Tuning((0, 4)), 1)
    known = {
        item.record: {
            **item.core,
            "scores": {name: [float(name), None] for name in item.core["subnets"]},
        }
        for item in reversed(items)
    }
    found = list(ratings(items, known))
    assert [rating.subnet for rating in found] == list(NAMES)
    assert found[7] == Rating("07", 0, (7.0, None))
