"""Files beside a table of ground truth: accuracies of the subnets of a supernet, and groups.

A file of accuracies is a CSV file with a row for each time at which all subnets were scored with
the shared weights: the number of mini-batches trained until then, and the accuracy of each subnet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pbtnas.data.ground_truth import TableError, csv_rows, fraction, read_text, whole


@dataclass(frozen=True, eq=False)
class Accuracies:
    """Accuracies of n subnets with shared weights, R times in one training.

    Args:
        steps: Mini-batches trained until then, ascending; int64 [R].
        values: Fractions, NaN where a subnet has no score; float64 [R, n].
    """

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def read_accuracies(file: Path, names: Sequence[str]) -> Accuracies:
    """The accuracies in a file, with a column for each name, in the order of `names`.

    The file's columns have these names, or the numbers 0 to n - 1 in their order.  Raises
    `TableError` for anything else.
    """
    (_, header), *rows = csv_rows(read_text(file), file)
    if not rows:
        raise TableError(f"{file} has no row below its header, expected accuracies")
    columns = _columns(header[1:], names, file)
    steps: list[int] = []
    values: list[list[float]] = []
    for line, (step, *cells) in rows:
        where = f"{file}, line {line}"
        if len(cells) != len(names):
            raise TableError(
                f"{where}: {len(cells)} accuracies, expected {len(names)} behind the step"
            )
        steps.append(whole(step, f"{where}: the step"))
        if len(steps) > 1 and steps[-1] <= steps[-2]:
            raise TableError(f"{where}: step {step} comes after {steps[-2]}, expected a later one")
        values.append([_accuracy(cells[columns[name]], f"{where}: {name}") for name in names])
    return Accuracies(np.array(steps, np.int64), np.array(values))


def read_labels(file: Path, count: int) -> tuple[str, ...]:
    """The group of each of `count` architectures: a label a line, in their order.

    Raises `TableError` for another number of labels.
    """
    labels = tuple(line.strip() for line in read_text(file).splitlines() if line.strip())
    if len(labels) != count:
        raise TableError(f"{file} has {len(labels)} labels, expected {count}, one an architecture")
    return labels


def _columns(header: Sequence[str], names: Sequence[str], file: Path) -> dict[str, int]:
    """At which place each name's column is."""
    if set(header) != set(names) and list(header) == [str(i) for i in range(len(names))]:
        return {name: i for i, name in enumerate(names)}
    for column in header:
        if header.count(column) > 1:
            raise TableError(f"{file} has two columns {column}, expected one a subnet")
    if len(header) != len(names):
        raise TableError(
            f"{file} has {len(header)} columns behind the first, expected {len(names)}, one for "
            f"each architecture of the table ({names[0]} to {names[-1]})"
        )
    for column in header:
        if column not in names:
            raise TableError(
                f"{file} has a column {column!r}, expected the architectures of the table "
                f"({names[0]} to {names[-1]}) or 0 to {len(names) - 1} in their order"
            )
    return {column: i for i, column in enumerate(header)}


def _accuracy(cell: str, what: str) -> float:
    # A subnet whose outputs are not finite has no score.
    return math.nan if cell.lower() == "nan" else fraction(cell, what)
