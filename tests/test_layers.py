"""Who may import whom, as docs/architecture.md draws it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pbtnas

PACKAGE = Path(pbtnas.__file__).parent

# A folder or a module right below `pbtnas`: the others it may import.
MAY_IMPORT = {
    # Leaves.
    "child_python": "",
    "cuda": "",
    "data": "",
    "determinism": "",
    "errors": "",
    "logs": "",
    "metrics": "",
    "search": "",
    "state": "",
    "tabular": "",
    "version": "",
    # Data and decisions: no I/O.
    "config": "search tabular",
    "models": "search",
    "weights": "search state",
    "records": "search",
    "protocol": "search records",
    # Files.
    "checkpoints": "state",
    "rl": "child_python checkpoints",
    "store": "search records protocol checkpoints",
    # What is trained, and the process that trains it.
    "tasks": "config search state models data rl metrics determinism child_python",
    "training": "config search state records checkpoints store tasks determinism cuda logs",
    # Trained networks, numbers, screens.
    "networks": "version config search records checkpoints store tasks tabular",
    "analysis": "config search records store tabular",
    "monitoring": "search records store analysis",
    # Processes.
    "engine": (
        "version config search state weights records protocol checkpoints store tasks analysis "
        "determinism cuda child_python"
    ),
    "study": "version config search records protocol checkpoints store tasks training engine",
}
MAY_IMPORT_EVERYTHING = {"cli", "__main__", "__init__"}
MAY_BE_IMPORTED_BY_ALL = {"errors"}

PURE = ("search", "records", "protocol")
OUTSIDE_WORLD = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "io", "logging", "mmap", "multiprocessing"),
    *("os", "pathlib", "select", "selectors", "shutil", "signal", "socket", "subprocess"),
    *("tempfile", "threading", "time", "filelock", "numpy", "torch"),
}
"""What asks the machine for something, or computes with tensors."""


def imported(file: Path) -> Iterator[str]:
    """The dotted names that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layers() -> dict[str, list[Path]]:
    """The files of each folder and module right below the package."""
    found: dict[str, list[Path]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        found.setdefault(file.relative_to(PACKAGE).parts[0].removesuffix(".py"), []).append(file)
    return found


def test_dependencies_point_one_way() -> None:
    """Every layer imports only what the table allows; a new one has to be entered there."""
    files = layers()
    wrong = []
    for layer in files.keys() - MAY_IMPORT_EVERYTHING:
        allowed = {layer, *MAY_BE_IMPORTED_BY_ALL, *MAY_IMPORT.get(layer, "").split()}
        for file in files[layer]:
            for name in imported(file):
                package, _, rest = name.partition(".")
                other = rest.partition(".")[0]
                if package == "pbtnas" and other in files and other not in allowed:
                    wrong.append(f"{file.relative_to(PACKAGE)} may not import {name}")

    assert not wrong, "\n".join(wrong)


def test_the_table_is_about_the_tree() -> None:
    """A layer that is gone leaves the table, and a new one is entered."""
    assert MAY_IMPORT.keys() | MAY_IMPORT_EVERYTHING == layers().keys()


def test_the_table_has_no_circles() -> None:
    """What a layer may import, and what that may import, never comes back to it."""
    done: set[str] = set()
    while left := MAY_IMPORT.keys() - done:
        free = {layer for layer in left if set(MAY_IMPORT[layer].split()) <= done}
        assert free, f"these import each other: {', '.join(sorted(left))}"
        done |= free


@pytest.mark.parametrize("layer", PURE)
def test_what_decides_does_no_io(layer: str) -> None:
    """The simulation is worth something because these reach the world only by operations."""
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for file in layers()[layer]
        for name in imported(file)
        if name.partition(".")[0] in OUTSIDE_WORLD
    ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "module",
    [
        "analysis.history.run",
        "cli",
        "config",
        "engine.supervisor",
        "engine.worker",
        "monitoring.run_screen",
        "monitoring.study_screen",
        "protocol.coordinator",
        "protocol.worker",
        "search",
        "store.fsck",
        "study.worker",
    ],
)
def test_what_answers_quickly_does_not_import_torch(module: str) -> None:
    """A status screen and a worker's supervisor start in a fraction of a second."""
    code = f"import sys, pbtnas.{module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
