"""Reads the words FILE.py:Class or MODULE:Class, by which the command line names a task.

Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pbtnas.config.fields import closest

GROUP = "pbtnas.tasks"
"""The entry point group in which packages install their tasks."""


def file_and_class(words: str) -> tuple[str, str] | None:
    """File and class of "FILE.py:Class"; None for any other words."""
    file, _, class_name = words.rpartition(":")
    return (file, class_name) if file.endswith(".py") and class_name else None


def not_installed(name: str, known: Sequence[str]) -> str:
    """What is wrong with a task's name that is none of those installed, in one sentence."""
    if file_and_class(name):
        return f"task.name: a file is named on the command line, not here: --task {name}"
    if ":" in name or name.endswith(".py"):
        return (
            f"task.name: {name!r} is no name; a task in a file of yours is FILE.py:Class, "
            "such as my_task.py:MyTask"
        )
    match = closest(name, known)
    hint = f"did you mean {match!r}? " if match else ""
    return (
        f"task.name: unknown task {name!r}; {hint}installed: {', '.join(known) or 'none'}; "
        f"a task in a file of yours needs --task FILE.py:{name}"
    )


def module_and_class(words: str) -> tuple[str, str] | None:
    """Module and class of "package.module:Class"; None for any other words."""
    module, _, class_name = words.rpartition(":")
    dotted = all(part.isidentifier() for part in (*module.split("."), class_name))
    return (module, class_name) if dotted and file_and_class(words) is None else None


def unfit(name: str, task_file: str) -> str | None:
    """What can be seen to be wrong with FILE.py:Class or MODULE:Class before anything is imported,
    in one sentence; None if nothing is.

    Args:
        name: The task's name by the run or its configuration.
        task_file: The words.
    """
    file = file_and_class(task_file)
    words = file or module_and_class(task_file)
    if words is None:
        return None
    origin, class_name = words
    if name != class_name:
        # Else the same run, resumed without --task, would quietly search something else.
        return (
            f"--task (or PBTNAS_TASK) gives the class {class_name!r}, but task.name of the run or "
            f"its configuration is {name!r}; give {origin}:{name}, or leave task.name out"
        )
    if file is not None and not Path(origin).is_file():
        return f"--task {task_file}: there is no file {Path(origin).resolve()}"
    return None
