"""Measures how alike two rankings of the same subnets are ("Deeper insights into weight sharing").

Shapes: n subnets, R rows of accuracies (times or instances).  A larger accuracy is better.  NaN in
accuracies is a subnet without a score, which ranks last; ground truth has no NaN.  What is
undefined is NaN, never 0: a tau where one side is all equal, an S-Tau of one row.  Every function
takes n^2 time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """S-Tau of R rows: tau over the R (R - 1) / 2 pairs of them."""

    mean: float
    largest: float
    smallest: float


def kendall_tau(first: ArrayLike, other: ArrayLike) -> float:
    """Kendall's tau-b of two lists of n values.

    With P concordant and Q discordant pairs, and T pairs tied on one side only,
    tau = (P - Q) / sqrt((P + Q + T_first) (P + Q + T_other)).
    """
    return float(_taus(_orders(np.atleast_2d(first)), _orders(np.atleast_2d(other)))[0, 0])


def ground_truth_taus(rows: ArrayLike, truth: ArrayLike) -> Array:
    """GT-Tau of each row [R, n] with the ground truth [n]; float64 [R]."""
    return _taus(_orders(np.atleast_2d(rows)), _orders(np.atleast_2d(_checked(truth))))[:, 0]


def pairwise_taus(rows: ArrayLike) -> Array:
    """Tau between every two of the rows [R, n]; float64 [R, R]."""
    orders = _orders(np.atleast_2d(rows))
    return _taus(orders, orders)


def s_tau(rows: ArrayLike) -> Agreement:
    """S-Tau of the rows [R, n]: their mean tau with each other, the largest and the smallest.

    All NaN for fewer than two rows, or where one of them is all equal.
    """
    return agreement(pairwise_taus(rows))


def agreement(taus: Array) -> Agreement:
    """S-Tau from the taus [R, R] between every two rows, see `s_tau`."""
    pairs = taus[np.triu_indices(len(taus), k=1)]
    if not len(pairs):
        return Agreement(math.nan, math.nan, math.nan)
    return Agreement(float(pairs.mean()), float(pairs.max()), float(pairs.min()))


def ranks(values: ArrayLike) -> NDArray[np.int64]:
    """The rank of each of n values: 1 the largest, NaN last, ties by index; int64 [n]."""
    found = np.empty(np.shape(values), np.int64)
    found[_best_first(values)] = np.arange(1, found.size + 1)
    return found


def top_rank(accuracies: ArrayLike, truth: ArrayLike, count: int) -> float:
    """TnR: the best ground-truth rank among the `count` subnets with the largest accuracies.

    NaN where no subnet has an accuracy.
    Raises `ValueError` for a count that is not between 1 and n.
    """
    of_truth = ranks(_checked(truth))
    _check_count(count, len(of_truth))
    if not _any_score(accuracies):
        return math.nan
    return int(of_truth[_best_first(accuracies)[:count]].min())


def expected_top_rank(scores: ArrayLike, truth: ArrayLike, count: int) -> float:
    """TnR where ties are broken at random, in expectation.

    For rankings that tie many subnets, where the order of their indices means nothing: of equal
    scores alone it is what random subnets reach.  Raises what `top_rank` raises.
    """
    of_truth = ranks(_checked(truth))
    _check_count(count, len(of_truth))
    values = _filled(scores)
    best = len(of_truth)
    for score in np.unique(values)[::-1]:
        tied = np.sort(of_truth[values == score])
        if len(tied) > count:
            return _expected_smallest(np.minimum(tied, best).tolist(), count)
        best = min(best, int(tied[0]))
        count -= len(tied)
        if not count:
            break
    return best


def kept(accuracies: ArrayLike, truth: ArrayLike, best: int, within: int) -> float:
    """How many of the truly best subnets are among the `within` with the largest accuracies.

    NaN where no subnet has an accuracy.
    """
    if not _any_score(accuracies):
        return math.nan
    truly = _best_first(_checked(truth))[:best]
    return len(set(truly.tolist()) & set(_best_first(accuracies)[:within].tolist()))


def _expected_smallest(ascending: Sequence[int], count: int) -> float:
    """The expected smallest of `count` ranks that are drawn without replacement."""
    n = len(ascending)
    # Each rank is the smallest of those draws whose others come after it.
    ways = [math.comb(n - 1 - i, count - 1) for i in range(n)]
    return sum(rank * way for rank, way in zip(ascending, ways, strict=True)) / math.comb(n, count)


def _orders(rows: ArrayLike) -> Array:
    """The order of each pair of values of each row: 1, -1, or 0 for equal; [R, n (n - 1) / 2]."""
    values = _filled(rows)
    first, second = np.triu_indices(values.shape[1], k=1)
    a, b = values[:, first], values[:, second]
    return (a > b).astype(np.float64) - (a < b)


def _taus(first: Array, other: Array) -> Array:
    """Tau-b between the orders of rows [R, pairs] and [S, pairs]; float64 [R, S]."""
    untied = np.abs(first).sum(axis=1)[:, None] * np.abs(other).sum(axis=1)[None, :]
    taus: Array = (first @ other.T) / np.sqrt(np.where(untied == 0, np.nan, untied))
    return taus


def _best_first(values: ArrayLike) -> NDArray[np.int64]:
    return np.argsort(-_filled(values), kind="stable")


def _any_score(accuracies: ArrayLike) -> bool:
    return not np.isnan(np.asarray(accuracies, np.float64)).all()


def _filled(values: ArrayLike) -> Array:
    """The values with the smallest of all in place of NaN."""
    numbers = np.asarray(values, np.float64)
    return np.where(np.isnan(numbers), -np.inf, numbers)


def _checked(truth: ArrayLike) -> Array:
    numbers = np.asarray(truth, np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("ground truth is expected to be finite for every architecture")
    return numbers


def _check_count(count: int, n: int) -> None:
    if not 1 <= count <= n:
        raise ValueError(f"expected between 1 and {n} subnets, got {count}")
