"""docs/architecture.md draws the package as it is: folders, imports, and where to find what."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.test_docs import FENCED, ROOT, rows
from tests.test_layers import MAY_IMPORT, PACKAGE, layers

PAGE = ROOT / "docs" / "architecture.md"
CODE = re.compile(r"`([^`]+)`")
QUESTIONS = [row for row in rows(PAGE) if row[1].startswith("`pbtnas/")]


def names_in(file: Path) -> set[str]:
    """The functions and classes of a module, methods as "Class.method"."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (n.name for n in node.body if isinstance(n, ast.FunctionDef))
            found |= {f"{node.name}.{method}" for method in methods}
    return found


def test_the_import_table_is_the_one_that_is_enforced() -> None:
    """The page allows exactly the imports that tests/test_layers.py allows."""
    text = PAGE.read_text().partition("## Who may import whom")[2].partition("\n## ")[0]
    told = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            layer_cell, allowed_cell = line.strip("|").split("|")
            for layer in CODE.findall(layer_cell):
                told[layer] = set(CODE.findall(allowed_cell))

    assert {layer: set(allowed.split()) for layer, allowed in MAY_IMPORT.items()} == told


def test_the_tree_has_every_folder_of_the_package() -> None:
    """A folder that is new, moved or gone shows in the tree of the page."""
    tree = FENCED.search(PAGE.read_text())
    assert tree is not None
    told, parent = set(), ""
    for line in tree[2].splitlines()[1:]:
        indent = len(line) - len(line.lstrip())
        folders = re.match(r"(?:\w+/ ?)+", line.lstrip())
        assert folders is not None, line
        names = re.findall(r"\w+(?=/)", folders[0])
        parent = names[0] if indent == 2 else parent
        told |= set(names) if indent == 2 else {f"{parent}/{name}" for name in names}

    packages = {str(f.parent.relative_to(PACKAGE)) for f in PACKAGE.rglob("__init__.py")} - {"."}
    assert packages == told


def test_the_page_names_every_small_module() -> None:
    """Modules that lie beside the folders are explained in the sentence below the tree."""
    modules = {
        name
        for name, files in layers().items()
        if not name.startswith("__") and (PACKAGE / f"{name}.py") in files
    }

    assert {name for name in modules if f"`{name}.py`" not in PAGE.read_text()} == set()


def test_there_are_ten_questions() -> None:
    """A newcomer finds ten answers."""
    assert len(QUESTIONS) == 10


@pytest.mark.parametrize("row", QUESTIONS, ids=lambda row: row[0])
def test_every_answer_is_in_the_code(row: list[str]) -> None:
    """The file of an answer exists and has the functions that the answer names."""
    file, names = ROOT / CODE.findall(row[1])[0], CODE.findall(row[2])

    assert names
    assert [name for name in names if name not in names_in(file)] == []
