"""Finds a task by the name under which it is installed, or in a file of the user's.

Only the command line can name a file.  Nothing in the run directory does, so whoever may
write there cannot make a worker run code.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pbtnas.config import parse
from pbtnas.config.fields import closest
from pbtnas.tasks.base import Options, Task, TaskError

GROUP = "pbtnas.tasks"
"""The entry point group in which packages install their tasks."""

_PREFIX = "pbtnas_task_file_"  # never the name of an installed module


def load_task(
    name: str,
    options: Options,
    *,
    task_file: str | None = None,
    places: Mapping[str, str] | None = None,
) -> Task:
    """The task of that name, made from the options of the config's `task:` section.

    Args:
        name: an installed task; with `task_file`, the name of its class.
        options: checked against the class's `Options`, a dataclass, if it has one.
        task_file: "FILE.py:Class" from the command line.
        places: "file:line" of each option, for messages.

    Raises `TaskError` with one sentence, or `ConfigError` for options that are wrong.  An
    exception of the user's own module is let through.
    """
    cls = _installed(name) if task_file is None else _from_file(name, task_file)
    _check_class(cls, name)
    if hasattr(cls, "Options"):
        return _made(cls(_parsed(cls.Options, options, places)))
    if options:
        key = next(iter(options))
        place = (places or {}).get(key)
        at = f"{place}: " if place else ""
        raise TaskError(f"{at}task.{key}: the task {name!r} has no options, remove this key")
    return _made(cls())


def complete_options(task: Task, options: Options) -> dict[str, Any]:
    """The options with every default written out, as JSON; all that later defaults may change.

    Raises `TaskError` for a default that is no JSON, and `ConfigError` for options that are wrong.
    """
    cls: Any = type(task)
    if not hasattr(cls, "Options"):
        return {}
    found = vars(_parsed(cls.Options, options))
    return {key: _recordable(key, value) for key, value in found.items()}


def _parsed(cls: Any, options: Options, places: Mapping[str, str] | None = None) -> Any:
    """The `Options` of a task.

    What a run has recorded of a default is accepted as the default itself is: unchecked.
    """
    defaults = {f.name: _text(f.default) for f in fields(cls) if f.default is not MISSING}
    given = {key: v for key, v in options.items() if defaults.get(key) != _text(v)}
    return parse(cls, given, "task", places)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _recordable(key: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        raise TaskError(
            f"task.{key}: the value {value!r} cannot be recorded; expected finite numbers, text, "
            "lists and null, of the defaults too"
        ) from None


def installed_tasks() -> list[str]:
    """The names of all installed tasks, in alphabetical order."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def _installed(name: str) -> Any:
    found = entry_points(group=GROUP, name=name)
    if not found:
        known = installed_tasks()
        match = closest(name, known)
        hint = f"did you mean {match!r}? " if match else ""
        raise TaskError(
            f"task.name: unknown task {name!r}; {hint}installed: {', '.join(known) or 'none'}; "
            f"a task in a file of yours needs --task FILE.py:{name}"
        )
    return next(iter(found)).load()


def _from_file(name: str, task_file: str) -> Any:
    file, colon, class_name = task_file.rpartition(":")
    if not colon or not file.endswith(".py") or not class_name:
        raise TaskError(f"--task {task_file}: expected FILE.py:Class")
    # Else the same run, resumed without --task, would quietly search something else.
    if name != class_name:
        raise TaskError(
            f"--task gives the class {class_name!r}, but the config's task.name is {name!r}; "
            f"set it to {class_name}"
        )
    path = Path(file).resolve()
    if not path.is_file():
        raise TaskError(f"--task {task_file}: there is no file {path}")
    module = import_file(path)
    if not hasattr(module, class_name):
        classes = [n for n, c in vars(module).items() if inspect.isclass(c)]
        match = closest(class_name, classes)
        hint = f"; did you mean {match!r}?" if match else ""
        raise TaskError(f"--task {task_file}: {path} has no class {class_name!r}{hint}")
    return getattr(module, class_name)


def is_task_file(module: str) -> bool:
    """Whether a module of that name is a file that `--task` named."""
    return module.startswith(_PREFIX)


def import_file(path: Path) -> ModuleType:
    """The module of a file; what lies beside it can be imported by it, as in a script."""
    name = f"{_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # dataclasses look their module up while it is executed
    spec.loader.exec_module(module)
    return module


def _check_class(cls: Any, name: str) -> None:
    if not inspect.isclass(cls):
        raise TaskError(f"the task {name!r} is a {type(cls).__name__}, expected a class")
    undone = sorted(getattr(cls, "__abstractmethods__", ()))
    undone += [method for method in ("prepare", "create") if not hasattr(cls, method)]
    if undone:
        raise TaskError(f"the task {name!r} does not define {', '.join(undone)}")


def _made(task: Any) -> Task:
    if not hasattr(task, "space"):
        raise TaskError(f"the task {type(task).__name__!r} has no `space`, a SearchSpace")
    made: Task = task
    return made
