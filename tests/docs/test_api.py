"""docs/api.md lists only what can be imported."""

from __future__ import annotations

import importlib
import re

import pytest

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
    unlisted = set()
    for document in DOCUMENTS:
        for language, block in FENCED.findall(document.read_text()):
            if language == "python":
                for module, names in re.findall(r"^from (pbtnas[\w.]*) import (.+)$", block, re.M):
                    unlisted |= {(module, n) for n in re.split(r",\s*", names)} - set(LISTED)

    assert unlisted == set()
