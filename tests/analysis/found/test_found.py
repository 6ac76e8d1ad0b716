"""What runs have found, by a table of published results: values, costs, refusals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pbtnas.analysis.compare.comparison import ComparisonError
from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.statistics import Spread
from pbtnas.analysis.compare.verdict import Question
from pbtnas.analysis.found.published import Published
from pbtnas.analysis.found.returned import returned
from pbtnas.analysis.found.study import found_tables, read_found
from pbtnas.records.schema import Result
from tests.analysis.test_supernets import history

A, B, C = (3, 3, 3, 3, 3, 3), (1, 1, 1, 1, 1, 1), (3, 3, 3, 1, 3, 2)
LACKING = (0, 0, 0, 0, 0, 1)
TABLE = Published(
    name="made",
    space="nb201",
    names=("111111", "333132", "333333", "444444"),
    data_sets=("CIFAR-10", "CIFAR-100"),
    accuracies=np.array([[50.0, 20.0], [94.0, 73.0], [93.0, 71.0], [80.0, 50.0]]),
    validation=np.array([[40.0, 10.0], [60.0, 30.0], [70.0, 30.0], [50.0, 40.0]]),
    landmarks={"all 3x3 convolutions": "333333"},
)
TABLES = {"nb201": TABLE}


def run(
    variant: str,
    seed: int,
    outcomes: Sequence[Sequence[Result]],
    architectures: Sequence[tuple[int, ...]],
    **task: Any,
) -> NamedRun:
    found = history(Path(f"{variant}-s{seed}"), outcomes, architectures)
    config = {**found.config, "run": {"seed": seed}, "task": {"name": "nb201", **task}}
    return NamedRun(variant, replace(found, config=config))


def result(member: int, score: float | None, cost: float | None = 1e9, **metrics: float) -> Result:
    costs = {} if cost is None else {"spent_multiply_adds": cost}
    return Result(member, "ok" if score else "diverged", score, costs | metrics, None)


def population(name: str, seed: int, best: tuple[int, ...] = C, cost: float = 1e9) -> NamedRun:
    """Two members, of which B leads in the first generation, and another one in the second."""
    outcomes = [
        [result(0, 0.5, cost), result(1, 0.4, cost)],
        [result(0, 0.6, cost), result(1, 0.7, cost)],
    ]
    return run(name, seed, outcomes, [B, best])


def supernet(name: str, seed: int, *choices: tuple[int, ...], cost: float = 1e9) -> NamedRun:
    """A supernet with a method, which chooses an architecture after each generation."""
    outcomes = [
        [result(0, 0.5, cost, **{f"chosen.{i}": float(o) for i, o in enumerate(choice)})]
        for choice in choices
    ]
    return run(name, seed, outcomes, [(0,)], name="supernet", space="nb201")


def tables(runs: Sequence[NamedRun], **options: Any) -> Mapping[str, Any]:
    question = Question(claims=options.pop("claims", None))
    return found_tables(read_found(runs, TABLES), TABLES, question, **options)


def test_the_best_member_or_what_a_supernet_chose_is_returned() -> None:
    """After each generation, with the multiply-adds of all members until then."""
    found = returned(population("pbt-nas", 1))
    chosen = returned(supernet("darts-1", 1, A, B))

    assert found.architectures == ("111111", "333132")
    assert found.costs == (2e9, 4e9)
    assert (found.shared, chosen.shared) == (False, True)
    assert chosen.architectures == ("333333", "111111")


def test_of_subnets_the_best_is_returned() -> None:
    """A supernet without a method returns what it scored best, in whatever group."""
    outcomes = [
        [
            result(0, 0.9, **{"subnet.333333": 0.3, "subnet.000000": math.nan}),
            result(1, 0.5, **{"subnet.111111": 0.4}),
        ]
    ]
    found = returned(run("groups", 1, outcomes, [(0,), (1,)], name="supernet", space="nb201"))

    assert found.architectures == ("111111",)


def test_a_diverged_job_costs_what_the_dearest_of_the_others_costs() -> None:
    """It does not say what it has cost, and was no less work for that."""
    outcomes = [[result(0, 0.5, 2e9), result(1, 0.4, 1e9), result(2, None, None)]]
    assert returned(run("a", 1, outcomes, [A, B, C])).costs == (5e9,)


def test_the_table_has_variants_and_baselines() -> None:
    """Accuracies, regret and percentile by hand, best variant first; random search replayed."""
    runs = [
        *(population("pbt-nas", seed, best) for seed, best in ((1, C), (2, A))),
        *(supernet("nb201.darts-1", seed, B, B, cost=2e9) for seed in (1, 2)),
    ]
    rows = {row[0]: row[1:] for row in tables(runs)["found"].rows}

    assert list(rows)[:2] == ["pbt-nas", "darts-1"]
    assert rows["pbt-nas"][:2] == (2, Spread(93.5, 0.5))
    assert rows["pbt-nas"][3:6] == (0.5, 62.5, 4.0)
    assert rows["darts-1"][1:5] == (Spread(50.0, 0.0), Spread(20.0, 0.0), 44.0, 0.0)
    assert rows["mean of the table"][1] == Spread(79.25, pytest.approx(17.77, abs=0.01))
    assert rows["all 3x3 convolutions: 333333"][1:5] == (93.0, 71.0, 1.0, 50.0)
    assert rows["optimum of each"][1:5] == (94.0, 73.0, 0.0, 75.0)
    # By validation the third is the best on CIFAR-10, and the last on CIFAR-100.
    best = rows["best of 100 random"]
    assert (best[1], best[2]) == (Spread(93.0, 0.0), Spread(50.0, 0.0))


def test_unequal_costs_are_refused_or_read_where_the_cheapest_ended() -> None:
    """The dearer run is then worth what it would have returned for that cost."""
    runs = [supernet("darts-1", 1, B, cost=2e9), population("pbt-nas", 1)]
    with pytest.raises(ComparisonError, match="darts-1-s1 has cost 2e.09 .*-s1 4e.09.*at-eq"):
        tables(runs)

    found = tables(runs, at_equal_cost=True)

    rows = {row[0]: row[1:] for row in found["architectures"].rows}
    assert rows["pbt-nas"] == (1, "111111", 50.0, 20.0)
    assert "at 2.0 * 10^9" in found["found"].title


def test_a_run_that_had_nothing_to_return_yet_is_named() -> None:
    """Its first generation had cost more than the cheapest run in all."""
    runs = [supernet("darts-1", 1, B), population("pbt-nas", 1)]

    found = tables(runs, at_equal_cost=True)

    assert {row[0]: row[2] for row in found["architectures"].rows}["pbt-nas"] == "-"
    assert "0 of 1 runs; pbt-nas-s1 had nothing to return yet" in " ".join(found["found"].notes)


def test_costs_that_nobody_counted_are_refused() -> None:
    """With the option that counts them; a single run needs none."""
    uncounted = run("a", 1, [[result(0, 0.5, None)]], [A])
    with pytest.raises(ComparisonError, match="a-s1 does not say .* task.count_cost: true"):
        tables([uncounted, population("pbt-nas", 1)])

    assert tables([uncounted])["found"].rows[0][2].mean == 93.0


def test_an_architecture_that_the_table_lacks_has_no_value() -> None:
    """Its row is empty, and the mean says of how many runs it is."""
    runs = [population("pbt-nas", 1), population("pbt-nas", 2, LACKING)]

    found = tables(runs)

    rows = {row[1]: row[2:] for row in found["architectures"].rows}
    assert rows[2][0] == "000001"
    assert math.isnan(rows[2][1])
    assert found["found"].rows[0][2].mean == 94.0
    assert "pbt-nas: the mean of 1 of 2 runs; the table lacks 000001." in found["found"].notes


def test_claims_are_tested_by_seed_and_corrected() -> None:
    """Three wins of three have the p of 1 / 8, twice with two claims; unknown names are refused."""
    runs = [
        *(population("pbt-nas", seed) for seed in (1, 2, 3)),
        *(supernet("darts-1", seed, B, B, cost=2e9) for seed in (1, 2, 3)),
    ]
    claims = [("pbt-nas", "darts-1"), ("darts-1", "pbt-nas")]

    (first, second) = tables(runs, claims=claims)["pairs"].rows

    assert (first[:4], first[7:9]) == (("pbt-nas", "darts-1", 3, 44.0), (0.125, 0.25))
    assert second[7] == 1.0
    with pytest.raises(ComparisonError, match="names algorithm 'gdas'; there are runs of darts-1"):
        tables(runs, claims=[("gdas", "darts-1")])


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ({"name": "cell64"}, "a-s1 searches the space cell64, expected .*: made is of nb201"),
        ({"name": "supernet"}, "a-s1 searches the space cell64, expected"),
        ({"name": "gan"}, "a-s1 is of the task gan, which searches no space with a table"),
    ],
)
def test_a_table_of_another_space_is_refused(task: dict[str, str], told: str) -> None:
    """And a task that searches a space without any."""
    with pytest.raises(ComparisonError, match=told):
        tables([run("a", 1, [[result(0, 0.5)]], [A], **task)])


def test_what_a_method_leaves_out_stands_in_its_row() -> None:
    """It makes the space smaller, and its task easier."""
    outcomes = [[result(0, 0.5, **{f"chosen.{i}": 3.0 for i in range(6)})]]
    task = {"name": "supernet", "space": "nb201", "exclude": ["none"]}

    (row, *_) = tables([run("gaea", 1, outcomes, [(0,)], **task)])["found"].rows

    assert row[0] == "gaea (without none)"
