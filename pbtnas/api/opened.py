"""Looks at a run from Python: what `pbtnas.open` gives."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbtnas.analysis.history.lineage import Lineage, lineage_of
from pbtnas.analysis.history.member_steps import MemberStep, member_steps
from pbtnas.analysis.history.run import History
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.monitoring.progress import Status, status
from pbtnas.store.run_directory import open_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from pbtnas.analysis.plots.catalogue import Figures


class NoFigure(PbtnasError):
    """A run has no figure of that name."""

    exit_code = ExitCode.USAGE


class OpenedRun:
    """A run to look at, from any process and while it goes on.

    Nothing is kept: each call reads the records as they are then, and writes nothing.

    Args:
        directory: Run directory.
        task: What names the task in commands ("FILE.py:Class"), for `load`.

    Raises `NotARun` where there is none.
    """

    def __init__(self, directory: Path, task: str | None = None) -> None:
        self.directory = directory
        self._task = task
        open_run(directory)

    def __repr__(self) -> str:
        return f"pbtnas.open({str(self.directory)!r})"

    def status(self) -> Status:
        """How far it is: state, members, best, workers, failures, time left."""
        return status(self.directory, now=time.time())

    def steps(self) -> list[MemberStep]:
        """What became of each member in each generation, by generation and member."""
        return member_steps(History.read(self.directory))

    def history(self) -> Any:
        """A row for each member and generation: a `pandas.DataFrame` if pandas is installed, else
        a list of dictionaries with the same keys.

        The keys are those of `MemberStep`, but `metric NAME` for each of its metrics and
        `option NAME` for each of its options.
        """
        rows = list(map(_row, self.steps()))
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows)

    def lineage(self) -> Lineage:
        """Who descends from whom, as nodes and edges."""
        return lineage_of(self.steps())

    @property
    def best(self) -> MemberStep | None:
        """The member with the highest score so far, the earliest of equals; None while none has
        one."""
        return min(self.steps(), key=_best_first, default=None)

    @property
    def members(self) -> list[MemberStep]:
        """Each slot as it was scored last, the best first."""
        newest = {step.member: step for step in self.steps()}
        return sorted(newest.values(), key=_best_first)

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of the figures that there are of it by now, as `pbtnas plot` draws them."""
        return tuple(self._figures())

    def figure(self, name: str) -> Figure:
        """A figure of that name, such as "lineage".

        Raises `NoFigure` for another name, and `NothingToShow` while no generation is over.
        """
        figures = self._figures()
        if name not in figures:
            raise NoFigure(f"{self.directory}: has no figure {name!r}, but {', '.join(figures)}")
        return figures[name]()

    def load(self, which: str | None = None) -> nn.Module:
        """A trained network, as `pbtnas.load` gives it: the best, or another by its name."""
        from pbtnas.networks.loading import SO_FAR, load_network

        if which is None and not self.status().finished:
            which = SO_FAR
        return load_network(self.directory, which, self._task).network

    def _figures(self) -> Figures:
        from pbtnas.analysis.plots.catalogue import run_figures

        history = History.read(self.directory)
        return run_figures(history, tuple(history.space or ()))


def _best_first(step: MemberStep) -> tuple[bool, float, int, int]:
    score = step.score
    return score is None, -(score or 0.0), step.generation, step.member


def _row(step: MemberStep) -> dict[str, Any]:
    flat = {key: value for key, value in vars(step).items() if key not in ("metrics", "options")}
    return {
        "name": step.name,
        **flat,
        **_prefixed("metric", step.metrics),
        **_prefixed("option", step.options),
    }


def _prefixed(word: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{word} {name}": value for name, value in values.items()}
