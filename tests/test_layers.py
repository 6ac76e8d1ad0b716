"""Who may import whom, as docs/architecture.md draws it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import pbtnas
from tests.analysis.made_runs import search, story, write

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
    "processor": "",
    "regular_files": "",
    "search": "",
    "state": "",
    "tabular": "",
    "version": "",
    "versions": "version",
    # What is searched, how weights are mixed, what is decided.
    "config": "search tabular regular_files",
    "models": "search",
    "supernet": "search models",
    "weights": "search state",
    "records": "search",
    "protocol": "search records",
    # Files.
    "checkpoints": "regular_files state",
    "rl": "child_python checkpoints",
    "store": "search records protocol checkpoints regular_files processor",
    # What is trained, and the process that trains it.
    "tasks": (
        "config search state records checkpoints models supernet data rl metrics determinism "
        "cuda child_python versions"
    ),
    "training": (
        "config search state records checkpoints store tasks determinism cuda logs regular_files "
        "processor versions"
    ),
    # Trained networks, numbers, screens.
    "networks": "version config search records checkpoints store tasks tabular regular_files",
    "analysis": "config search records store tabular processor",
    "monitoring": "search regular_files records store analysis",
    "loggers": "config records store tasks analysis regular_files",
    "dashboard": "records store analysis monitoring",
    # Processes.
    "engine": (
        "version config search state weights records protocol checkpoints store tasks analysis "
        "determinism cuda child_python logs regular_files processor versions"
    ),
    "replay": "search records protocol store analysis tasks training engine",
    "launch": "records store engine",
    "study": "version config records protocol checkpoints store training engine",
    # What `import pbtnas` offers.
    "api": "config store analysis monitoring engine networks child_python",
}
MAY_IMPORT_EVERYTHING = {"cli", "__main__", "__init__"}
MAY_BE_IMPORTED_BY_ALL = {"errors"}

PURE = ("search", "records", "protocol")
HARMLESS = {
    *("__future__", "abc", "ast", "collections", "contextlib", "dataclasses", "difflib"),
    *("enum", "fractions"),
    *("functools", "hashlib", "itertools", "json", "math", "random", "re", "typing", "zlib"),
}
"""Standard modules that compute: they ask the machine for nothing."""


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """The syntax of a file, read once."""
    return tuple(ast.walk(ast.parse(file.read_text())))


def imported(file: Path) -> Iterator[str]:
    """The dotted names that a file imports."""
    for node in nodes(file):
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
                # What `pbtnas` itself offers is for users: it rests on everything.
                if package == "pbtnas" and other not in allowed:
                    wrong.append(f"{file.relative_to(PACKAGE)} may not import {name}")

    assert not wrong, "\n".join(wrong)


def test_tasks_are_prepared_in_one_place() -> None:
    """Whoever calls `prepare` elsewhere may do it with other threads, and other bits."""
    calls = [
        str(file.relative_to(PACKAGE))
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in nodes(file)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "prepare"
        and ast.unparse(node.func.value) != "super()"
    ]

    assert calls == ["tasks/preparing.py"]


READING = {"read_bytes", "read_text", "copy", "copyfile", "copy2", "load_file", "safe_open"}


def test_checkpoints_are_read_in_one_place() -> None:
    """What reads one in another way reads it a second time, or waits for a pipe."""
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} calls {ast.unparse(node.func)}"
        for layer in ("checkpoints", "training", "networks", "study", "weights")
        for file in layers()[layer]
        for node in nodes(file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if node.func.attr in READING or (node.func.attr == "open" and not _writes(node))
    ]

    # Opened to be synced, after it was written.
    assert [each.rpartition(":")[0] for each in found] == ["training/snapshots.py"], found


def _writes(call: ast.Call) -> bool:
    mode = call.args[0] if call.args else None
    return isinstance(mode, ast.Constant) and mode.value in ("wb", "xb", "ab", "a")


def test_the_table_is_about_the_tree() -> None:
    """A layer that is gone leaves the table, and a new one is entered."""
    assert MAY_IMPORT.keys() | MAY_IMPORT_EVERYTHING == layers().keys()


def test_the_table_allows_no_more_than_is_needed() -> None:
    """A permission that nobody uses hides the import that should not come."""
    files = layers()
    unused = [
        f"{layer}: {other}"
        for layer, others in MAY_IMPORT.items()
        for other in others.split()
        if not any(
            name.startswith(f"pbtnas.{other}.") for file in files[layer] for name in imported(file)
        )
    ]

    assert unused == []


def test_nobody_above_tasks_knows_which_task_runs() -> None:
    """Tasks are found by name; the engine has no case for one of them."""
    tasks = tuple(f"pbtnas.tasks.{name}" for name in ("digits", "gan", "drqv2", "weight_sharing"))
    wrong = [
        f"{file.relative_to(PACKAGE)} imports {name}"
        for layer, files in layers().items()
        if layer != "tasks"
        for file in files
        for name in imported(file)
        if name.startswith(tasks)
    ]

    assert wrong == []


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
        if name.partition(".")[0] not in {"pbtnas", *HARMLESS}
    ]
    wrong += [
        f"{file.relative_to(PACKAGE)}:{node.lineno} calls {node.func.id}"
        for file in layers()[layer]
        for node in nodes(file)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in {"open", "print", "input", "exec", "eval", "__import__"}
    ]

    assert not wrong, "\n".join(wrong)


OPENS_FILES = {
    "regular_files.py": "the one place",
    "store/absent.py": "directories, to look past a cache",
    "store/reader.py": "directories",
    "store/posix.py": "directories, and files that it makes or overwrites",
    "store/identity.py": "/proc",
    "store/bucket/client.py": "what a process of this machine has written, to upload it",
    "store/bucket/store.py": "its own copies of objects",
    "store/doctor.py": "/proc, and files that it has made itself",
    "processor.py": "/proc",
    "engine/devices.py": "/sys, for the limit of the cgroup",
    "engine/guard.py": "/dev/null",
    "loggers/event_files.py": "a picture that it has read already",
    "engine/training_process.py": "/proc and /dev/null",
    "training/snapshots.py": "what it has written, to make it durable",
}
"""What opens files by itself, and which.  Data sets, and files that the user names as such, are
beyond: `data`, `metrics`, `rl` and `tasks` open those."""

OPENING = {"open", "read_bytes", "read_text", "copyfile", "copy", "copy2", "copytree", "loadtxt"}


def reads_a_file(call: ast.Call) -> bool:
    """Whether a call may open a file that others have put there."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
    if name not in OPENING or ast.unparse(function) == "read_bytes":  # of `checkpoints.one_pass`
        return False
    modes = [ast.unparse(a) for a in [*call.args, *(k.value for k in call.keywords)]]
    return not any(mode in ("'wb'", "'xb'", "'w'", "'x'") for mode in modes)


def test_files_of_the_directory_are_opened_in_one_place() -> None:
    """Elsewhere a named pipe would be waited for, a link followed, a film read as a record."""
    wrong = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} calls {ast.unparse(node.func)}"
        for layer, files in layers().items()
        if layer not in {"data", "metrics", "rl", "tasks"}
        for file in files
        if str(file.relative_to(PACKAGE)) not in OPENS_FILES
        for node in nodes(file)
        if isinstance(node, ast.Call) and reads_a_file(node)
    ]

    assert not wrong, "\n".join(wrong)


def test_signals_are_heeded_from_one_place_on() -> None:
    """A second request to stop would forget what the first one has heard during the imports."""
    makers = {
        str(file.relative_to(PACKAGE))
        for file in layers()["cli"]
        for node in nodes(file)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "StopRequest"
    }

    assert makers == {"cli/shared.py"}


def test_what_cannot_be_read_is_not_taken_for_a_record() -> None:
    """`Get` has three replies, and "not None" is two of them: `reading.content` or the type tells
    them apart."""
    wrong = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}"
        for files in layers().values()
        for file in files
        for node in nodes(file)
        if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) == "None"
        if any(
            isinstance(call, ast.Call) and ast.unparse(call.func) == "Get"
            for call in ast.walk(node.left)
        )
    ]

    assert not wrong, "\n".join(wrong)


QUICK = (
    "api.opened",
    "api.running",
    "analysis.history.run",
    "cli",
    "config",
    "engine.supervisor",
    "engine.worker",
    "monitoring.run_screen",
    "monitoring.watching",
    "monitoring.study_screen",
    "protocol.coordinator",
    "protocol.worker",
    "search",
    "store.fsck",
    "study.worker",
)


def test_what_answers_quickly_does_not_import_torch() -> None:
    """A status screen and a worker's supervisor start in a fraction of a second; and a command can
    tell numpy and torch which instructions to use, which they heed when they are loaded."""
    code = f"""
import importlib, sys
for name in {QUICK}:
    importlib.import_module(f"pbtnas.{{name}}")
    if {{"torch", "numpy"}} & {{*sys.modules}}:
        sys.exit(f"{{name}} imports torch or numpy")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


NOT_TO_LOOK = (
    "importlib.metadata",
    "pbtnas.cli.compare",
    "pbtnas.cli.show",
    "pbtnas.engine",
    "pbtnas.protocol.operations",
    "pbtnas.store.posix",
    "rich",
    "secrets",
    "socket",
    "tempfile",
)


def test_a_status_imports_what_it_shows_and_no_more(tmp_path: Path) -> None:
    """Its processor time is nearly all imports: no other command, nothing that writes or draws."""
    code = f"""
import sys
from pbtnas.cli.app import main
try:
    main(["status", {str(tmp_path)!r}])
except SystemExit as ended:
    sys.exit(ended.code or " ".join({{*{NOT_TO_LOOK}}} & {{*sys.modules}}))
"""
    write(tmp_path, story(search()))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.startswith("run  "), done.stderr
    assert done.stderr.strip() == ""


LOCAL = {
    "launch/slurm_scripts.py": "a run on a disk that all nodes see",
    "launch/ssh_scripts.py": "a run on a disk that all hosts see",
    "loggers/event_files.py": "its own directory",
    "replay/again.py": "its copy of a run, a directory",
    "store/controls.py": "a study, which lies in no bucket",
    "store/opening.py": "the one place",
    "store/posix.py": "what it is about",
    "store/reader.py": "what it is about",
    "store/between.py": "files that it has made itself",
    "store/bucket/address.py": "the file that says which bucket",
    "store/bucket/copies.py": "what it is about",
    "store/bucket/store.py": "its own copies of objects",
    "store/doctor.py": "files that it has made itself",
    "store/launches.py": "launches of runs on a disk",
    "store/meeting.py": "files that it has made itself",
    "store/private_files.py": "what processes of this machine have left",
    "store/run_directory.py": "directories of this machine, and names in sentences",
    "store/study_directory.py": "a study, which lies in no bucket",
    "study/reuse.py": "runs of a study, which lie in no bucket",
    "store/trash.py": "what was discarded from a directory",
}
"""What joins the name of a file to the directory of a run by itself, and why it may."""


def joins_a_name(node: ast.AST) -> bool:
    """Whether this makes the path of a file in the directory of a run."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
        return False
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    named = left.rpartition(".")[2].lstrip("_") in ("root", "run_dir")
    return named or right.startswith("paths.")


def test_files_of_a_run_are_found_in_one_place() -> None:
    """A run may lie in a bucket: whoever joins a name to its directory finds nothing there."""
    wrong = [
        f"{file.relative_to(PACKAGE)}:{node.lineno} joins {ast.unparse(node)}"
        for layer, files in layers().items()
        if layer not in {"data", "metrics", "rl", "tasks"}
        for file in files
        if str(file.relative_to(PACKAGE)) not in LOCAL
        for node in nodes(file)
        if isinstance(node, ast.BinOp) and joins_a_name(node)
    ]

    assert not wrong, "\n".join(wrong)
