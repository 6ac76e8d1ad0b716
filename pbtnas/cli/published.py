"""What `--found` names: tables of published results, kept or in a file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.truth import TABLE

if TYPE_CHECKING:
    from pbtnas.analysis.found.published import Published
    from pbtnas.data.ground_truth import GroundTruth
    from pbtnas.data.nb201_table import Nb201Table


def published_tables(word: str, spaces: Collection[str]) -> dict[str, Published]:
    """The tables that a user names, by the space that they are of.

    Args:
        word: "table" for the kept one of each space, the name of a kept one, or a table's file.
        spaces: spaces that runs search, of which "table" needs a table.

    Raises `TableError`.
    """
    from pbtnas.data.ground_truth import CELL64
    from pbtnas.data.nb201_table import NB201

    kept = {"cell64": CELL64.name, "nb201": NB201.name}
    if word == TABLE:
        return {space: kept_table(space) for space in spaces}
    for space, name in kept.items():
        if word == name:
            return {space: kept_table(space)}
    if not Path(word).is_file():
        raise click.UsageError(
            f"--found: expected {TABLE}, {' or '.join(kept.values())}, or the file of a table, not "
            f"{word!r}"
        )
    found = _of_file(Path(word))
    return {found.space: found}


def kept_table(space: str) -> Published:
    """The kept table of a space.  Raises `TableError` where there is none."""
    from pbtnas.data.ground_truth import CELL64, open_table
    from pbtnas.data.images import data_directory
    from pbtnas.data.nb201_table import NB201, open_nb201

    if space == "nb201":
        return _of_nb201(NB201.name, open_nb201(data_directory()))
    return _of_cell64(CELL64.name, open_table(data_directory()))


def kept_tables() -> dict[str, Published]:
    """The tables that are kept, by the space that they are of.  Raises `TableError`."""
    return {space: kept_table(space) for space in ("cell64", "nb201") if is_kept(space)}


def is_kept(space: str) -> bool:
    """Whether the table of a space is kept."""
    from pbtnas.data import ground_truth
    from pbtnas.data.images import data_directory
    from pbtnas.data.nb201_table import NB201

    table = {"cell64": ground_truth.CELL64, "nb201": NB201}[space]
    return ground_truth.is_kept(data_directory(), table)


def _of_file(file: Path) -> Published:
    from pbtnas.data.ground_truth import CELL64, TableError, read_table
    from pbtnas.data.nb201_table import NAME, is_nb201, read_nb201

    if is_nb201(file):
        return _of_nb201(file.name, read_nb201(file))
    try:
        return _of_cell64(file.name, read_table(file, CELL64.names))
    except TableError as error:
        raise TableError(f"{error} (of cell64; a table of nb201 has a column {NAME})") from error


def _of_nb201(name: str, table: Nb201Table) -> Published:
    from pbtnas.analysis.found.published import Published
    from pbtnas.data.nb201_table import DATA_SETS

    return Published(
        name=name,
        space="nb201",
        names=table.names,
        data_sets=tuple(DATA_SETS.values()),
        accuracies=table.test,
        validation=table.validation,
        landmarks={"all 3x3 convolutions": "333333", "all skip connections": "111111"},
    )


def _of_cell64(name: str, table: GroundTruth) -> Published:
    from pbtnas.analysis.found.published import Published

    return Published(
        name=name,
        space="cell64",
        names=table.names,
        data_sets=("CIFAR-10",),
        accuracies=100 * table.means[:, None],
        validation=None,
        landmarks={"all 3x3 convolutions": "222"},
    )
