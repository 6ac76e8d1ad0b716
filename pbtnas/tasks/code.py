"""Finds the code of a task: its file and what that imports from its folder, or its package.

Nothing is executed for it: imports are found in the syntax tree, wherever in a file they stand, so
that every process finds the same files.  What a file imports by a computed name, or from elsewhere,
is not found.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path, PurePosixPath
from weakref import WeakKeyDictionary

from pbtnas.records.task_code import OURS, SourceFile, TaskCode
from pbtnas.tasks.base import Task
from pbtnas.versions import versions

KEPT_OF_A_FILE = 256 << 10  # bytes of text; of larger files only the digest is recorded
KEPT = 1 << 20  # bytes of text in all

_noted: WeakKeyDictionary[type, TaskCode] = WeakKeyDictionary()


def note(task: Task, code: TaskCode) -> None:
    """Remember the code of a task that was just loaded: its file may change while it runs."""
    _noted[type(task)] = code


def code_of(task: Task) -> TaskCode:
    """The code that a task was loaded from; of one that was made otherwise, only the versions."""
    return _noted.get(type(task), TaskCode(versions=versions()))


def code_of_file(path: Path) -> TaskCode:
    """The code of a task in a file, which has just been imported."""
    return TaskCode(path.name, _sources(path, path.parent, None), versions=versions())


def code_of_package(point: EntryPoint) -> TaskCode:
    """The code of an installed task: its package, and its files too unless the package is ours."""
    package = "" if point.dist is None else point.dist.name
    version = "" if point.dist is None else point.dist.version
    top, *inside = point.module.split(".")
    file = getattr(sys.modules.get(point.module), "__file__", None)
    if top == OURS or file is None or not file.endswith(".py"):
        return TaskCode(package=package, version=version, versions=versions())
    path = Path(file)
    root = path.parents[len(inside) + (path.name == "__init__.py")]
    main = path.relative_to(root).as_posix()
    return TaskCode(main, _sources(path, root, top), package, version, versions())


def _sources(main: Path, root: Path, only: str | None) -> dict[str, SourceFile]:
    """A file and all that it imports below `root`, and what that imports, by name.

    With `only`, what lies in the package of that name.
    """
    found: dict[str, SourceFile] = {}
    room = KEPT
    waiting = deque([main])
    while waiting:
        path = waiting.popleft()
        name = path.relative_to(root).as_posix()
        if name in found:
            continue
        data = path.read_bytes()
        text = _text(data) if len(data) <= min(KEPT_OF_A_FILE, room) else None
        room -= len(data) if text is not None else 0
        found[name] = SourceFile(hashlib.sha256(data).hexdigest(), text)
        for module in _imported(data, PurePosixPath(name)):
            top = module.partition(".")[0]
            if only is None and (top == OURS or top in sys.stdlib_module_names):
                continue
            if only in (None, top):
                waiting.extend(_files(module, root))
    return found


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _imported(data: bytes, name: PurePosixPath) -> Iterator[str]:
    """The dotted names that may be modules which a file of that name imports."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # importing it has told them, with their place
            tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # importing it will say what is wrong, if anybody does
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = name.parent.parts[: len(name.parent.parts) + 1 - node.level]
            base = [*(parents if node.level else ()), *filter(None, [node.module])]
            yield from (".".join([*base, alias.name]) for alias in node.names)


def _files(module: str, root: Path) -> Iterator[Path]:
    """The files that importing a dotted name executes, below `root`."""
    place = root
    for part in module.split("."):
        place = place / part
        package, plain = place / "__init__.py", place.with_name(f"{part}.py")
        if package.is_file():
            yield package
        elif plain.is_file():
            yield plain
            return
        elif not place.is_dir():
            return
