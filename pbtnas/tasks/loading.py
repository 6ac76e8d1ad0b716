"""Finds a task by the name under which it is installed, or in a file or module of the user's.

Only the command line can name these.  Nothing in the run directory does, so whoever may write
there cannot make a worker run code.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from pbtnas.config.fields import closest
from pbtnas.errors import PbtnasError
from pbtnas.records.task_code import TaskCode
from pbtnas.tasks.base import Options, Task, TaskError
from pbtnas.tasks.code import code_of_file, code_of_package, note
from pbtnas.tasks.faults import fault, shown
from pbtnas.tasks.making import make, parsed, preset
from pbtnas.tasks.task_file import GROUP, file_and_class, module_and_class, not_installed, unfit

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
        task_file: "FILE.py:Class" from the command line, or "package.module:Class".
        places: "file:line" of each option, for messages.

    Raises `TaskError` with one sentence, also for what the user's own file raises, or
    `ConfigError` for options that are wrong.
    """
    if task_file is None:
        cls, code = _installed(name)
    elif module_and_class(task_file) is not None:
        cls, code = _from_module(name, task_file)
    else:
        cls, code = _from_file(name, task_file)
    task = make(cls, name, options, places or {})
    note(task, code)
    return task


def complete_options(task: Task, options: Options) -> dict[str, Any]:
    """The options with every default written out, as JSON; all that later defaults may change.

    But for those of newer fields, which runs begun before do not have, unless another option
    would set them otherwise.
    Raises `ConfigError` for options that are wrong.
    """
    cls: Any = type(task)
    if not hasattr(cls, "Options"):
        return {}
    made = parsed(cls.Options, options, {})
    newer = {f.name: f.default for f in fields(made) if f.metadata.get("newer")}
    kept = preset(cls.Options, options)
    found = {k: v for k, v in vars(made).items() if k not in newer or k in kept or v != newer[k]}
    written: dict[str, Any] = json.loads(json.dumps(found, allow_nan=False))
    return written


def installed_tasks() -> list[str]:
    """The names of all installed tasks, in alphabetical order."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def _installed(name: str) -> tuple[Any, TaskCode]:
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise TaskError(not_installed(name, installed_tasks()))
    (point, *_) = found
    try:
        return point.load(), code_of_package(point)
    except Exception as error:
        if point.value.startswith("pbtnas."):
            raise
        raise fault(f"importing the task {name!r} of {point.value}", error) from error


def _from_file(name: str, task_file: str) -> tuple[Any, TaskCode]:
    words = file_and_class(task_file)
    if words is None:
        raise _malformed(task_file)
    file, class_name = words
    _check_words(name, task_file)
    path = Path(file).resolve()
    module = import_file(path)
    return _class_of(module, class_name, task_file, str(path)), code_of_file(path)


def _from_module(name: str, task_file: str) -> tuple[Any, TaskCode]:
    words = module_and_class(task_file)
    assert words is not None, "asked for by load_task"
    dotted, class_name = words
    _check_words(name, task_file)
    try:
        module = importlib.import_module(dotted)
    except PbtnasError:
        raise
    except (Exception, SystemExit) as error:
        raise fault(f"importing {dotted}", error) from error
    code = code_of_package(EntryPoint(name, task_file, GROUP))
    return _class_of(module, class_name, task_file, f"the module {dotted}"), code


def _check_words(name: str, task_file: str) -> None:
    wrong = unfit(name, task_file)
    if wrong is not None:
        raise TaskError(wrong)


def _class_of(module: ModuleType, class_name: str, task_file: str, origin: str) -> Any:
    if not hasattr(module, class_name):
        classes = _classes(module)
        lower = {found.lower(): found for found in classes}
        match = closest(class_name, lower)
        hint = f"; did you mean {lower[match]!r}?" if match else ""
        has = f"; it has {', '.join(classes)}" if classes and not match else ""
        raise TaskError(f"--task {task_file}: {origin} has no class {class_name!r}{hint}{has}")
    return getattr(module, class_name)


def _malformed(task_file: str) -> TaskError:
    """What is wrong with words that are not FILE.py:Class, and what they may be meant to be."""
    path = Path(task_file.removesuffix(":"))
    found = _classes(import_file(path.resolve())) if path.suffix == ".py" and path.is_file() else []
    example = f", such as {path}:{found[-1]}" if found else ""
    return TaskError(f"--task {task_file}: expected FILE.py:Class{example}")


def _classes(module: ModuleType) -> list[str]:
    """The names of the classes that a file defines itself."""
    found = vars(module).items()
    return [n for n, c in found if inspect.isclass(c) and c.__module__ == module.__name__]


def is_task_file(module: str) -> bool:
    """Whether a module of that name is a file that `--task` named."""
    return module.startswith(_PREFIX)


def import_file(path: Path) -> ModuleType:
    """The module of a file; what lies beside it can be imported by it, as in a script.

    Raises `TaskFault` for whatever it raises.
    """
    name = f"{_PREFIX}{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    sys.modules[name] = module  # dataclasses look their module up while it is executed
    try:
        spec.loader.exec_module(module)
    except PbtnasError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise fault(f"importing {shown(str(path))}", error) from error
    return module
