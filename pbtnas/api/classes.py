"""Names the class of a task so that other processes can import it.

A search has many processes, and each of them imports the task by itself, from a file.  Nothing is
pickled: a class that stands in no file cannot be had anywhere else.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType, ModuleType

from pbtnas.errors import ExitCode, PbtnasError

GROUP = "pbtnas.tasks"
_LOADER = "pbtnas.tasks.loading"


class NotImportable(PbtnasError):
    """Other processes cannot import the task that was given."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class NamedTask:
    """A task as the command line names it.

    Args:
        name: The name of the task, for `task.name`.
        words: What `--task` takes; None for an installed task.
        root: The directory that has to be among the module paths; None if nothing has to be added.
    """

    name: str
    words: str | None
    root: Path | None = None


def named_task(task: type | str | None) -> NamedTask | None:
    """How the processes of a search find a task; None if the configuration says it.

    Args:
        task: A class of an importable module, or of the script that runs; or the words that
            `--task` takes, or the name of an installed task.

    Raises `NotImportable`.
    """
    if task is None:
        return None
    if isinstance(task, str):
        _, colon, cls = task.rpartition(":")
        return NamedTask(cls, task) if colon else NamedTask(task, None)
    if not inspect.isclass(task):
        raise NotImportable(
            f"task: expected a class, such as MyTask, not {type(task).__name__}; its options are "
            "given in the section task of the configuration"
        )
    return _installed(task) or _in_file(task)


def words_of(task: type | str | None) -> str | None:
    """What `--task` takes for a task that is given so; None for an installed one."""
    named = named_task(task)
    return None if named is None else named.words


def logger_words(logger: type | str) -> str:
    """What `--log` takes for a logger that is given so.  Raises `NotImportable`."""
    if isinstance(logger, str):
        return logger
    words = _in_file(logger, "log").words
    assert words is not None, "a class in a file has words"
    return words


def refuse_within_import() -> None:
    """Raise `NotImportable` where a process of a search imports the script that starts searches."""
    frame: FrameType | None = sys._getframe(1)
    caller = ""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name == _LOADER:
            raise NotImportable(
                f"{caller}: pbtnas.run is called while the file is imported, as every process of a "
                'search does to have the task; call it below `if __name__ == "__main__":`'
            )
        if not caller and name.partition(".")[0] != "pbtnas":
            caller = frame.f_code.co_filename
        frame = frame.f_back


def _installed(task: type) -> NamedTask | None:
    top = task.__module__.partition(".")[0]
    for point in entry_points(group=GROUP):
        if point.module.partition(".")[0] == top and point.load() is task:
            return NamedTask(point.name, None)
    return None


def _in_file(task: type, what: str = "task") -> NamedTask:
    name, qualified = task.__name__, task.__qualname__
    module = sys.modules.get(task.__module__)
    file = getattr(module, "__file__", None)
    if module is None or file is None or not file.endswith(".py"):
        raise NotImportable(
            f"{what}: the class {name} was typed in or stands in a notebook cell, where the "
            "processes of a search cannot import it; write it to a file, such as my_task.py, and "
            f"import it: `from my_task import {name}`"
        )
    if getattr(module, qualified, None) is not task:
        raise NotImportable(
            f"{what}: the class {qualified} of {file} is not at the top level of its file, where "
            "the processes of a search would look for it"
        )
    path = Path(file).resolve()
    dotted = _dotted(module)
    if dotted is None:
        return NamedTask(name, f"{path}:{name}")
    inside = dotted.count(".") + (path.name == "__init__.py")
    return NamedTask(name, f"{dotted}:{name}", root=path.parents[inside])


def _dotted(module: ModuleType) -> str | None:
    """The name of a module in a package, also of one that `python -m` runs; None for a file."""
    spec = getattr(module, "__spec__", None)
    if spec is None or not (spec.parent or spec.submodule_search_locations):
        return None
    return str(spec.name)
