"""Tables of rankings: the two baselines stand beside every arm, and what is unknown is missing."""

from __future__ import annotations

import numpy as np

from pbtnas.analysis import rank_tables, tables
from pbtnas.analysis.instances import read_arm, read_instance, simulate_truth
from pbtnas.search.partition import random_groups, similar_groups
from tests.analysis.supernets import made_rows, made_truth

TRUTH = made_truth()
ARMS = {
    "seeds": read_arm([made_rows(seed, rows=4) for seed in range(3)], TRUTH, k=4),
    "alone": read_arm([made_rows(9, rows=4)], TRUTH, k=4),
}


def test_baselines_stand_below_the_arms() -> None:
    """What needs no supernet is told in the same columns."""
    counts = [3 - i // 16 for i in range(64)]
    truth = simulate_truth(TRUTH, TRUTH * 0 + 0.01, np.random.default_rng(0), studies=2, seeds=2)
    table = rank_tables.arms_table(ARMS, TRUTH, k=4, weightless=counts, simulated=truth)

    names = [row[0] for row in table.rows]
    assert names == ["seeds", "alone", "each trained alone", "fewest weightless", "random"]
    text = tables.to_text(table).splitlines()
    assert next(line for line in text if line.startswith("random")).split() == [
        *("random", "–", "0.000000", "–", "–", "0.000000", "32.50", "16.25", "–", "–")
    ]
    fewest = next(line for line in text if line.startswith("fewest")).split()
    assert fewest[2:] == ["–", "–", "–", "–", "0.872872", "8.50", "4.25", "–", "–"]


def test_one_instance_is_told_but_for_s_tau() -> None:
    """S-Tau is missing, never 0, and what one instance can say is there."""
    table = rank_tables.arms_table(ARMS, TRUTH, k=4)
    text = tables.to_text(table).splitlines()

    cells = next(line for line in text if line.startswith("alone")).split()
    assert cells[2:5] == ["–", "–", "–"]
    assert 0 < float(cells[5]) < 1
    assert [row[0] for row in table.rows] == ["seeds", "alone", "random"]


def test_intervals_are_those_of_arms_with_several_instances() -> None:
    """One instance says nothing about others."""
    table = rank_tables.intervals_table(ARMS, k=4)

    assert [row[0] for row in table.rows] == ["seeds"]


def test_readings_have_a_column_an_instance() -> None:
    """Every number of each, and tau within groups where groups are given."""
    rows = {"a": made_rows(0, rows=4), "b": made_rows(1, rows=4)}
    found = {name: read_instance(each, TRUTH, k=4, between=2) for name, each in rows.items()}
    table = rank_tables.readings_table(found, k=4, between=2, subnets=64)
    row = rank_tables.groups_row(rows, TRUTH, random_groups(64, 16), 4)

    assert table.columns == ("metric", "a", "b")
    assert table.rows[0] == ("GT-Tau-Mean-4", found["a"].taus.mean, found["b"].taus.mean)
    assert row[0] == "within 16 groups: Mean-4"
    assert len(row) == len(table.columns)


def test_a_known_partition_is_named() -> None:
    """Whatever its labels are called."""
    letters = [chr(65 + label) for label in random_groups(64, 16)]

    assert rank_tables.about_groups(letters) == (
        "The 16 groups are the random partition of pbtnas."
    )
    assert "similar partition" in rank_tables.about_groups(similar_groups(64, 8))
    assert "of its own" in rank_tables.about_groups([0, 1, 1])
