"""Comparing algorithms: pairing, order, corrections, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbtnas.analysis.compare.comparison import ComparisonError, compare, epochs_to_match
from pbtnas.analysis.compare.outcomes import Curve, Outcome
from pbtnas.analysis.compare.statistics import smallest_p

TASK = '{"name": "digits"}'


def outcome(algorithm: str, seed: int, value: float) -> Outcome:
    return Outcome(f"{algorithm}-{seed}", algorithm, seed, value, "accuracy", TASK, 7200)


def study(**values: list[float]) -> list[Outcome]:
    return [outcome(name, seed, v) for name, vs in values.items() for seed, v in enumerate(vs)]


MIXED = study(ours=[0.9, 0.8, 0.95, 0.7], random=[0.6, 0.85, 0.5, 0.65], searl=[0.7, 0.7, 0.7, 0.7])


def test_differences_are_paired_by_seed():
    """Each difference is between runs of one seed, positive where the first is better."""
    pair = compare(MIXED, claims=[("ours", "random")]).pairs[0]

    assert pair.seeds == (0, 1, 2, 3)
    assert pair.differences == pytest.approx((0.3, -0.05, 0.45, 0.05))
    assert pair.mean == pytest.approx(0.1875)
    assert (pair.test.w_plus, pair.test.w_minus) == (8.5, 1.5)


@given(st.permutations(MIXED))
@settings(max_examples=15, deadline=None)
def test_the_order_of_runs_never_matters(runs):
    """A comparison is the same for any order of its runs."""
    assert compare(runs) == compare(MIXED)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_swapping_two_algorithms_mirrors_their_pair(values):
    """Claiming the opposite negates gains and interval and swaps the rank sums."""
    runs = study(a=[a for a, _ in values], b=[b for _, b in values])
    here, there = compare(runs, claims=[("a", "b"), ("b", "a")]).pairs

    assert here.differences == tuple(-d for d in there.differences)
    assert here.mean == -there.mean
    assert here.interval.low == pytest.approx(-there.interval.high, abs=1e-12)
    assert here.test.w_plus == there.test.w_minus
    assert here.a12 + there.a12 == pytest.approx(1)


def test_without_claims_the_better_mean_comes_first_and_both_directions_are_corrected():
    """Three algorithms are three pairs, and six one-sided tests to correct for."""
    found = compare(MIXED)

    assert [s.algorithm for s in found.summaries] == ["ours", "searl", "random"]
    assert [(p.better, p.worse) for p in found.pairs] == [
        ("ours", "searl"),
        ("ours", "random"),
        ("searl", "random"),
    ]
    assert found.tests == 6
    assert all(p.corrected_p == min(1, 6 * p.test.p) for p in found.pairs)
    assert all(p.test.smallest_p == smallest_p(4) for p in found.pairs)


def test_claims_fixed_beforehand_are_corrected_for_their_number_alone():
    """The paper's two claims of a metric cost a factor of two."""
    claims = [("ours", "random"), ("ours", "searl")]
    found = compare(MIXED, claims=claims)

    assert [(p.better, p.worse) for p in found.pairs] == claims
    assert [p.corrected_p for p in found.pairs] == [min(1, 2 * p.test.p) for p in found.pairs]


def test_claims_may_belong_to_more_tests_than_are_made_here():
    """The paper corrects two tables' claims for the four of both; fewer than here is refused."""
    claims = [("ours", "random"), ("ours", "searl")]
    found = compare(MIXED, claims=claims, tests=4)

    assert found.tests == 4
    assert all(pair.corrected_p == min(1.0, 4 * pair.test.p) for pair in found.pairs)
    with pytest.raises(ComparisonError, match="2 tests are made here: expected no fewer in all"):
        compare(MIXED, claims=claims, tests=1)


def test_a_metric_to_minimise_turns_every_comparison_round():
    """Of FIDs the smaller is better: it comes first and gains are positive."""
    found = compare(MIXED, maximise=False)

    assert found.summaries[0].algorithm == "random"
    assert all(pair.mean >= 0 for pair in found.pairs)
    assert found.pairs[0].better == "random"


def test_seeds_that_only_one_algorithm_has_are_said_and_left_out():
    """Pairs are made of the seeds both have; the others are named in a sentence."""
    runs = [*study(a=[1, 2, 3], b=[0, 1]), outcome("c", 9, 5.0)]
    found = compare(runs)

    pairs = {(p.better, p.worse): p.seeds for p in found.pairs}
    assert pairs == {("a", "b"): (0, 1)}
    assert "a and b are not paired in seeds 2" in found.unpaired
    assert len(found.unpaired) == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metric": "fid"}, ["accuracy", "fid", "ours-0", "ours-1"]),
        ({"budget": 3600}, ["7200", "3600", "ours-0", "ours-1"]),
        ({"task": '{"name": "gan"}'}, ["name digits and gan", "ours-0", "ours-1"]),
        ({"seed": 0}, ["ours-0", "ours-1", "seed 0"]),
        ({"value": math.nan}, ["ours-1", "nan"]),
    ],
)
def test_runs_that_differ_in_kind_are_refused_in_one_sentence_naming_both(change, words):
    """Metrics, tasks and budgets are never mixed, nor a run counted twice."""
    runs = [replace(o, **change) if o.run == "ours-1" else o for o in MIXED]

    with pytest.raises(ComparisonError) as refusal:
        compare(runs)

    assert all(word in str(refusal.value) for word in words)
    assert "\n" not in str(refusal.value)


def test_nothing_and_unknown_names_are_refused():
    """Without runs there is nothing to compare; a claim must name algorithms with runs."""
    with pytest.raises(ComparisonError, match="no finished runs"):
        compare([])
    with pytest.raises(ComparisonError, match=r"'pbt'; there are runs of ours, random, searl"):
        compare(MIXED, claims=[("ours", "pbt")])


def curve(algorithm: str, seed: int, scores: tuple[float, ...], metric: str = "accuracy") -> Curve:
    epochs = tuple(100 * (i + 1) for i in range(len(scores)))
    return Curve(f"{algorithm}-{seed}", algorithm, seed, metric, epochs, scores)


def test_epochs_to_match_are_counted_against_the_reference_of_the_same_seed():
    """Each seed has its own target; one that never gets there counts as infinite."""
    runs = [
        curve("random-search", 0, (0.1, 0.2, 0.4)),
        curve("random-search", 1, (0.1, 0.2, 0.9)),
        curve("ours", 0, (0.1, 0.4, 0.5)),
        curve("ours", 1, (0.1, 0.9, 0.9)),
        curve("ours", 7, (1.0, 1.0, 1.0)),
        curve("bad", 0, (0.0, 0.0, 0.0)),
    ]
    ours, reference, bad = epochs_to_match(runs)

    assert (ours.algorithm, ours.reached, ours.seeds, ours.median_epochs) == ("ours", 2, 2, 200)
    assert ours.share == pytest.approx(2 / 3)
    assert (reference.algorithm, reference.median_epochs) == ("random-search", 300)
    assert (bad.reached, bad.median_epochs) == (0, math.inf)


def test_epochs_to_match_refuses_what_it_cannot_judge():
    """A missing reference, another metric and a reference without a score are said."""
    ours = curve("ours", 0, (0.5,))
    with pytest.raises(ComparisonError, match="no run of 'random-search'"):
        epochs_to_match([ours])
    with pytest.raises(ComparisonError, match="'accuracy' and run random-search-0 'fid'"):
        epochs_to_match([ours, curve("random-search", 0, (0.5,), metric="fid")])
    with pytest.raises(ComparisonError, match="without a finite score"):
        epochs_to_match([ours, curve("random-search", 0, (math.nan,))])
