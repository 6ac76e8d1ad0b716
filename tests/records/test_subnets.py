"""Scores of many subnets are folded for people."""

from __future__ import annotations

from pbtnas.records.subnets import folded


def test_many_subnets_are_the_best_and_the_median() -> None:
    """The other metrics come first and stay as they are."""
    scores = {f"subnet.{i}": i / 10 for i in (3, 1, 5, 2, 4)}

    assert folded({**scores, "loss": 2.0}) == {
        "loss": 2.0,
        "best of 5 subnets (5)": 0.5,
        "median of 5 subnets": 0.3,
    }


def test_few_subnets_are_listed() -> None:
    """Those of a small group need no folding."""
    few = {f"subnet.{i}": i / 10 for i in range(4)}

    assert folded(few) == few
