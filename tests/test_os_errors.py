"""No place takes any error of the operating system for one meaning, but for those listed here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pbtnas

PACKAGE = Path(pbtnas.__file__).parent

HARMLESS = {
    "api/running.py _on_terminal": "no terminal, so each line is passed on",
    "analysis/history/files.py time": "a hint, and a screen shows what it can read",
    "analysis/history/files.py view": "the records are read instead, and they raise",
    "engine/coordinator.py _mix": "what is left is litter, and the error before it was told",
    "engine/training_process.py _oom_kills": "no count, no verdict",
    "engine/training_process.py _open_log": "a log that cannot be written stops no job",
    "checkpoints/files.py _whole_or_absent": "the error that led there is the one to be told",
    "cli/live_panel.py draw": "the log above the panel says why",
    "cli/live_panel.py _drawing": "the log above the panel says why",
    "cli/live_panel.py _size": "no terminal, so any size will do",
    "cli/live_panel.py _write": "the terminal is gone, and the run goes on",
    "data/folder.py _one_by_one": "each process decodes then, and the first one wins",
    "monitoring/processes.py _seen": "a screen shows what it can read",
    "monitoring/processes.py names": "a screen shows what it can read",
    "monitoring/processes.py time": "a screen shows what it can read",
    "processor.py _cpuinfo": "said as it is: unknown; a pin is refused then",
    "store/absent.py open_each": "only prepares the look that follows, and that one raises",
    "store/bucket/address.py address_of_or_none": "the mark is written again",
    "store/bucket/address.py shown": "a sentence is said as it is",
    "store/doctor.py _file_system": "said as it is: unknown",
    "store/fsck/examination.py peek": "the same file is read again, and then it is told",
    "store/identity.py _boot": "death cannot be proved then",
    "store/identity.py _exists": "whoever is not said to be gone is alive",
    "store/identity.py _pid_namespace": "death cannot be proved then",
    "store/identity.py process_stat": "nothing is known of the process",
    "store/posix.py _unlink": "a private file, deleted later",
    "store/posix.py touch": "a hint for clients of NFS",
    "study/coordinators.py _look": "the run is opened then, which waits and says so",
    "study/reuse.py kind_of": "nothing is taken over, and it is asked again",
    "study/reuse.py take_checkpoint": "nothing is taken over: the job is trained",
    "tasks/faults.py place_of": "a class without a file has its name for a place",
    "training/snapshots.py remove": "a snapshot that stays only takes space",
}


def test_errors_are_told_apart_or_told() -> None:
    """Whoever catches an `OSError` looks at its number, says what it was, or raises it again: a
    failing disk is neither an absent file nor a missing ability."""
    found = set()
    for file in sorted(PACKAGE.rglob("*.py")):
        for function in ast.walk(ast.parse(file.read_text())):
            if isinstance(function, ast.FunctionDef) and any(_swallowing(function)):
                found.add(f"{file.relative_to(PACKAGE)} {function.name}")

    assert found - HARMLESS.keys() == set()


def _swallowing(function: ast.FunctionDef) -> Iterator[bool]:
    for node in ast.walk(function):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            uses_it = any(
                isinstance(inner, ast.Raise)
                or (isinstance(inner, ast.Name) and inner.id == node.name)
                for statement in node.body
                for inner in ast.walk(statement)
            )
            yield _any_error(node.type) and not uses_it
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
            yield any(_any_error(argument) for argument in node.args)


def _any_error(kinds: ast.expr) -> bool:
    return any(
        isinstance(kind, ast.Name) and kind.id in ("OSError", "IOError", "EnvironmentError")
        for kind in ast.walk(kinds)
    )
