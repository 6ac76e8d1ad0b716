"""Who may import whom: the table of design.md, section 3, as a test."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import pbtnas

PACKAGE = Path(pbtnas.__file__).parent

# A package or a module right below `pbtnas`: the others it may import.
MAY_IMPORT = {
    "search": "",
    "config": "",
    "data": "",
    "metrics": "",
    "rl": "",
    "state": "",
    "weights": "search state",
    "store": "search state",
    "models": "search",
    "tasks": "config search state models data rl metrics determinism",
    "analysis": "search store",
    "screen": "",
    "status": "search store analysis screen",
    # The protocol, without I/O.
    "attempts": "store",
    "generations": "search store",
    "attending": "store attempts",
    "repairing": "store attempts attending",
    "machines": "store attempts",
    "worker": "store attempts attending repairing machines",
    "term": "store",
    "champions": "store",
    "conducting": "search",
    "algorithm_loading": "config search",
    "offspring": "search store conducting",
    "coordinator": "search store generations term champions conducting offspring",
    # The protocol for real.
    "drive": "store",
    "snapshots": "state store",
    "parenthood": "",
    "prepared_tasks": "config store tasks",
    "cuda_errors": "",
    "determinism": "",
    "device_probe": "",
    "logs": "",
    "training_context": "store",
    "training": (
        "config search state store tasks cuda_errors determinism device_probe logs "
        "snapshots prepared_tasks training_context"
    ),
    "training_process": "store attempts parenthood",
    "worker_host": "config store attempts worker drive training_process",
    "starting": "config search store tasks algorithm_loading generations",
    "coordinator_host": (
        "config search state weights store tasks analysis starting term conducting coordinator "
        "drive"
    ),
    "afterwards": "search store attempts",
    "soups": "search store afterwards",
    "companions": "",
    "evaluator": (
        "config search state weights store tasks attempts afterwards determinism device_probe "
        "drive training_context"
    ),
    "evaluation": "config search store tasks afterwards soups evaluator drive training_context",
    "exports": "config search store tasks evaluation",
    "local_run": "drive",
    # Studies.
    "account": "store",
    "reuse": "store attempts drive",
    "study_status": "store analysis account screen",
    "study_worker": "config store attempts worker drive reuse training_process worker_host",
    "study_coordinators": (
        "config search store tasks algorithm_loading starting prepared_tasks term coordinator "
        "coordinator_host drive"
    ),
    "study": "config store drive local_run prepared_tasks study_coordinators",
    "doctor": "store",
    "fsck": "store",
}
MAY_IMPORT_EVERYTHING = {
    "cli",
    "cli_algorithms",
    "cli_comparing",
    "cli_looking",
    "cli_models",
    "cli_results",
    "cli_shared",
    "cli_study",
    "cli_tasks",
    "__main__",
    "__init__",
}


def imports() -> dict[str, dict[str, str]]:
    """By layer, which other layers it imports, each with a file that does."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in PACKAGE.rglob("*.py"):
        relative = path.relative_to(PACKAGE)
        layer = relative.parts[0].removesuffix(".py")
        found[layer].update(
            {
                other: str(relative)
                for other in _imported(ast.parse(path.read_text()))
                if other != layer
            }
        )
    return found


def _imported(tree: ast.Module) -> set[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [name.split(".") for name in names]
    layers = {path.stem for path in PACKAGE.iterdir()}
    return {p[1] for p in parts if p[0] == "pbtnas" and len(p) > 1 and p[1] in layers}


def test_dependencies_point_one_way() -> None:
    """Every layer imports only what the table allows; a new one has to be entered there."""
    wrong = [
        f"{file}: pbtnas.{layer} may not import pbtnas.{other}"
        for layer, others in imports().items()
        if layer not in MAY_IMPORT_EVERYTHING
        for other, file in others.items()
        if other not in MAY_IMPORT.get(layer, "").split()
    ]

    assert not wrong, "\n".join(wrong)


def test_the_table_has_no_circles() -> None:
    """What a layer may import, and what that may import, never comes back to it."""
    done: set[str] = set()
    while left := MAY_IMPORT.keys() - done:
        free = {layer for layer in left if set(MAY_IMPORT[layer].split()) <= done}
        assert free, f"these import each other: {', '.join(sorted(left))}"
        done |= free


@pytest.mark.parametrize(
    "module",
    [
        "pbtnas.cli",
        "pbtnas.worker_host",
        "pbtnas.study_worker",
        "pbtnas.local_run",
        "pbtnas.status",
        "pbtnas.study_status",
        "pbtnas.search",
        "pbtnas.config",
        "pbtnas.analysis.history",
    ],
)
def test_what_answers_quickly_does_not_import_torch(module: str) -> None:
    """A status screen and a worker's supervisor start in a fraction of a second."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
