"""The prose of the documents keeps one form, so that a change of one word is a small change."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.test_docs import FENCED, every_document

COLUMNS = 100
UNBREAKABLE = re.compile(r"`[^`]*`|\]\([^)]*\)|https?://\S+")
"""What may make a line longer: code in a sentence, and the target of a link."""


@every_document
def test_prose_is_wrapped(document: Path) -> None:
    """No line of a sentence is longer than 100 columns; tables and code may be."""
    lines = FENCED.sub("", document.read_text()).splitlines()
    prose = [line for line in lines if not line.startswith(("|", "!["))]
    assert [line for line in prose if len(UNBREAKABLE.sub("", line)) > COLUMNS] == []
