"""Turns one generation into what the page draws of it: pure functions from data to JSON data.

A column of the heat map is a generation, and so is a column of the family tree and of the options.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import (
    Evolution,
    best_scores,
    distinct_architectures,
    mean_entropy,
    option_shares,
    quartiles,
)

IN_WORK, WAITING = "in work", "waiting"
"""What a member without a result is."""

DIGITS = 4  # of a share


def population(history: History, number: int) -> dict[str, Any]:
    """Who was there in a generation, with which score, and whose child.

    Lists are by member, in the order of `members`; `bases` and `donors` are null for those who
    were there before.
    """
    generation = history.generations[number]
    members = sorted(generation.jobs.keys() | generation.results.keys())
    births = {m: born.birth for m in members if (born := history.birth(number, m)) is not None}
    results = {m: reported.result for m, reported in generation.results.items()}
    return {
        "generation": number,
        "selected": generation.selection is not None,
        "members": members,
        "scores": [_finite(results[m].score) if m in results else None for m in members],
        "states": [
            results[m].outcome if m in results else _state(history, number, m) for m in members
        ],
        "bases": [births[m].base if m in births else None for m in members],
        "donors": [births[m].donor if m in births else None for m in members],
    }


def evolved(evolution: Evolution, number: int, order: Sequence[int], work: int) -> dict[str, Any]:
    """What became of the population: order of its family tree, scores, options, diversity.

    Args:
        evolution: Evolution of the run.
        number: Number of the generation.
        order: Slots in the order of the family tree.
        work: Network-epochs of all members up to then.
    """
    here = evolution.only(number)
    found = {
        "order": list(order),
        "work": work,
        "epochs": evolution.epochs[number],
        "best": _finite(best_scores(here)[0]),
        "quartiles": quartiles(here.generations[0]),
        "distinct": distinct_architectures(here)[0],
    }
    if evolution.variables:
        found["entropy"] = round(float(mean_entropy(here)[0]), DIGITS)
        found["options"] = [
            [round(float(share), DIGITS) for share in shares[0]] for shares in option_shares(here)
        ]
    return found


def _finite(score: float | None) -> float | None:
    return score if score is not None and math.isfinite(score) else None


def _state(history: History, number: int, member: int) -> str:
    attempts = history.generations[number].attempts.get(member, ())
    return IN_WORK if attempts and attempts[-1].ended == "open" else WAITING
