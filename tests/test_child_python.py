"""Children of this package are started so that nothing in the current directory is executed."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pbtnas
from pbtnas.child_python import forget_current_directory, python_command, python_environment

PACKAGE = Path(pbtnas.__file__).parent
STARTS = {"os.system", "os.popen", "os.execv", "os.execve", "os.execvp", "os.execvpe"}
STARTS |= {"os.posix_spawn", "os.posix_spawnp", "os.spawnv", "os.spawnve", "runpy.run_module"}


def test_only_one_place_says_how_python_is_started() -> None:
    """No other module of the package names the interpreter, multiprocessing, or a way around."""
    wrong = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.name == "child_python.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            said = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            names = [alias.name for alias in getattr(node, "names", []) if hasattr(alias, "name")]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            bad = {said, *names} & {"sys.executable", *STARTS}
            bad |= {name for name in names if name.startswith("multiprocessing")}
            wrong += [f"{file.relative_to(PACKAGE)}: {name}" for name in sorted(bad)]

    assert not wrong, "\n".join(wrong)


def test_every_python_child_has_the_safe_environment() -> None:
    """Who uses the command also uses the environment, which makes its children safe."""
    for file in sorted(PACKAGE.rglob("*.py")):
        text = file.read_text()
        assert text.count("python_command(") == text.count("python_environment("), file


def test_a_child_finds_the_package_and_the_users_paths_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From any directory it imports pbtnas and what PYTHONPATH names; it and its own children
    import nothing from the current directory."""
    here, named = tmp_path / "here", tmp_path / "named"
    for directory in (here, named):
        directory.mkdir()
    (here / "planted.py").touch()
    (named / "wanted.py").touch()
    monkeypatch.chdir(here)
    monkeypatch.setenv("PYTHONPATH", str(named))
    look = (
        "import importlib.util as u, json, os, subprocess, sys\n"
        "print(json.dumps([bool(u.find_spec(n)) for n in ('pbtnas', 'wanted', 'planted')]))\n"
        "sys.stdout.flush()\n"
        "if 'child' not in sys.argv:\n"
        "    subprocess.run([sys.executable, '-c', os.environ['LOOK'], 'child'])\n"
    )
    done = subprocess.run(
        python_command("-c", look),
        env=python_environment({"LOOK": look}),
        capture_output=True,
        text=True,
        check=True,
    )

    assert [json.loads(line) for line in done.stdout.splitlines()] == [[True, True, False]] * 2


def test_the_module_form_of_the_command_forgets_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`python -m pbtnas` does not look for modules where it is started, but in a checkout."""
    if sys.flags.safe_path:
        pytest.skip("Python looks at no current directory")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [os.fspath(tmp_path), "elsewhere"])
    forget_current_directory()
    assert sys.path == ["elsewhere"]

    monkeypatch.setattr("sys.path", [os.fspath(PACKAGE.parent), "elsewhere"])
    forget_current_directory()
    assert sys.path[0] == os.fspath(PACKAGE.parent)
