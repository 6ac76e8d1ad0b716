"""Statistics against scipy, the paper's facts, and what must hold for any numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis.compare.statistics import (
    bonferroni,
    bootstrap,
    cohens_dz,
    epochs_to_reach,
    signed_rank,
    smallest_p,
    spread,
    superiority,
)

finite = st.floats(-1e3, 1e3)
several = st.lists(finite, min_size=2, max_size=9)

STORED = [
    [1.2, -0.4, 3.1, 0.7, 2.2, -0.1, 0.9, 1.8, 4.0],
    [-13.0, 2.0, 7.5, 1.0, -3.5],
    [0.01, 0.02, -0.03, 0.04, 0.05, 0.06, 0.07, -0.08, 0.09, 0.10, 0.11, 0.12],
    [5.0],
]


@pytest.mark.parametrize("differences", STORED)
def test_signed_rank_agrees_with_scipy(differences):
    """Statistic and exact one-sided p are scipy's wherever scipy has an exact answer."""
    ours = signed_rank(differences)
    theirs = scipy.stats.wilcoxon(differences, alternative="greater", method="exact")

    assert ours.w_plus == theirs.statistic
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-12)


@pytest.mark.parametrize(
    ("lost", "p"), [((), 1 / 512), ((3,), 5 / 512), ((1, 2), 5 / 512), ((4,), 7 / 512)]
)
def test_nine_pairs_give_the_papers_p(lost, p):
    """n = 9: all won gives 1/512, W- = 3 gives 0.0098 and W- = 4 gives 0.0137."""
    differences = [-rank if rank in lost else rank for rank in range(1, 10)]

    found = signed_rank(differences)

    assert found.w_minus == sum(lost)
    assert found.p == p
    assert found.smallest_p == 1 / 512
    assert round(5 / 512, 4) == 0.0098 and round(7 / 512, 4) == 0.0137


@given(st.lists(st.integers(-3, 3), max_size=8))
def test_signed_rank_counts_every_sign_assignment(differences):
    """With ties and zeros, p is what enumerating all signs of the averaged ranks gives."""
    nonzero = [d for d in differences if d]
    ranks = scipy.stats.rankdata(np.abs(nonzero))
    observed = sum(rank for rank, d in zip(ranks, nonzero, strict=True) if d > 0)
    totals = [
        sum(itertools.compress(ranks, signs))
        for signs in itertools.product((0, 1), repeat=len(nonzero))
    ]

    found = signed_rank([float(d) for d in differences])

    assert found.p == sum(total >= observed for total in totals) / len(totals)
    assert found.ties == len(differences) - len(nonzero)
    assert found.pairs == len(differences)


@given(several)
@settings(max_examples=50, deadline=None)
def test_swapping_the_algorithms_mirrors_everything(differences):
    """Negated differences swap the rank sums and negate effect size and interval."""
    numbers = np.array(differences)
    here, there = signed_rank(numbers), signed_rank(-numbers)
    assert (here.w_plus, here.w_minus) == (there.w_minus, there.w_plus)
    assert here.p + there.p >= 1

    ours = bootstrap(numbers, np.random.default_rng(1), resamples=200)
    mirrored = bootstrap(-numbers, np.random.default_rng(1), resamples=200)
    assert ours.low == pytest.approx(-mirrored.high, abs=1e-9)
    assert ours.high == pytest.approx(-mirrored.low, abs=1e-9)
    assert cohens_dz(numbers) == -cohens_dz(-numbers)


@given(several, several)
def test_superiority_of_one_is_inferiority_of_the_other(first, second):
    """A12 of both directions adds up to one."""
    assert superiority(first, second) + superiority(second, first) == pytest.approx(1)


def test_superiority_agrees_with_the_mann_whitney_statistic():
    """A12 is U divided by the number of pairs, ties counting half."""
    first, second = [1.0, 2.0, 2.0, 5.0], [0.0, 2.0, 3.0]
    u = scipy.stats.mannwhitneyu(first, second).statistic

    assert superiority(first, second) == u / 12


def test_spread_says_which_standard_deviation():
    """ddof 0 divides by n as the paper's tables, 1 by n - 1; one value tells no spread."""
    assert spread([1.0, 3.0]).std == 1.0
    assert spread([1.0, 3.0], ddof=1).std == pytest.approx(math.sqrt(2))
    assert spread([4.0]).mean == 4.0
    assert math.isnan(spread([4.0]).std)
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_bootstrap_agrees_with_scipy():
    """The percentile interval is scipy's, up to the noise of resampling."""
    differences = np.array(STORED[0])
    ours = bootstrap(differences, np.random.default_rng(0), resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (differences,), np.mean, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval

    assert ours.low == pytest.approx(theirs.low, abs=0.05)
    assert ours.high == pytest.approx(theirs.high, abs=0.05)


def test_bootstrap_depends_on_its_generator_alone():
    """Equal seeds give equal intervals, other seeds others; one pair gives none."""
    one, same, other = (
        bootstrap(STORED[0], np.random.default_rng(seed), resamples=100) for seed in (3, 3, 4)
    )
    assert one == same != other
    assert math.isnan(bootstrap([1.0], np.random.default_rng(0)).low)


def test_effect_size_has_an_answer_at_its_edges():
    """d_z is mean over std, 0 for no difference, infinite for a constant one, NaN for one pair."""
    assert cohens_dz([1.0, 2.0, 3.0]) == 2.0
    assert cohens_dz([0.0, 0.0]) == 0.0
    assert cohens_dz([-1.0, -1.0]) == -math.inf
    assert math.isnan(cohens_dz([1.0]))


def test_bonferroni_multiplies_up_to_certainty():
    """p grows by the number of tests and never passes 1."""
    assert bonferroni(0.0125, 4) == 0.05
    assert bonferroni(0.5, 4) == 1.0
    assert smallest_p(9) == 1 / 512


def test_epochs_to_reach_finds_the_first_time():
    """The first time counts, NaN reaches nothing, and never is infinite."""
    epochs, scores = (10, 20, 30, 40), (0.1, math.nan, 0.6, 0.5)

    assert epochs_to_reach(epochs, scores, 0.5) == 30
    assert epochs_to_reach(epochs, scores, 0.1) == 10
    assert epochs_to_reach(epochs, scores, 0.7) == math.inf
