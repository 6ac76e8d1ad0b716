"""The command that reads rankings by shared weights from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.places import PlainPath
from pbtnas.cli.shared import format_option

if TYPE_CHECKING:
    from pbtnas.data.ground_truth import GroundTruth


@click.command()
@click.argument("truth", metavar="TABLE")
@click.argument("files", nargs=-1, required=True, metavar="ROWS...", type=PlainPath())
@click.option(
    "--last",
    "k",
    default=64,
    show_default=True,
    type=click.IntRange(1),
    help="Rows that Mean, Std and the average are over, the k of the paper.",
)
@click.option(
    "--between",
    default=10,
    show_default=True,
    type=click.IntRange(2),
    help="Rows, the last ones of a file, that S-Tau is between.",
)
@click.option(
    "--groups",
    type=PlainPath(),
    help="A label a line: the group of each architecture, in the order of TABLE.",
)
@click.option(
    "--ddof", default=0, show_default=True, type=click.IntRange(0, 1), help="Of the deviations."
)
@format_option
def ranks(
    truth: str,
    files: tuple[Path, ...],
    k: int,
    between: int,
    groups: Path | None,
    ddof: int,
    form: str,
) -> None:
    """How far rankings by shared weights can be trusted: theirs beside ground truth.

    TABLE is a file of ground truth, or `cell64-table`, which `pbtnas data get` keeps.  Each of
    ROWS has the accuracies of all subnets of one supernet after each of its last mini-batches.
    """
    import numpy as np

    from pbtnas.analysis import rank_tables, tables
    from pbtnas.analysis.instances import read_arm, read_instance, simulate_truth
    from pbtnas.data.accuracies import read_accuracies, read_labels
    from pbtnas.data.ground_truth import TableError

    table = _ground_truth(truth)
    named = dict(zip(_different(files), files, strict=True))
    rows = {name: read_accuracies(file, table.names).values for name, file in named.items()}
    for name, file in named.items():
        for option, wanted in (("--last", k), ("--between", between)):
            if len(rows[name]) < wanted:
                raise TableError(f"{file} has {len(rows[name])} rows, {option} needs {wanted}")
    readings = {
        name: read_instance(values, table.means, k=k, between=between)
        for name, values in rows.items()
    }
    single = rank_tables.readings_table(readings, k=k, between=between, subnets=len(table.names))
    if groups is not None:
        labels = read_labels(groups, len(table.names))
        row = rank_tables.groups_row(rows, table.means, labels, k)
        note = rank_tables.about_groups(labels)
        single = replace(single, rows=(*single.rows, row), notes=(*single.notes, note))
    arms = {"shared weights": read_arm(list(rows.values()), table.means, k=k)}
    rng = np.random.default_rng(0)
    found = [
        single,
        rank_tables.arms_table(
            arms,
            table.means,
            k=k,
            weightless=None if table.weightless is None else table.weightless.tolist(),
            simulated=None if table.stds is None else simulate_truth(table.means, table.stds, rng),
            ddof=ddof,
        ),
    ]
    if len(files) > 1:
        found.append(rank_tables.intervals_table(arms, k=k))
    click.echo(tables.in_form(found, form), nl=False)


def _ground_truth(truth: str) -> GroundTruth:
    """The table that is kept under this name, or lies in this file."""
    from pbtnas.data import ground_truth

    if truth == ground_truth.CELL64.name:
        from pbtnas.data.images import data_directory

        return ground_truth.open_table(data_directory())
    return ground_truth.read_table(Path(truth))


def _different(files: tuple[Path, ...]) -> list[str]:
    """Short names of the files: without their directories, unless two would be called the same."""
    short = [file.stem for file in files]
    names = short if len(set(short)) == len(short) else [str(file) for file in files]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise click.UsageError(f"{twice} is given twice, expected an instance a file")
    return names
