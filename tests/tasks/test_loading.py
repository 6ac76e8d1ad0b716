"""Finding a task by name or file, and what is said when there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.config import ConfigError
from pbtnas.tasks.base import TaskError
from pbtnas.tasks.digits import DigitsTask
from pbtnas.tasks.loading import installed_tasks, load_task

GOOD = """
from __future__ import annotations
from dataclasses import dataclass

from beside import SPACE


@dataclass(frozen=True)
class OwnOptions:
    width: int = 3


class OwnTask:
    Options = OwnOptions
    space = SPACE

    def __init__(self, options):
        self.options = options

    def prepare(self, run): ...

    def create(self, architecture, seed): ...


class Plain:
    space = SPACE

    def prepare(self, run): ...

    def create(self, architecture, seed): ...


class Spaceless(Plain):
    def __init__(self):
        del type(self).__base__.space


class Listed(Plain):
    space = [("a", (0, 1))]


class OnePart(Plain):
    parts = {"encoder": "encoder"}


class Half:
    space = SPACE


function = print
"""

BESIDE = """
from pbtnas.search import SearchSpace, switch

SPACE = SearchSpace([switch("a", (0, 1))])
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's file that imports another one beside it."""
    monkeypatch.setattr("sys.path", list(__import__("sys").path))
    (tmp_path / "beside.py").write_text(BESIDE)
    path = tmp_path / "own.py"
    path.write_text(GOOD)
    return path


def test_an_installed_task_is_found_by_name() -> None:
    """The built-in task comes with its options parsed."""
    task = load_task("digits", {"images": 500})

    assert "digits" in installed_tasks()
    assert isinstance(task, DigitsTask) and task.options.images == 500


def test_a_task_in_a_file_gets_its_options(file: Path) -> None:
    """The file is imported with what lies beside it; its dataclass is filled."""
    task = load_task("OwnTask", {"width": 5}, task_file=f"{file}:OwnTask")

    assert task.options.width == 5  # type: ignore[attr-defined]


def test_a_class_without_options_is_made_without_any(file: Path) -> None:
    """No Options, no argument."""
    assert len(load_task("Plain", {}, task_file=f"{file}:Plain").space) == 1


def test_wrong_options_are_config_errors_with_their_place(file: Path) -> None:
    """The task's own options are checked like any other section of the config."""
    with pytest.raises(ConfigError, match=r"c.yaml:3: task.width: expected an integer"):
        load_task(
            "OwnTask", {"width": "x"}, task_file=f"{file}:OwnTask", places={"width": "c.yaml:3"}
        )


@pytest.mark.parametrize(
    ("name", "options", "task_file", "sentence"),
    [
        ("digit", {}, None, r"unknown task 'digit'; did you mean 'digits'\? installed: .*digits"),
        ("qqq", {}, None, r"unknown task 'qqq'; installed: .*needs --task FILE.py:qqq"),
        ("own:OwnTask", {}, None, "'own:OwnTask' is no name; a task in a file of yours is FILE.py"),
        ("Plain", {"a": 1}, "{}:Plain", "c.yaml:3: task.a: the task 'Plain' has no options"),
        ("OwnTask", {}, "{}", "expected FILE.py:Class"),
        ("digits", {}, "{}:OwnTask", "is 'digits'; give .*:digits, or leave task.name out"),
        ("OwnTask", {}, "gone.py:OwnTask", "there is no file .*gone.py"),
        ("OwnTsk", {}, "{}:OwnTsk", "has no class 'OwnTsk'; did you mean 'OwnTask'"),
        ("owntask", {}, "{}:owntask", "has no class 'owntask'; did you mean 'OwnTask'"),
        ("Q", {}, "{}:Q", "has no class 'Q'; it has OwnOptions, OwnTask, Plain, .*"),
        ("OwnTask", {}, "{}:", r"expected FILE.py:Class, such as .*own.py:\w+$"),
        ("own.py:OwnTask", {}, None, "named on the command line, not here: --task own.py:OwnTask"),
        ("Half", {}, "{}:Half", "'Half' does not define prepare, create"),
        ("function", {}, "{}:function", "is a builtin_function_or_method, expected a class"),
        ("Spaceless", {}, "{}:Spaceless", "has no `space`"),
        ("Listed", {}, "{}:Listed", "is a list, expected a SearchSpace: space = SearchSpace"),
        ("OnePart", {}, "{}:OnePart", "is the text 'encoder', expected a tuple of dotted paths"),
    ],
)
def test_what_cannot_be_loaded_is_explained_in_a_sentence(
    file: Path, name: str, options: dict[str, int], task_file: str | None, sentence: str
) -> None:
    """Names, files, classes and options that do not exist say what was expected."""
    where = None if task_file is None else task_file.format(file)

    with pytest.raises(TaskError, match=sentence) as error:
        load_task(name, options, task_file=where, places={"a": "c.yaml:3"})

    assert "\n" not in str(error.value)


def test_an_abstract_class_names_what_is_not_defined(tmp_path: Path) -> None:
    """Forgetting `data` is said before anything is built."""
    path = tmp_path / "half_done.py"
    path.write_text(
        "from pbtnas.tasks.supervised import SupervisedTask\n"
        "class Mine(SupervisedTask):\n"
        "    def build(self, choices): ...\n"
    )

    with pytest.raises(TaskError, match="the task 'Mine' does not define data"):
        load_task("Mine", {}, task_file=f"{path}:Mine")
