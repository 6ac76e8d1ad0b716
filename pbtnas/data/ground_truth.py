"""Tables of ground truth: what the architectures of a space reach when each is trained alone.

A table is a CSV file with a row an architecture; docs/weight-sharing.md describes it.  One that
its authors have published is kept in the data directory, by its digest; any other is read where it
lies.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pbtnas.errors import ExitCode, PbtnasError

REQUIRED = ("arch", "acc_mean")
OPTIONAL = ("acc_std", "gt_rank", "weightless")


class TableError(PbtnasError):
    """A table, or a file that goes with one, is not what it should be: one sentence."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """The ground truth of n architectures.

    Args:
        names: n different names.
        means: Mean accuracy over trainings, a fraction; float64 [n].
        stds: Standard deviation over trainings, where it is known; float64 [n].
        weightless: Number of operations without weights, where it is known; int64 [n].
    """

    names: tuple[str, ...]
    means: NDArray[np.float64]
    stds: NDArray[np.float64] | None = None
    weightless: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class PublishedTable:
    """A table that its authors have published.

    Args:
        name: Its name in commands, and without the suffix in the data directory.
        names: Names of the space's architectures, in its order.
        sha256: Digest of the file.
        suffix: Suffix of the file in the data directory.
    """

    name: str
    names: tuple[str, ...]
    sha256: str
    suffix: str = ".csv"


CELL64 = PublishedTable(
    name="cell64-table",
    # Operations of the edges 01, 02 and 12; 1 is the max pooling, the one without weights.
    names=tuple("".join(digits) for digits in product("1234", repeat=3)),
    sha256="df97505b7fd8e89dec417df1f79017f34504853e417389995fed60fda63c2d8b",
)
"""Mean and standard deviation over 10 trainings ("Deeper insights into weight sharing")."""


def read_table(file: Path, names: Sequence[str] | None = None) -> GroundTruth:
    """The table in a file; with `names`, that of a space whose architectures have these names.

    It is in the order of the file, or of `names`.  Raises `TableError` for anything but a complete
    table in fractions.
    """
    return _parse(read_text(file), file, names)


def keep_table(directory: Path, file: Path, published: PublishedTable = CELL64) -> None:
    """Check that a file is the published table, to the bit, and keep it in `directory`.

    It appears whole.  Raises `TableError` for another file, which is not kept, and `OSError`
    where the directory cannot be written to.
    """
    content = read_bytes(file)
    _parse(_text(content, file), file, published.names)  # says more than a digest
    check_digest(content, file, published)
    keep(directory, content, published)


def check_digest(content: bytes, file: Path, published: PublishedTable) -> None:
    """Raise `TableError` unless the content of a file is that of the published table."""
    if (found := hashlib.sha256(content).hexdigest()) != published.sha256:
        raise TableError(
            f"{file} is not the published {published.name}: expected the SHA-256 "
            f"{published.sha256}, found {found}"
        )


def keep(directory: Path, content: bytes, published: PublishedTable) -> None:
    """Keep the content of a published table, which is checked; the file appears whole."""
    partial = directory / f".{published.name}.{uuid.uuid4().hex}"
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("xb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        partial.replace(_home(directory, published))
    finally:
        partial.unlink(missing_ok=True)


def open_table(directory: Path, published: PublishedTable = CELL64) -> GroundTruth:
    """The published table that is kept in `directory`.

    Raises `TableError`, with the command that mends it, where it is missing or was changed.
    """
    content, home = kept_content(directory, published)
    return _parse(_text(content, home), home, published.names)


def is_kept(directory: Path, published: PublishedTable) -> bool:
    """Whether a published table is kept in `directory`."""
    return _home(directory, published).exists()


def kept_content(directory: Path, published: PublishedTable) -> tuple[bytes, Path]:
    """The content of the file that keeps a published table, and the file.

    Raises what `open_table` raises.
    """
    home = _home(directory, published)
    command = f"`pbtnas data get {published.name} --from FILE`"
    if not home.exists():
        raise TableError(f"{directory} has no {published.name}: give it by {command}")
    content = read_bytes(home)
    if hashlib.sha256(content).hexdigest() != published.sha256:
        raise TableError(
            f"{home} was changed after it was kept (its SHA-256 is another): give it again by "
            f"{command}"
        )
    return content, home


def known_weightless(names: Sequence[str]) -> NDArray[np.int64] | None:
    """The number of operations without weights of each architecture; None for unknown names."""
    if set(names) != set(CELL64.names):
        return None
    return np.array([name.count("1") for name in names], np.int64)


def read_text(file: Path) -> str:
    """The content of a text file that the user has named.  Raises `TableError`."""
    return _text(read_bytes(file), file)


def read_bytes(file: Path) -> bytes:
    """The content of a file that the user has named.  Raises `TableError`."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise TableError(f"{file}: {error.strerror or error}") from error


def csv_rows(text: str, file: Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file that are not empty, with their lines.  Raises `TableError`."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        found = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except csv.Error as error:
        raise TableError(f"{file}, line {reader.line_num}: not a CSV file: {error}") from error
    if not found:
        raise TableError(f"{file} is empty: expected a CSV file whose first line names its columns")
    return found


def fraction(cell: str, what: str) -> float:
    """A cell that holds a fraction.  Raises `TableError`, in which `what` names the cell."""
    try:
        value = float(cell)
    except ValueError:
        raise TableError(f"{what} is {cell!r}, expected a fraction between 0 and 1") from None
    if not math.isfinite(value):
        raise TableError(f"{what} is {cell}, expected a finite fraction between 0 and 1")
    if not 0 <= value <= 1:
        percent = "; percentages must be divided by 100" if 1 < value <= 100 else ""
        raise TableError(f"{what} is {cell}, expected a fraction between 0 and 1{percent}")
    return value


def whole(cell: str, what: str) -> int:
    """A cell that holds a whole number of 15 digits at most.  Raises `TableError`, as above."""
    if not (cell.isascii() and cell.isdigit() and len(cell) <= 15):
        raise TableError(f"{what} is {cell!r}, expected a whole number")
    return int(cell)


def _home(directory: Path, published: PublishedTable) -> Path:
    return directory / f"{published.name}{published.suffix}"


def _text(content: bytes, file: Path) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(f"{file} is not a text file in UTF-8") from error


def _parse(text: str, file: Path, names: Sequence[str] | None) -> GroundTruth:
    (_, header), *rows = csv_rows(text, file)
    _check_columns(header, file)
    lines: dict[str, tuple[int, Mapping[str, str]]] = {}
    for line, cells in rows:
        if len(cells) != len(header):
            raise TableError(
                f"{file}, line {line}: {len(cells)} cells, expected {len(header)} ({_list(header)})"
            )
        row = dict(zip(header, cells, strict=True))
        name = row["arch"]
        if not name:
            raise TableError(f"{file}, line {line}: arch is empty, expected a name")
        if name in lines:
            raise TableError(
                f"{file}, line {line}: {name} is repeated from line {lines[name][0]}, expected one "
                "row an architecture"
            )
        lines[name] = line, row
    _check_names(lines, file, names)
    if names is not None:
        lines = {name: lines[name] for name in names}

    def fractions(column: str) -> NDArray[np.float64] | None:
        if column not in header:
            return None
        cells = [
            fraction(row[column], f"{file}, line {line}: {column} of {name}")
            for name, (line, row) in lines.items()
        ]
        return np.array(cells)

    means = fractions("acc_mean")
    assert means is not None  # `_check_columns` wants the column
    if "gt_rank" in header:
        _check_ranks(lines, means, file)
    return GroundTruth(tuple(lines), means, fractions("acc_std"), _weightless(lines, header, file))


def _check_columns(header: Sequence[str], file: Path) -> None:
    expected = f"expected {_list(REQUIRED)}, and none or some of {_list(OPTIONAL)}"
    for column in REQUIRED:
        if column not in header:
            raise TableError(f"{file} has no column {column}: {expected}")
    for column in header:
        if column not in (*REQUIRED, *OPTIONAL):
            raise TableError(f"{file} has a column {column!r}: {expected}")
        if header.count(column) > 1:
            raise TableError(f"{file} has two columns {column}: {expected}")


def _check_names(lines: Mapping[str, object], file: Path, names: Sequence[str] | None) -> None:
    if names is None:
        if len(lines) < 2:
            raise TableError(f"{file} has {len(lines)} architectures, expected two or more")
        return
    if unknown := sorted(lines.keys() - set(names)):
        raise TableError(
            f"{file} has a row {unknown[0]!r}, expected the {len(names)} architectures "
            f"{names[0]} to {names[-1]}"
        )
    if missing := [name for name in names if name not in lines]:
        raise TableError(
            f"{file} has {len(lines)} rows, expected {len(names)}: there is none of {missing[0]}"
        )


Lines = Mapping[str, tuple[int, Mapping[str, str]]]
"""Line and cells of each row, by the name of its architecture."""


def _check_ranks(lines: Lines, means: NDArray[np.float64], file: Path) -> None:
    """Raise `TableError` unless the ranks, 1 the best, follow from the means."""
    best_first = sorted(
        (whole(row["gt_rank"], f"{file}, line {line}: gt_rank of {name}"), -mean, name)
        for (name, (line, row)), mean in zip(lines.items(), means.tolist(), strict=True)
    )
    for place, (rank, _, name) in enumerate(best_first, start=1):
        if rank != place:
            raise TableError(
                f"{file}: gt_rank of {name} is {rank}, expected the ranks 1 to {len(lines)}, one "
                "each"
            )
    for (_, better, first), (_, worse, second) in zip(best_first, best_first[1:], strict=False):
        if better > worse:
            raise TableError(
                f"{file}: gt_rank puts {first} before {second}, whose acc_mean is larger"
            )


def _weightless(lines: Lines, header: Sequence[str], file: Path) -> NDArray[np.int64] | None:
    if "weightless" in header:
        cells = [
            whole(row["weightless"], f"{file}, line {line}: weightless of {name}")
            for name, (line, row) in lines.items()
        ]
        return np.array(cells, np.int64)
    return known_weightless(list(lines))


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)
