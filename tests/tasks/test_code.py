"""Which files are the code of a task."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records.task_code import TaskCode
from pbtnas.tasks.code import KEPT_OF_A_FILE, code_of, code_of_file
from pbtnas.tasks.loading import load_task

TASK = """
from pbtnas.search import SearchSpace, switch

class Own:
    space = SearchSpace([switch("a", (0, 1))])
    def prepare(self, run): ...
    def create(self, architecture, seed): ...
"""
VERSIONS = {"pbtnas", "torch", "numpy", "python"}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_file_and_what_it_imports_from_its_folder_are_found(tmp_path: Path) -> None:
    """Wherever an import stands, whatever it imports in turn, and without executing anything."""
    files = {
        "task.py": "import json, torch, pbtnas, near\nfrom parts.deep import layer\n"
        "def later():\n    from parts import lazy\n    import gone",
        "near.py": "raise SystemExit('is never executed')\nimport task",
        "parts/__init__.py": "",
        "parts/deep.py": "from .beside import x\nfrom .. import above",
        "parts/beside.py": "def is no Python",
        "parts/lazy.py": "",
        "above.py": "",
        "parts/unused.py": "",
        "json.py": "",
        "pbtnas/__init__.py": "",
    }
    write(tmp_path, files)

    code = code_of_file(tmp_path / "task.py")

    found = {name: file.text for name, file in code.files.items()}
    unused = ("parts/unused.py", "json.py", "pbtnas/__init__.py")
    assert found == {name: text for name, text in files.items() if name not in unused}
    near = hashlib.sha256(files["near.py"].encode()).hexdigest()
    assert code.files["near.py"].sha256 == near
    assert (code.main, code.package) == ("task.py", "")
    assert code.versions.keys() == VERSIONS
    assert TaskCode.from_json(code.to_json()) == code


def test_of_a_large_file_or_another_encoding_only_the_digest_is_kept(tmp_path: Path) -> None:
    """A table of weights in a module does not swell the records that every process reads."""
    write(tmp_path, {"task.py": "import large, latin", "large.py": "#" * (KEPT_OF_A_FILE + 1)})
    (tmp_path / "latin.py").write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe4'\n")

    files = code_of_file(tmp_path / "task.py").files

    assert {name: file.text is None for name, file in files.items()} == {
        "task.py": False,
        "large.py": True,
        "latin.py": True,
    }


def test_an_installed_task_is_known_by_its_package_and_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed in editable form, a package changes without its version."""
    told = {"METADATA": "Metadata-Version: 2.1\nName: own-package\nVersion: 1.2\n"}
    told["entry_points.txt"] = "[pbtnas.tasks]\nown-installed = own_package:Own\n"
    write(tmp_path / "own_package-1.2.dist-info", told)
    write(
        tmp_path,
        {
            "own_package/__init__.py": "from own_package.task import Own",
            "own_package/task.py": TASK + "\nimport beside_the_package",
            "beside_the_package.py": "",
        },
    )
    monkeypatch.syspath_prepend(tmp_path)

    code = code_of(load_task("own-installed", {}))

    assert (code.package, code.version) == ("own-package", "1.2")
    assert code.main == "own_package/__init__.py"
    assert list(code.files) == ["own_package/__init__.py", "own_package/task.py"]


def test_our_own_tasks_are_known_by_the_version(tmp_path: Path) -> None:
    """A checkout of pbtnas may change in a thousand places that no task rests on."""
    code = code_of(load_task("digits", {}))

    assert (code.title, code.files) == (f"pbtnas {code.versions['pbtnas']}", {})


def test_the_code_is_that_which_was_loaded(tmp_path: Path) -> None:
    """What is written to the file while a search runs is not what the search runs."""
    path = tmp_path / "loaded.py"
    path.write_text(TASK)
    task: Any = load_task("Own", {}, task_file=f"{path}:Own")
    path.write_text(TASK + "# edited")

    assert code_of(task).files["loaded.py"].text == TASK
    assert sys.modules[type(task).__module__].__file__ == str(path)
    assert not code_of(object.__new__(Path)).known  # type: ignore[arg-type]
