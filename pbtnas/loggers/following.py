"""Follows a run, and tells a logger what its records say: each thing once, also after a restart.

What a logger was told is listed in `log/NAME.told`, a line for each member of a generation and for
each generation.  Who is killed between telling and noting tells it once more.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation, read_generation
from pbtnas.analysis.history.member_steps import MemberStep, epochs_after, steps_of
from pbtnas.analysis.history.run import History
from pbtnas.loggers.base import LoggedRun, Logger
from pbtnas.loggers.population import population_step
from pbtnas.loggers.training_logs import training_lines
from pbtnas.records import paths
from pbtnas.regular_files import append_regular
from pbtnas.store.opening import beside, open_files
from pbtnas.store.previews import preview_of
from pbtnas.store.quick_lock import quick_lock
from pbtnas.store.reader import RunReader

FAILED = "-failed"
"""Ends the line of a failed member, of whose job there may be a result once more."""

_TOLD = re.compile(rb"g\d{4,}(-m\d{2,}(-failed)?)?")


class Follower:
    """Tells one logger of one run.

    Args:
        root: Run directory, of a run.
        name: Name of the logger, of which its files are called.
        logger: The logger.

    Raises `filelock.Timeout` where another process of this machine tells the logger of that name,
    and `OSError` where its files cannot be written.
    """

    def __init__(self, root: Path, name: str, logger: Logger) -> None:
        self._root = root
        self._name = name
        self._logger = logger
        self._held = ExitStack()
        beside(root, paths.logger_directory(name)).mkdir(parents=True, exist_ok=True)
        self._held.enter_context(quick_lock(beside(root, paths.logger_lock(name))))
        self._told = _listed(root, name)
        self._begun = False
        self._hopeless = False  # whether nobody goes on after the generation in hand
        self._number = 0
        self._before: Generation | None = None
        self._trained: int | None = 0
        self._work = 0
        self._best: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._held:
            self._logger.close()

    def look(self) -> bool:
        """Tell what is new; whether the run is over and everything was told.

        Raises what the logger raises, and goes on behind that with the next look.
        """
        with open_files(self._root) as reader:
            files = RecordFiles(reader)
            history, count = History.beginning(files)
            self._begin(history)
            while self._number < count and self._tell(reader, files, history, count):
                files.forget_names()
            over = history.final is not None and self._number >= count
            return over or self._hopeless

    def _begin(self, history: History) -> None:
        if self._begun:
            return
        self._logger.begin(
            LoggedRun(
                history.run,
                self._root.resolve().name,
                beside(self._root, paths.logger_directory(self._name)).resolve(),
                history.settings,
                told_before=bool(self._told),
            )
        )
        self._begun = True

    def _tell(self, reader: RunReader, files: RecordFiles, history: History, count: int) -> bool:
        """Tell of the generation in hand; whether nothing more will come of it."""
        earlier = () if self._before is None else (self._before,)
        generation = read_generation(files, self._number, False, earlier)
        steps = list(steps_of(generation, self._before, self._trained, files, history.space))
        # Nobody has a score, and so it ends, with no record that says so.
        self._hopeless = generation.is_hopeless(history.objectives)
        decided = generation.selection is not None or history.over(self._number, count)
        for step in steps:
            failed = step.outcome == "failed"
            # Until then it may be tried again, and is told as it was at last.
            if failed and not (decided or self._hopeless):
                continue
            told = f"{step.name}{FAILED}" if failed else step.name
            if self._is_new(step.name) and self._is_new(told):
                self._logger.member(step, training_lines(files, step))
                picture = preview_of(reader, step.generation, step.member)
                if picture is not None:
                    self._logger.preview(step, picture)
                self._note(told)
        if not decided:
            return False
        self._sum_up(steps)
        self._trained = epochs_after(generation, self._trained)
        self._number += 1
        self._before = generation
        return True

    def _sum_up(self, steps: Sequence[MemberStep]) -> None:
        if not steps:
            return
        step = population_step(steps, before=self._work, best_before=self._best)
        if step is None:
            return
        name = f"g{step.generation:04d}"
        if self._is_new(name):
            self._logger.population(step)
            self._note(name)
        self._work, self._best = step.work, step.best_ever

    def _is_new(self, name: str) -> bool:
        return name.encode() not in self._told

    def _note(self, name: str) -> None:
        path = beside(self._root, paths.logger_told(self._name))
        with os.fdopen(append_regular(path), "ab") as file:
            # In a line of its own, even if the last process was killed within one.
            file.write(f"\n{name}\n".encode())
        self._told.add(name.encode())


def _listed(root: Path, name: str) -> set[bytes]:
    with open_files(root) as reader:
        data = reader.get(paths.logger_told(name)) or b""
    return {line for line in data.split(b"\n") if _TOLD.fullmatch(line)}
