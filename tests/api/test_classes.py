"""The processes of a search find the class that was given, or one sentence says why they cannot."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pbtnas
from pbtnas.api.classes import NamedTask, NotImportable, named_task
from pbtnas.tasks.base import TaskError
from pbtnas.tasks.code import code_of
from pbtnas.tasks.digits import DigitsTask
from pbtnas.tasks.loading import load_task

TASK = """
from pbtnas.search import SearchSpace, switch

class MyTask:
    space = SearchSpace([switch("act", ("relu", "tanh"))])
    def prepare(self, run): pass
    def create(self, architecture, seed): pass
"""


@pytest.fixture
def importable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory among the module paths, with `tasks_here.py` and a package with `inside.py`."""
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    (tmp_path / "tasks_here.py").write_text(TASK)
    package = tmp_path / "package_here"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text('WORDS = ("relu", "tanh")\n')
    (package / "inside.py").write_text(f"from .words import WORDS\n{TASK}")
    importlib.invalidate_caches()
    known = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - known:
        if name.startswith(("tasks_here", "package_here", "searching", "pbtnas_task_file_")):
            del sys.modules[name]


def class_in(module: str) -> type:
    found: type = importlib.import_module(module).MyTask
    return found


def test_a_class_of_a_file_is_named_by_the_file(importable: Path) -> None:
    """The command line takes it, so that the run can go on without Python."""
    named = named_task(class_in("tasks_here"))

    assert named == NamedTask("MyTask", f"{importable / 'tasks_here.py'}:MyTask")
    assert type(load_task("MyTask", {}, task_file=named.words)).__name__ == "MyTask"


def test_a_class_of_a_package_is_named_by_its_module(importable: Path) -> None:
    """Its relative imports work, and its code is recorded as that of a file is."""
    cls = class_in("package_here.inside")
    named = named_task(cls)

    assert named == NamedTask("MyTask", "package_here.inside:MyTask", root=importable)
    task = load_task("MyTask", {}, task_file=named.words)
    assert type(task) is cls
    code = code_of(task)
    assert code.main == "package_here/inside.py"
    assert set(code.files) >= {"package_here/inside.py", "package_here/words.py"}


def test_a_class_of_the_script_that_runs_is_named_by_its_file(
    importable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where `python -m` runs it, which names its package."""
    script = importable / "script.py"
    assert named_task(_in_main(script, monkeypatch)) == NamedTask("MyTask", f"{script}:MyTask")

    inside = importable / "package_here" / "script.py"
    spec = importlib.machinery.ModuleSpec("package_here.script", None, origin=str(inside))
    named = named_task(_in_main(inside, monkeypatch, spec))
    assert named == NamedTask("MyTask", "package_here.script:MyTask", root=importable)


def _in_main(file: Path | None, monkeypatch: pytest.MonkeyPatch, spec: Any = None) -> type:
    main = ModuleType("__main__")
    main.__spec__ = spec
    if file is not None:
        main.__file__ = str(file)
    exec(TASK, vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    found: type = main.MyTask
    return found


def test_an_installed_task_is_named_as_in_configurations() -> None:
    """Its class and its name mean the same."""
    assert named_task(DigitsTask) == named_task("digits") == NamedTask("digits", None)
    assert named_task(None) is None
    assert named_task("my_task.py:Mine") == NamedTask("Mine", "my_task.py:Mine")


def test_a_class_of_a_notebook_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other process has the cell; one sentence says what to do."""
    with pytest.raises(NotImportable, match=r"notebook cell.*`from my_task import MyTask`$"):
        named_task(_in_main(None, monkeypatch))


def test_a_class_inside_a_function_and_an_object_are_refused() -> None:
    """Neither is what another process could find under a name."""

    class Local:
        """Of this test."""

    with pytest.raises(NotImportable, match="not at the top level of its file"):
        named_task(Local)
    with pytest.raises(NotImportable, match="expected a class, such as MyTask, not Local"):
        named_task(Local())  # type: ignore[arg-type]


def test_a_script_that_searches_when_it_is_imported_is_refused(
    importable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process of the search would begin another search."""
    script = importable / "searching.py"
    script.write_text(f"import pbtnas\n{TASK}\npbtnas.run('c.yaml', 'run', task=MyTask)\n")

    for words in (f"{script}:MyTask", "searching:MyTask"):
        with pytest.raises(NotImportable, match=r'searching\.py: .*`if __name__ == "__main__"'):
            load_task("MyTask", {}, task_file=words)


def test_a_module_that_is_not_there_is_told(importable: Path) -> None:
    """The module, the class and the name of the run are checked as those of a file are."""
    for words, name, sentence in (
        ("package_gone.inside:MyTask", "MyTask", "importing package_gone.inside"),
        ("package_here.inside:Mytask", "Mytask", "the module package_here.inside has no class"),
        ("package_here.inside:MyTask", "Other", "give package_here.inside:Other, or leave"),
    ):
        with pytest.raises(TaskError, match=sentence):
            load_task(name, {}, task_file=words)


def test_load_takes_a_class(importable: Path) -> None:
    """A class that nobody else could import is refused before anything is read."""
    with pytest.raises(NotImportable):
        pbtnas.load(importable / "run", task=type("Made", (), {}))
