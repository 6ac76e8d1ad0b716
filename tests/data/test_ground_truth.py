"""Tables of ground truth: what is read from them, and what their faults are told to be."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pbtnas.data import ground_truth
from pbtnas.data.ground_truth import CELL64, PublishedTable, TableError
from pbtnas.errors import ExitCode
from tests.data.tables import SMALL, cell64_table, write


def test_a_table_is_read_as_it_stands(tmp_path: Path) -> None:
    """Names, means, deviations and counts come in the order of the file."""
    truth = ground_truth.read_table(write(tmp_path, SMALL))

    assert truth.names == ("a", "b", "c")
    assert truth.means.tolist() == [0.75, 0.5, 0.875]
    assert truth.stds is not None
    assert truth.stds.tolist() == [0.01, 0.02, 0.0]
    assert truth.weightless is not None
    assert truth.weightless.tolist() == [0, 1, 0]


def test_two_columns_are_enough(tmp_path: Path) -> None:
    """Whoever has only one training an architecture can still bring a table."""
    truth = ground_truth.read_table(write(tmp_path, "\ufeffacc_mean, arch\r\n0.5,x\r\n\r\n1,y\r\n"))

    assert truth.names == ("x", "y")
    assert truth.stds is None
    assert truth.weightless is None


def test_poolings_of_the_space_of_64_are_known(tmp_path: Path) -> None:
    """The published table has no column for them; a name with a 1 has a pooling there."""
    truth = ground_truth.read_table(cell64_table(tmp_path), CELL64.names)

    assert truth.weightless is not None
    count = dict(zip(truth.names, truth.weightless.tolist(), strict=True))
    assert (count["111"], count["121"], count["413"], count["434"]) == (3, 2, 1, 0)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (SMALL, "", "is empty: expected a CSV file"),
        (SMALL, "arch,acc_mean\na,0.5\n", "has 1 architectures, expected two or more"),
        ("acc_mean", "accuracy", "has no column acc_mean: expected arch, acc_mean, and none or"),
        ("acc_std", "std", "has a column 'std': expected arch, acc_mean, and none or some of acc_"),
        ("acc_std", "acc_mean", "has two columns acc_mean: expected"),
        ("b,0.5,", "b,0.5,0,", "line 3: 6 cells, expected 5 (arch, acc_mean, acc_std, gt_rank, "),
        ("b,0.5", "a,0.5", "line 3: a is repeated from line 2, expected one row an architecture"),
        ("b,0.5", ",0.5", "line 3: arch is empty, expected a name"),
        ("0.875", "87.5", "line 4: acc_mean of c is 87.5, expected a fraction between 0 and 1; p"),
        ("0.875", "-0.1", "line 4: acc_mean of c is -0.1, expected a fraction between 0 and 1"),
        ("0.875", "nan", "line 4: acc_mean of c is nan, expected a finite fraction"),
        ("0.02", "inf", "line 3: acc_std of b is inf, expected a finite fraction"),
        ("0.02", "", "line 3: acc_std of b is '', expected a fraction"),
        (",3,1", ",2,1", "gt_rank of b is 2, expected the ranks 1 to 3, one each"),
        (",3,1", ",3.5,1", "line 3: gt_rank of b is '3.5', expected a whole number"),
        ("b,0.5", "b,0.8", "gt_rank puts a before b, whose acc_mean is larger"),
        (",3,1", ",3,-1", "line 3: weightless of b is '-1', expected a whole number"),
        (",3,1", ",3," + "9" * 5000, "line 3: weightless of b is '999"),
        ('b,0.5', '"b"x,0.5', "line 3: not a CSV file"),
    ],
)  # fmt: skip
def test_a_bad_table_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    """One sentence has the file, the place, the value and what was expected."""
    file = write(tmp_path, SMALL.replace(old, new, 1))

    with pytest.raises(TableError) as caught:
        ground_truth.read_table(file)

    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    """A directory, nothing at all, and a compressed file each get their sentence."""
    packed = tmp_path / "table.csv.gz"
    packed.write_bytes(b"\x1f\x8b\x08\x00\xff")
    for file, told in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none.csv", "No such file"),
        (packed, "is not a text file in UTF-8"),
    ):
        with pytest.raises(TableError, match=told):
            ground_truth.read_table(file)


def test_a_table_of_another_space_is_refused(tmp_path: Path) -> None:
    """Truth about other architectures, or about some of them, ranks nothing."""
    file = cell64_table(tmp_path)
    lines = file.read_text().splitlines()
    other = write(tmp_path, "\n".join([*lines[:-1], "445,0.9,0.1"]), "other.csv")
    part = write(tmp_path, "\n".join(lines[:40]), "part.csv")

    with pytest.raises(TableError, match="has a row '445', expected the 64 architectures 111 to"):
        ground_truth.read_table(other, CELL64.names)
    with pytest.raises(TableError, match="has 39 rows, expected 64: there is none of 324"):
        ground_truth.read_table(part, CELL64.names)


def test_a_table_comes_in_the_order_of_its_space(tmp_path: Path) -> None:
    """Rows may be sorted by their ranks: accuracies still find their architectures."""
    truth = ground_truth.read_table(write(tmp_path, SMALL), ("c", "a", "b"))

    assert truth.names == ("c", "a", "b")
    assert truth.means.tolist() == [0.875, 0.75, 0.5]
    assert truth.weightless is not None
    assert truth.weightless.tolist() == [0, 0, 1]


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, PublishedTable]:
    """A file, and the description of a published table that it is."""
    file = cell64_table(tmp_path)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return file, replace(CELL64, sha256=digest)


def test_a_published_table_is_kept(tmp_path: Path, published: tuple[Path, PublishedTable]) -> None:
    """The file may go afterwards, and giving it again changes nothing."""
    file, table = published
    home = tmp_path / "new" / "data"
    for _ in range(2):
        ground_truth.keep_table(home, file, table)
    means = ground_truth.read_table(file).means
    file.unlink()

    assert np.array_equal(ground_truth.open_table(home, table).means, means)
    assert [path.name for path in home.iterdir()] == ["cell64-table.csv"]


def test_another_file_than_the_published_one_is_not_kept(tmp_path: Path) -> None:
    """A table that looks right is told by its digest, and one that does not by its fault."""
    home = tmp_path / "data"
    with pytest.raises(
        TableError, match="not the published cell64-table: expected the SHA-256 df9"
    ):
        ground_truth.keep_table(home, cell64_table(tmp_path))
    with pytest.raises(TableError, match="has a row 'a', expected the 64 architectures"):
        ground_truth.keep_table(home, write(tmp_path, SMALL))

    assert not home.exists()


def test_a_kept_table_that_was_changed_is_not_used(
    tmp_path: Path, published: tuple[Path, PublishedTable]
) -> None:
    """A missing or changed table is told with the command that mends it."""
    file, table = published
    with pytest.raises(
        TableError, match="has no cell64-table: give it by `pbtnas data get cell64-"
    ):
        ground_truth.open_table(tmp_path / "data", table)
    ground_truth.keep_table(tmp_path / "data", file, table)
    kept = tmp_path / "data" / "cell64-table.csv"
    kept.write_bytes(kept.read_bytes() + b"\n")
    with pytest.raises(TableError, match="was changed after it was kept.*`pbtnas data get cell64-"):
        ground_truth.open_table(tmp_path / "data", table)
