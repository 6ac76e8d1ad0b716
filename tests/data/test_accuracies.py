"""Files of accuracies and of groups: their columns find the architectures of the table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pbtnas.data.accuracies import read_accuracies, read_labels
from pbtnas.data.ground_truth import TableError
from tests.data.tables import accuracy_file, write

NAMES = ("111", "112", "113")
ROWS = "step,111,112,113\n7,0.5,0.25,nan\n9,0.75,0.5,1\n"


def test_columns_are_found_by_name_or_number(tmp_path: Path) -> None:
    """Named columns may stand in any order; numbers are the table's order."""
    values = np.array([[0.5, 0.25, 0.125], [0.75, 0.5, 1.0]])
    numbered = read_accuracies(accuracy_file(tmp_path, values), NAMES)
    turned = read_accuracies(accuracy_file(tmp_path, values[:, ::-1], NAMES[::-1]), NAMES)

    assert np.array_equal(numbered.values, values)
    assert np.array_equal(turned.values, values)
    assert numbered.steps.tolist() == [0, 1]


def test_a_subnet_without_a_score_is_nan(tmp_path: Path) -> None:
    """Its outputs were not finite then; the other subnets of the row count."""
    found = read_accuracies(write(tmp_path, ROWS), NAMES)

    assert found.steps.tolist() == [7, 9]
    assert math.isnan(found.values[0, 2])
    assert np.isfinite(found.values).sum() == 5


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (ROWS, "", "is empty"),
        (ROWS, "step,111,112,113\n", "has no row below its header, expected accuracies"),
        (",113\n", "\n", "has 2 columns behind the first, expected 3, one for each architecture"),
        (",113\n", ",114\n", "has a column '114', expected the architectures of the table (111 to"),
        (",113\n", ",112\n", "has two columns 112, expected one a subnet"),
        (",nan", "", "line 2: 2 accuracies, expected 3 behind the step"),
        ("9,", "7,", "line 3: step 7 comes after 7, expected a later one"),
        ("9,", "x,", "line 3: the step is 'x', expected a whole number"),
        ("0.75", "75", "line 3: 111 is 75, expected a fraction between 0 and 1; percentages must"),
        ("0.75", "-inf", "line 3: 111 is -inf, expected a finite fraction"),
    ],
)
def test_bad_accuracies_are_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    """One sentence has the file, the place, the value and what was expected."""
    file = write(tmp_path, ROWS.replace(old, new, 1))

    with pytest.raises(TableError) as caught:
        read_accuracies(file, NAMES)

    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)


def test_there_is_a_group_for_each_architecture(tmp_path: Path) -> None:
    """Labels are text; one too few is told."""
    file = write(tmp_path, "10\n2\n10\n\n", "groups.txt")

    assert read_labels(file, 3) == ("10", "2", "10")
    with pytest.raises(TableError, match="groups.txt has 3 labels, expected 4, one an architect"):
        read_labels(file, 4)
