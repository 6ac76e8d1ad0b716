"""The statistics of the study: small functions over paired numbers, in float64.

`differences` are always oriented so that positive means the first algorithm is better, and
paired by seed: runs of one seed share their initial population.  One test for every claim, as
in the paper: Wilcoxon's signed-rank test, one-sided, with Bonferroni's correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation; `std` is NaN when there is too little to tell."""

    mean: float
    std: float


@dataclass(frozen=True)
class Interval:
    """Both ends of a confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class SignedRank:
    """The outcome of a one-sided Wilcoxon signed-rank test.

    Args:
        pairs: Number of pairs compared, equal ones included.
        ties: Number of equal pairs, which the test leaves out.
        w_plus: Sum of the ranks of positive differences.
        w_minus: Sum of the ranks of negative differences.
        p: Probability of a `w_plus` at least this large if neither algorithm were better.
        smallest_p: Value of p if every pair were won: no data of so many pairs can give less.
    """

    pairs: int
    ties: int
    w_plus: float
    w_minus: float
    p: float
    smallest_p: float


def spread(values: Values, *, ddof: int = 0) -> Spread:
    """Mean and standard deviation over seeds.

    `ddof` 0 divides by n, as the paper's tables do; 1 divides by n - 1.  Of a single value no
    standard deviation is given, whatever `ddof`.  Raises `ValueError` for no values.
    """
    numbers = _numbers(values)
    if not len(numbers):
        raise ValueError("no values to average")
    few = len(numbers) <= max(1, ddof)
    return Spread(float(numbers.mean()), math.nan if few else float(numbers.std(ddof=ddof)))


def signed_rank(differences: Values) -> SignedRank:
    """Wilcoxon's signed-rank test of "the differences tend to be positive", exact for any n.

    Every assignment of signs to the ranks of the absolute differences is counted, so tied
    ranks (which get their mean) need no approximation.  Equal pairs are left out, as Wilcoxon
    did; with nothing left p is 1.
    """
    numbers = _numbers(differences)
    nonzero = numbers[numbers != 0]
    # Twice the ranks are whole numbers even where tied ranks are averaged.
    doubled = _doubled_ranks(np.abs(nonzero))
    plus = int(doubled[nonzero > 0].sum())
    total = int(doubled.sum())
    ways = _ways_to_reach(doubled.tolist())
    favourable = sum(ways[plus:])
    return SignedRank(
        pairs=len(numbers),
        ties=len(numbers) - len(nonzero),
        w_plus=plus / 2,
        w_minus=(total - plus) / 2,
        p=favourable / 2 ** len(nonzero),
        smallest_p=smallest_p(len(numbers)),
    )


def smallest_p(pairs: int) -> float:
    """The smallest p a one-sided signed-rank test of so many pairs can give: all pairs won."""
    return 0.5**pairs


def bonferroni(p: float, tests: int) -> float:
    """p corrected for having made so many tests: compare it with the uncorrected target."""
    return min(1.0, p * tests)


def bootstrap(
    differences: Values,
    rng: np.random.Generator,
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
) -> Interval:
    """Percentile bootstrap interval of the mean paired difference.

    Pairs (seeds) are drawn again with replacement; consumes `resamples * n` draws of `rng`.
    Percentile rather than BCa: both are too narrow for the few seeds of such studies, and only
    the percentile interval is defined for all of them.  A single pair gives NaN.
    """
    numbers = _numbers(differences)
    n = len(numbers)
    if n < 2:
        return Interval(math.nan, math.nan)
    means = numbers[rng.integers(n, size=(resamples, n))].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(low), float(high))


def cohens_dz(differences: Values) -> float:
    """Paired effect size: mean difference in units of the differences' std (ddof=1).

    0 where all are equal to zero, infinite where all are equal to something else, NaN for
    fewer than two pairs.
    """
    numbers = _numbers(differences)
    if len(numbers) < 2:
        return math.nan
    mean = float(numbers.mean())
    std = float(numbers.std(ddof=1))
    # Rounding may leave equal numbers a std, and underflow may take unequal ones theirs.
    if np.ptp(numbers) == 0 or std == 0:
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / std


def superiority(first: Values, second: Values) -> float:
    """Vargha and Delaney's A12: chance that a run of `first` has a larger value than one of
    `second`, equal values counting half.  0.5 means no difference; ignores the pairing.
    """
    a, b = _numbers(first)[:, None], _numbers(second)[None, :]
    return float((a > b).mean() + 0.5 * (a == b).mean())


def epochs_to_reach(epochs: Sequence[int], scores: Sequence[float], target: float) -> float:
    """Network-epochs spent when the best score first came to `target`; infinite if it never did.

    Larger scores are better; NaN (nobody has a score) reaches nothing.
    """
    for spent, score in zip(epochs, scores, strict=True):
        if score >= target:
            return float(spent)
    return math.inf


def _numbers(values: Values) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64)


def _doubled_ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Twice the rank of each value from 1, equal values sharing the mean of their ranks."""
    below = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    doubled: NDArray[np.int64] = 2 * below + equal + 1
    return doubled


def _ways_to_reach(doubled_ranks: Sequence[int]) -> list[int]:
    """How many subsets of the ranks have each sum, from 0 to the sum of all.

    Python integers: 2^n subsets overflow every fixed width.
    """
    ways = [1]
    for rank in doubled_ranks:
        longer = ways + [0] * rank
        for total, count in enumerate(ways):
            longer[total + rank] += count
        ways = longer
    return ways
