"""Writes the folder of `pbtnas new`, from the templates beside this module.  Needs no torch.

A template is text as it is written, except that the task is called `my_search` and `MySearch`
in it.
"""

from __future__ import annotations

import importlib.util
import io
import keyword
import re
import sys
import tokenize
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from pbtnas.errors import ExitCode, PbtnasError

KINDS = ("supervised", "gan", "rl", "full")
"""What there is a template of."""

_MODULE, _CLASS = "my_search", "MySearch"
_TASK = "task.py.txt"
_FILES = {
    _TASK: "{name}.py",
    "config.yaml": "config.yaml",
    "test.py.txt": "test_{name}.py",
    "README.md": "README.md",
}


class UnfitName(PbtnasError):
    """No folder can be written under this name; the message is one sentence."""

    exit_code = ExitCode.USAGE


def class_name(name: str) -> str:
    """The class of the task in the folder of that name: `MyNet` in `my_net`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def write(directory: Path, kind: str) -> list[Path]:
    """Write the folder, which must not be there or be empty; the files written.

    Raises `UnfitName`, and `OSError` of the disk.  Nothing is overwritten.
    """
    name = directory.name
    templates = {t: (files(__package__) / kind / t).read_text(encoding="utf-8") for t in _FILES}
    _check(directory, set(_names(templates[_TASK])) - {_CLASS})
    directory.mkdir(exist_ok=True)
    written = []
    for template, text in templates.items():
        path = directory / _FILES[template].format(name=name)
        with path.open("x", encoding="utf-8") as file:
            file.write(_named(text, name))
        written.append(path)
    return written


def _named(text: str, name: str) -> str:
    """A template in which the task has its name."""
    return re.sub(rf"\b(test_)?{_MODULE}\b", rf"\g<1>{name}", text).replace(
        _CLASS, class_name(name)
    )


def _check(directory: Path, taken: set[str]) -> None:
    """Raise `UnfitName` where the folder cannot be written, or its code could not run.

    Args:
        directory: the folder.
        taken: names that have a meaning in the file of the task.
    """
    name, task = directory.name, class_name(directory.name)
    if not name.isidentifier() or not task or any(map(keyword.iskeyword, (name, task))):
        raise UnfitName(
            f"{directory}: {name!r} is no Python identifier; expected a name for a folder, a "
            "module and a class, such as my_search"
        )
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        what = "is a directory that is not empty" if directory.is_dir() else "is no directory"
        raise UnfitName(f"{directory}: exists and {what}; nothing was written")
    if _is_installed(name):
        raise UnfitName(
            f"{directory}: there is a module {name!r} already, which {name}.py would hide; "
            "expected another name"
        )
    if task in taken:
        raise UnfitName(
            f"{directory}: the task's class would be called {task}, as something else in its "
            "file; expected another name"
        )


def _is_installed(name: str) -> bool:
    """Whether programs can import a module of that name; a mere directory does not count."""
    if name in sys.modules:
        return True
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None


def _names(code: str) -> Iterator[str]:
    """The names in a program."""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.NAME:
            yield token.string
