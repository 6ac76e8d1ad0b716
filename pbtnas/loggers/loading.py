"""Finds loggers by name: those of pbtnas, installed ones, and a class in a file of the user's.

Only the command line can name a file.  Nothing in the run directory does, so whoever may write
there cannot make a process run code.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pbtnas.config.fields import closest
from pbtnas.config.schema import LOGGER_GROUP, logger_names
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.loggers.base import Logger
from pbtnas.records.paths import safe


class UnknownLogger(PbtnasError):
    """There is no such logger here."""

    exit_code = ExitCode.USAGE


class _Ours(NamedTuple):
    module: str
    cls: str
    needs: str  # a package that is not among the dependencies
    extra: str


_OURS = {
    "tensorboard": _Ours("pbtnas.loggers.event_files", "EventFiles", "tensorboard", "log"),
    "wandb": _Ours("pbtnas.loggers.weights_and_biases", "WeightsAndBiases", "wandb", "wandb"),
    "mlflow": _Ours("pbtnas.loggers.mlflow_store", "MlflowStore", "mlflow", "mlflow"),
}


def check_loggers(names: Iterable[str]) -> None:
    """Raise `UnknownLogger` where a logger is not to be had here; none is made."""
    for name in names:
        _check(name)


def make_logger(name: str) -> Logger:
    """The logger of that name, or of the class that "FILE.py:Class" or "MODULE:Class" names.

    Raises `UnknownLogger`, or `TaskFault` for a file that cannot be imported.
    """
    _check(name)
    if ":" in name:
        return _of_words(name)
    if name in _OURS:
        ours = _OURS[name]
        made: Logger = getattr(importlib.import_module(ours.module), ours.cls)()
        return made
    (point, *_) = entry_points(group=LOGGER_GROUP, name=name)
    loaded: Logger = point.load()()
    return loaded


def directory_name(name: str) -> str:
    """What the files of a logger are called: its name, or that of its class."""
    return safe(name.rpartition(":")[2])


def _check(name: str) -> None:
    if ":" in name:
        return  # what is wrong with a file is told when it is imported
    known = logger_names()
    if name not in known:
        match = closest(name, known)
        hint = f"; is {match!r} meant?" if match else ""
        raise UnknownLogger(
            f"unknown logger {name!r}, expected one of {', '.join(known)}, or FILE.py:Class on the "
            f"command line{hint}"
        )
    ours = _OURS.get(name)
    if ours is not None and find_spec(ours.needs) is None:
        raise UnknownLogger(
            f"the logger {name!r} needs the package {ours.needs}: "
            f'`pip install "pbtnas[{ours.extra}]"`'
        )


def _of_words(words: str) -> Logger:
    from pbtnas.tasks.loading import import_file  # torch comes with it
    from pbtnas.tasks.task_file import file_and_class, module_and_class

    in_file, in_module = file_and_class(words), module_and_class(words)
    if in_file is not None and Path(in_file[0]).is_file():
        module, cls = import_file(Path(in_file[0]).resolve()), in_file[1]
    elif in_module is not None:
        module, cls = importlib.import_module(in_module[0]), in_module[1]
    else:
        raise UnknownLogger(f"logger {words}: expected FILE.py:Class of a file that is there")
    found = getattr(module, cls, None)
    if not (isinstance(found, type) and issubclass(found, Logger)):
        raise UnknownLogger(
            f"logger {words}: expected a class that inherits pbtnas.loggers.base.Logger"
        )
    return found()
