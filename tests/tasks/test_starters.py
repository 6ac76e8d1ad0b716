"""`pbtnas new`: what it writes works at once, and it writes over nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pbtnas
from pbtnas.cli.app import cli
from pbtnas.config import load
from pbtnas.tasks.loading import import_file
from pbtnas.tasks.starters.writing import KINDS, class_name, write

SMALLER = {
    "task": "--rounds 1",
    "run": "--set search.population=3 --set search.generations=2 --set search.epochs=1",
}
of_every_kind = pytest.mark.parametrize("kind", KINDS)


def new(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["new", *map(str, arguments)], prog_name="pbtnas")


@of_every_kind
def test_the_task_is_one_that_a_search_can_rely_on(kind: str, tmp_path: Path) -> None:
    """It has the name that was given, its configuration loads, and a check finds nothing."""
    directory = tmp_path / f"my_{kind}"

    result = new(directory, "--kind", kind)

    made = class_name(directory.name)
    assert result.exit_code == 0, result.output
    assert f"pbtnas task check my_{kind}.py:{made}\n" in result.stdout
    assert load(directory / "config.yaml").task.name == made
    task = getattr(import_file(directory / f"my_{kind}.py"), made)()
    assert pbtnas.check(task, rounds=1) == []


@of_every_kind
def test_the_files_are_clean_and_nothing_of_the_template_is_left(kind: str, tmp_path: Path) -> None:
    """A linter finds nothing, and no file calls the task by the name that it has in ours."""
    directory = tmp_path / "mine"
    write(directory, kind)

    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select=E,F,B,UP"]
    done = subprocess.run([*ruff, "--line-length=100", directory], capture_output=True, text=True)

    assert (done.stdout, done.returncode) == ("All checks passed!\n", 0)
    names = {path.name for path in directory.iterdir()}
    assert names == {"mine.py", "test_mine.py", "config.yaml", "README.md"}
    for path in directory.iterdir():
        assert "Mine" in path.read_text()
        assert "my_search" not in path.read_text().lower().replace("mysearch", "my_search")


@pytest.mark.slow
@of_every_kind
def test_what_the_readme_says_can_be_typed(kind: str, tmp_path: Path) -> None:
    """Check, search, evaluation, export and the folder's own test end well, and the network loads.

    Only check and search are made smaller."""
    directory = tmp_path / f"typed_{kind}"  # loading it makes its name importable
    write(directory, kind)
    readme = (directory / "README.md").read_text()
    lines = [line.partition("#")[0].split() for line in readme.splitlines()]
    typed = [words for words in lines if words[:1] in (["pbtnas"], ["python"])]
    path = f"{Path(pbtnas.__file__).parents[1]}"
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    for words in typed:
        own = ["-m", "pbtnas", *words[1:]] if words[0] == "pbtnas" else words[1:]
        more = SMALLER.get(words[1], "").split()
        done = subprocess.run(
            [sys.executable, *own, *more],
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert [words[1] for words in typed][:4] == ["task", "run", "evaluate", "export"]
    task = directory / f"{directory.name}.py"
    assert pbtnas.load(directory / "network", task=f"{task}:{class_name(task.stem)}") is not None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("3d", "'3d' is no Python identifier"),
        ("my-net", "'my-net' is no Python identifier"),
        ("class", "'class' is no Python identifier"),
        ("_", "'_' is no Python identifier"),
        ("torch", "there is a module 'torch' already"),
        ("split", "the task's class would be called Split"),
        ("full", "exists and is a directory that is not empty"),
        ("file", "exists and is no directory"),
        ("nowhere/mine", "No such file or directory"),
    ],
)
def test_a_name_that_does_not_do_is_told_in_one_sentence(
    name: str, sentence: str, tmp_path: Path
) -> None:
    """Exit code 2, and what is there stays as it is."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "full.py").write_text("precious")
    (tmp_path / "file").write_text("precious")
    before = sorted(tmp_path.rglob("*"))

    result = new(tmp_path / name)

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "full.py").read_text() == "precious"


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    """As one that somebody has just made, with the name of their choice."""
    (tmp_path / "MyNet").mkdir()

    assert new(tmp_path / "MyNet").exit_code == 0
    assert "class MyNet(SupervisedTask)" in (tmp_path / "MyNet" / "MyNet.py").read_text()
