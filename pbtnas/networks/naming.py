"""What the architectures of a run mean: options by name, and numbers of parameters.

A run tells by itself.  Of one begun before that was recorded, the task is asked, and only here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pbtnas.config import from_json
from pbtnas.errors import PbtnasError
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.store.opening import open_files
from pbtnas.store.products import lookup
from pbtnas.store.run_directory import Run, check_space
from pbtnas.tasks.base import Task
from pbtnas.tasks.loading import installed_tasks, load_task
from pbtnas.tasks.optional import Recalls, parameters_of


@dataclass(frozen=True)
class Naming:
    """Speaks about architectures as far as run or task tell.

    Args:
        space: The search space; None where it is not recorded, and the task is in a file that was
            not given.
        note: Sentence on what is lacking; "" if nothing is.
        task: The task, where it had to be asked for the space.
    """

    space: SearchSpace | None
    note: str
    task: Task | None = None

    def options(self, architecture: Architecture) -> dict[str, Any]:
        """Option of every variable by its name; indices by position without the space."""
        if self.space is None:
            return {str(i): index for i, index in enumerate(architecture)}
        return dict(self.space.decode(architecture))

    def parameters(
        self, architectures: Iterable[Architecture]
    ) -> tuple[dict[Architecture, int], str]:
        """Numbers of parameters of their networks by the task, and why some are not known."""
        counts: dict[Architecture, int] = {}
        if self.task is None:
            return counts, ""
        for architecture in dict.fromkeys(architectures):
            try:
                count = parameters_of(self.task.create(architecture, 0))
            except Exception as error:  # noqa: BLE001  (a task that creates nothing unprepared)
                return counts, f"parameters are not counted: {type(error).__name__}: {error}"
            if count is None:
                return counts, "parameters are not counted: the trainee has no trained_network()"
            counts[architecture] = count
        return counts, ""


def naming_of(root: Path, run: Run, task_file: str | None) -> Naming:
    """How to speak about a run's architectures: as it records; else by its task, if that is given
    or installed.

    Raises what `load_task` raises, and `NotARun` when the task has another search space here.
    """
    if run.variables is not None:
        return Naming(run.variables, "")
    section = from_json(run.config, recorded=run.options).task
    if task_file is None and section.name not in installed_tasks():
        return Naming(
            None,
            f"options are shown as indices: the task {section.name!r} is in a file, which "
            f"--task FILE.py:{section.name} names",
        )
    task = load_task(section.name, section.in_force, task_file=task_file)
    check_space(root, run, task.space, task_file or section.name)
    if isinstance(task, Recalls):
        with open_files(root) as files:
            try:
                task.recall(partial(lookup, files))
            except PbtnasError as error:
                return Naming(None, f"options are shown as indices: {error}")
    return Naming(task.space, "", task)
