"""The published results of NAS-Bench-201: a table with a row for each of its 15,625 architectures.

A CSV file, perhaps compressed by gzip, whose accuracies are percentages.  The authors' is kept in
the data directory, by its digest; any other, which may lack rows, is read where it lies.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pbtnas.data.ground_truth import (
    PublishedTable,
    TableError,
    check_digest,
    csv_rows,
    keep,
    kept_content,
    read_bytes,
)

DATA_SETS = {"c10": "CIFAR-10", "c100": "CIFAR-100", "in16": "ImageNet16-120"}
"""The data sets by what the columns of the table call them."""

NAME = "ops_10_20_21_30_31_32"
"""The column of the architectures: six digits from 0 to 4."""

NB201 = PublishedTable(
    name="nb201-table",
    names=tuple("".join(digits) for digits in product("01234", repeat=6)),
    sha256="25077b26d3b59bb789cba0ccdadf5f914883f433e71152d911f195e8b5987bec",
    suffix=".csv.gz",
)
"""Accuracies after 12 and 200 epochs on three data sets, taken from the benchmark."""

_NAMES = frozenset(NB201.names)


@dataclass(frozen=True, eq=False)
class Nb201Table:
    """Accuracies of n architectures in percent, on the three data sets of `DATA_SETS`.

    Args:
        names: n different names.
        validation: after 12 epochs, on images that do not train; float64 [n, 3].
        test: after 200 epochs; float64 [n, 3].
    """

    names: tuple[str, ...]
    validation: NDArray[np.float64]
    test: NDArray[np.float64]


def read_nb201(file: Path) -> Nb201Table:
    """The table in a file, in the order of the names.

    Raises `TableError` for anything but percentages of different architectures.
    """
    return _parse(read_bytes(file), file)


def keep_nb201(directory: Path, file: Path) -> None:
    """Check that a file is the published table, to the bit, and keep it in `directory`.

    It appears whole.  Raises `TableError` for another file, which is not kept, and `OSError`
    where the directory cannot be written to.
    """
    content = read_bytes(file)
    found = _parse(content, file)  # says more than a digest
    if found.names != NB201.names:
        missing = next(name for name in NB201.names if name not in set(found.names))
        raise TableError(
            f"{file} has {len(found.names):,} rows, expected {len(NB201.names):,}: there is none "
            f"of {missing}"
        )
    check_digest(content, file, NB201)
    keep(directory, content, NB201)


def open_nb201(directory: Path) -> Nb201Table:
    """The published table that is kept in `directory`.

    Raises `TableError`, with the command that mends it, where it is missing or was changed.
    """
    content, home = kept_content(directory, NB201)
    return _parse(content, home)


def is_nb201(file: Path) -> bool:
    """Whether a file has the column of these architectures.  Raises `TableError`."""
    (_, header), *_ = csv_rows(_text(read_bytes(file), file), file)
    return NAME in header


def _parse(content: bytes, file: Path) -> Nb201Table:
    (_, header), *rows = csv_rows(_text(content, file), file)
    columns = {
        kind: [_column(header, f"{data_set}_{kind}", file) for data_set in DATA_SETS]
        for kind in ("val_12ep", "test_200ep")
    }
    place = _column(header, NAME, file)
    lines: dict[str, tuple[int, list[str]]] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise TableError(f"{file}, line {line}: {len(cells)} cells, expected {len(header)}")
        name = cells[place]
        if name not in _NAMES:
            raise TableError(
                f"{file}, line {line}: {NAME} is {name!r}, expected six digits from 0 to 4"
            )
        if name in lines:
            raise TableError(
                f"{file}, line {line}: {name} is repeated from line {lines[name][0]}, expected one "
                "row an architecture"
            )
        lines[name] = line, cells
    if len(lines) < 2:
        raise TableError(f"{file} has {len(lines)} architectures, expected two or more")

    def values(kind: str) -> NDArray[np.float64]:
        return np.array(
            [
                [
                    _percent(cells[i], f"{file}, line {line}: {header[i]} of {name}")
                    for i in columns[kind]
                ]
                for name, (line, cells) in sorted(lines.items())
            ]
        )

    return Nb201Table(tuple(sorted(lines)), values("val_12ep"), values("test_200ep"))


def _text(content: bytes, file: Path) -> str:
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise TableError(f"{file} cannot be decompressed: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{file} is neither a text file in UTF-8 nor one in gzip") from error


def _column(header: Sequence[str], name: str, file: Path) -> int:
    if header.count(name) != 1:
        wanted = [f"{d}_{kind}" for kind in ("val_12ep", "test_200ep") for d in DATA_SETS]
        raise TableError(
            f"{file} has {header.count(name) or 'no'} columns {name}, expected one each of "
            + ", ".join([NAME, *wanted])
        )
    return header.index(name)


def _percent(cell: str, what: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise TableError(f"{what} is {cell!r}, expected a percentage from 0 to 100")
    return value
