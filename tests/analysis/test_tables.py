"""Tables: the same numbers in four forms."""

from __future__ import annotations

import csv
import io
import math

import pytest

from pbtnas.analysis.compare.comparison import compare, epochs_to_match
from pbtnas.analysis.compare.outcomes import Curve, Outcome
from pbtnas.analysis.compare.statistics import Interval, Spread
from pbtnas.analysis.compare.tables import pairs_table, reach_table, summary_table
from pbtnas.analysis.tables import Table, to_csv, to_latex, to_markdown, to_text, written

COMPARISON = compare(
    Outcome(f"{name}-{seed}", name, seed, value, "fid_5k", "gan", 7200)
    for name, values in {"pbt-nas": (12.1, 12.3, 12.2), "random": (13.3, 13.1, 13.7)}.items()
    for seed, value in enumerate(values)
)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Spread(13.2519, 1.642), "13.3 ± 1.6"),
        (Spread(0.92908, 0.00741), "0.9291 ± 0.0074"),
        (Spread(801.4, 70.2), "801 ± 70"),
        (Spread(3.0, math.nan), "3.0000 ± –"),
        (Interval(-0.00093, 0.00748), "[-0.0009, 0.0075]"),
        (0.0009765625, "0.000977"),
        (math.inf, "∞"),
        (math.nan, "–"),
        (7200, "7,200"),
        ("a|b", "a|b"),
    ],
)
def test_cells_show_the_digits_that_mean_something(cell, text):
    """Two digits of a spread, three of a number, and signs for what is not a number."""
    assert written(cell) == text


def test_summaries_say_ddof_metric_budget_and_direction():
    """A reader of the table alone knows what was averaged, how, and what is better."""
    text = to_text(summary_table(COMPARISON))

    for words in ("fid_5k", "7,200 network-epochs", "ddof = 0", "Larger is better"):
        assert words in text
    assert text.index("random") < text.index("pbt-nas")


def test_pairs_say_tests_correction_and_smallest_p():
    """The table names the test, what p was corrected for and what could be reached at all."""
    text = to_text(pairs_table(COMPARISON))

    for words in ("Wilcoxon", "Bonferroni", "2 tests", "smallest p", "0.125", "0.25 corrected"):
        assert words in text


def test_csv_holds_every_number_in_full():
    """A spread takes two columns, and numbers read back as they were."""
    rows = list(csv.DictReader(io.StringIO(to_csv(summary_table(COMPARISON)))))

    assert list(rows[0]) == ["algorithm", "seeds", "fid_5k mean", "fid_5k std"]
    assert float(rows[0]["fid_5k std"]) == COMPARISON.summaries[0].spread.std
    pairs = next(csv.DictReader(io.StringIO(to_csv(pairs_table(COMPARISON)))))
    assert float(pairs["95 % interval low"]) == COMPARISON.pairs[0].interval.low


def test_csv_keeps_a_lone_number_below_a_mean_in_its_column():
    """Whichever row comes first: no number slips into the column beside it."""
    alone, spread = ("optimum", 94.4, 1), ("darts", Spread(90.0, 0.5), 4)
    for rows in ((alone, spread), (spread, alone)):
        found = csv.DictReader(io.StringIO(to_csv(Table("", ("name", "found", "seeds"), rows))))
        by_name = {row["name"]: row for row in found}
        assert list(by_name["optimum"].values()) == ["optimum", "94.4", "", "1"]
        assert list(by_name["darts"].values()) == ["darts", "90.0", "0.5", "4"]


def test_markdown_and_latex_escape_what_would_break_them():
    """Bars, percent signs and underscores in names survive as text."""
    table = Table("50 % of a_b", ("name", "value"), (("a|b & c", 1.5),), ("A note.",))

    assert r"| a\|b & c | 1.50 |" in to_markdown(table)
    assert "| --- | ---: |" in to_markdown(table)
    latex = to_latex(table)
    assert r"\caption{50 \% of a\_b}" in latex
    assert r"a|b \& c & 1.50 \\" in latex
    assert r"\begin{tabular}{lr}" in latex


def test_every_line_of_a_terminal_table_is_aligned():
    """All rows and the header end their last column at the same place."""
    lines = to_text(pairs_table(COMPARISON)).splitlines()

    assert len({len(line) for line in (lines[2], lines[4])}) == 1


def test_reach_says_never_where_the_reference_was_not_matched():
    """Infinite epochs are shown as such, with how many seeds got there."""
    good = Curve("r", "random-search", 0, "score", (10, 20), (0.1, 0.9))
    bad = Curve("b", "bad", 0, "score", (10, 20), (0.1, 0.1))

    text = to_text(reach_table(epochs_to_match([good, bad])))

    assert "∞" in text
    assert "random-search" in text
