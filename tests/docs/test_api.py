"""docs/api.md lists only what can be imported."""

from __future__ import annotations

import importlib
import re

import pytest

from pbtnas import tasks
from tests.docs.test_docs import DOCUMENTS, FENCED, ROOT, rows

PAGE = ROOT / "docs" / "api.md"
CODE = re.compile(r"`([^`]+)`")
LISTED = [
    (CODE.findall(row[0])[0], name)
    for row in rows(PAGE)
    if row[0].startswith("`pbtnas")
    for name in CODE.findall(row[1])
]


@pytest.mark.parametrize(("module", "name"), LISTED, ids=lambda value: value)
def test_every_name_can_be_imported(module: str, name: str) -> None:
    """What the page promises is there."""
    assert hasattr(importlib.import_module(module), name)


def test_examples_in_the_documents_import_only_what_is_listed() -> None:
    """A program that a reader copies from a page rests on nothing that may move."""
    programs = [path.read_text() for path in (ROOT / "examples").glob("own_*.py")]
    for document in DOCUMENTS:
        blocks = FENCED.findall(document.read_text())
        programs += [block for language, block in blocks if language == "python"]
    imported = {
        (module, name)
        for program in programs
        for module, names in re.findall(r"^from (pbtnas[\w.]*) import (.+)$", program, re.M)
        for name in re.split(r",\s*", names)
    }

    assert imported - set(LISTED) == set()


def test_what_tasks_offer_is_listed() -> None:
    """`pbtnas.tasks.__all__` and the page name the same modules."""
    offered = {f"pbtnas.tasks.{module}" for module in tasks.__all__}

    assert offered <= {module for module, _ in LISTED}
