"""What `--ranks` and `--truth` name: ground truth of runs, of a study's variant, or of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pbtnas.analysis.compare.gathering import NamedRun
    from pbtnas.analysis.instances import SimulatedTruth
    from pbtnas.analysis.rank_study import Truth

TABLE = "table"
"""Names the table that `pbtnas data get cell64-table` keeps."""


@dataclass(frozen=True)
class Found:
    """Ground truth, and what single trainings would reach where its deviations are known."""

    truth: Truth
    simulated: SimulatedTruth | None = None


def ground_truth_of(word: str, option: str, runs: Sequence[NamedRun] = ()) -> Found:
    """The ground truth that a user names.

    Args:
        word: A variant of the runs, "table", a table's file, or a run or study directory.
        option: Option of the command, for messages.
        runs: Runs, finished or not, whose names may be meant.

    Raises `TableError`, `ComparisonError`, or what reading the runs raises.
    """
    from pbtnas.analysis.compare.gathering import gather
    from pbtnas.data.ground_truth import CELL64

    named = [run for run in runs if run.name == word]
    if named:
        return Found(_of_runs(word, named))
    if word in (TABLE, CELL64.name) or Path(word).is_file():
        return _of_table(word)
    if Path(word).is_dir():
        return Found(_of_runs(Path(word).name, gather([Path(word)]).runs))
    names = ", ".join(sorted({run.name for run in runs}))
    variants = f"one of {names}, " if names else ""
    raise click.UsageError(
        f"{option}: expected {variants}{TABLE}, the file of a table or a run directory, not "
        f"{word!r}"
    )


def _of_runs(name: str, runs: Sequence[NamedRun]) -> Truth:
    from pbtnas.analysis.compare.comparison import ComparisonError
    from pbtnas.analysis.rank_study import truth_of
    from pbtnas.data.ground_truth import known_weightless

    finished = [run for run in runs if run.finished]
    for run in runs:
        if not run.finished:
            click.echo(f"ground truth without {run.history.root.name}: not finished", err=True)
    if not finished:
        raise ComparisonError(f"ground truth {name}: none of its runs is finished")
    truth = truth_of(name, finished)
    return replace(truth, weightless=known_weightless(truth.names))


def _of_table(word: str) -> Found:
    import numpy as np

    from pbtnas.analysis.instances import simulate_truth
    from pbtnas.analysis.rank_study import Truth
    from pbtnas.data import ground_truth
    from pbtnas.data.images import data_directory

    kept = word in (TABLE, ground_truth.CELL64.name)
    table = (
        ground_truth.open_table(data_directory()) if kept else ground_truth.read_table(Path(word))
    )
    name = ground_truth.CELL64.name if kept else word
    simulated = None
    if table.stds is not None:
        simulated = simulate_truth(table.means, table.stds, np.random.default_rng(0))
    return Found(Truth(name, table.names, table.means, weightless=table.weightless), simulated)
