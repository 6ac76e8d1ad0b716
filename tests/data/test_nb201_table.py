"""The table of NAS-Bench-201: what is read from it, what is refused, and its published facts."""

from __future__ import annotations

import gzip
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pbtnas.data import nb201_table as module
from pbtnas.data.ground_truth import TableError
from pbtnas.data.nb201_table import NB201, keep_nb201, open_nb201, read_nb201
from tests.data.tables import nb201_table

PUBLISHED = os.environ.get("PBTNAS_TEST_TABLES")
"""A directory with the authors' files, which are not ours to give."""

SOME = ("000000", "333132", "111111")


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_is_read_by_names(tmp_path: Path, packed: bool) -> None:
    """Compressed or not, some of the architectures or all, in the order of their names."""
    file = nb201_table(tmp_path, SOME)
    first = file.read_text().splitlines()[1].split(",")
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))

    table = read_nb201(file)

    assert table.names == ("000000", "111111", "333132")
    assert table.validation[0].tolist() == [float(cell) for cell in first[2:5]]
    assert table.test[0].tolist() == [float(cell) for cell in first[5:]]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("c10_test_200ep", "c10_test", "has no columns c10_test_200ep, expected one each of ops_"),
        ("arch_index", "c100_test_200ep", "has 2 columns c100_test_200ep, expected one each"),
        ("333132", "333135", "line 3: ops_.* is '333135', expected six digits from 0 to 4"),
        ("333132", "000000", "line 3: 000000 is repeated from line 2"),
        ("1,333132", "1,1,333132", "line 3: 9 cells, expected 8"),
        ("1,333132,", "1,333132,1", "line 3: c10_val_12ep of 333132 is '1.*', expected a percent"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    """In a sentence with file, line, column and what was expected."""
    file = nb201_table(tmp_path, SOME)
    file.write_text(file.read_text().replace(old, new))

    with pytest.raises(TableError, match=f"nb201.csv.*{told}"):
        read_nb201(file)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(b"a,b", mtime=0)[:-9], "cannot be decompressed"),
        (b"\xff\xfe", "neither a text file in UTF-8 nor one in gzip"),
        (b"", "is empty"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    """A file cut off in the middle, or one that is no table at all."""
    file = tmp_path / "table.csv.gz"
    file.write_bytes(content)

    with pytest.raises(TableError, match=told):
        read_nb201(file)


def test_only_the_published_table_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one, and one that lacks rows, is refused and not kept; a changed one is noticed."""
    home, whole = tmp_path / "data", nb201_table(tmp_path, NB201.names)
    lacking = nb201_table(tmp_path, NB201.names[:-1], name="lacking.csv")
    with pytest.raises(TableError, match="15,624 rows, expected 15,625: there is none of 444444"):
        keep_nb201(home, lacking)
    with pytest.raises(TableError, match="not the published nb201-table: expected the SHA-256"):
        keep_nb201(home, whole)
    assert not home.exists()
    with pytest.raises(TableError, match="no nb201-table: .* data get nb201-table --from FILE"):
        open_nb201(home)

    digest = hashlib.sha256(whole.read_bytes()).hexdigest()
    monkeypatch.setattr(module, "NB201", replace(NB201, sha256=digest))
    keep_nb201(home, whole)
    assert open_nb201(home).names == NB201.names
    (kept,) = home.iterdir()
    kept.write_bytes(kept.read_bytes() + b" ")
    with pytest.raises(TableError, match="was changed after it was kept"):
        open_nb201(home)


@pytest.mark.skipif(PUBLISHED is None, reason="PBTNAS_TEST_TABLES names no directory of tables")
def test_the_published_table_has_its_published_facts(tmp_path: Path) -> None:
    """Optima, the row of DARTS, all 3x3 convolutions, and random search replayed."""
    assert PUBLISHED is not None
    keep_nb201(tmp_path, Path(PUBLISHED) / "nb201_table.csv.gz")
    table = open_nb201(tmp_path)
    row = {name: tuple(values) for name, values in zip(table.names, table.test, strict=True)}

    assert table.test.max(axis=0).tolist() == [94.37, 73.51, 47.31]
    assert row["333132"] == (94.37, 73.22, 46.71)
    assert row["333133"] == (94.36, 73.51, 46.34)
    assert row["223133"] == (93.99, 72.88, 47.31)
    assert row["111111"] == (54.30, 15.61, 16.32)
    assert row["333333"] == (93.76, 71.11, 41.44)
    below = (table.test[:, 0] < row["333333"][0]).mean()
    assert round(100 * below, 1) == 98.9
    assert table.test.mean(axis=0).round(2).tolist() == [87.06, 61.41, 33.59]
    drawn = np.random.default_rng(0).integers(len(table.names), size=(2000, 100))
    best = drawn[np.arange(2000), table.validation[drawn, 0].argmax(axis=1)]
    found = table.test[best, 0]
    assert found.mean() == pytest.approx(93.75, abs=0.03)
    assert found.std() == pytest.approx(0.35, abs=0.03)
