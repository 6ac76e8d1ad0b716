"""What is said when the code of a task differs."""

from __future__ import annotations

import hashlib

import pytest

from pbtnas.records.code_changes import SHOWN_LINES, changes, other_versions
from pbtnas.records.task_code import SourceFile, TaskCode

THEN = """
class Own:
    \"\"\"A task.\"\"\"

    width = 8

    def score(self):
        return self.width
"""


def code(*, main: str = "own.py", kept: bool = True, **texts: str) -> TaskCode:
    files = {
        f"{name}.py": SourceFile(hashlib.sha256(text.encode()).hexdigest(), text if kept else None)
        for name, text in texts.items()
    }
    return TaskCode(main, files)


@pytest.mark.parametrize(
    "text",
    [
        THEN,
        "# a comment\n" + THEN.replace("8", "8  # units"),
        THEN.replace("A task.", "Another docstring."),
        THEN.replace('    """A task."""\n', ""),
        THEN.replace("\n", "\r\n"),
    ],
)
def test_comments_layout_and_docstrings_are_no_change(text: str) -> None:
    """Whoever tidies a file up while a search waits is not asked about it."""
    assert changes(code(own=THEN), code(own=text)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (THEN.replace("8", "9"), "own.py: 2 lines differ (- then, + here)"),
        (THEN.replace("8", "8.0"), "own.py: 2 lines differ (- then, + here)"),
        (THEN + "is no Python", "own.py: 1 lines differ (- then, + here)"),
    ],
)
def test_a_change_is_shown_with_the_lines_that_differ(text: str, told: str) -> None:
    """One sees at once whether it is the harmless edit that one remembers."""
    first, *lines = changes(code(own=THEN), code(own=text))

    assert first == told
    assert len(lines) <= SHOWN_LINES + 1
    assert any(line.startswith("  +") for line in lines)


def test_a_long_difference_is_cut() -> None:
    """The screen keeps the beginning and the two ways on."""
    lines = changes(code(own="x = 0\n" * 200), code(own="x = 1\x1b\n" * 200))

    assert lines[0].startswith("own.py: 400 lines differ")
    assert lines[-1] == f"  and {401 - SHOWN_LINES} more lines"
    assert len(lines) == SHOWN_LINES + 2
    assert "\x1b" not in "".join(lines)


def test_files_that_are_imported_beside_the_task_count() -> None:
    """The network is often in a module of its own; the task's own file may be renamed."""
    then = code(own="import nets", nets="x = 1")

    assert changes(then, code(own="import nets", nets="x = 2"))[0].startswith("nets.py: 2 lines")
    assert changes(then, code(own="import nets")) == ["nets.py: was imported, and is not here"]
    assert changes(code(own=""), code(own="", nets="")) == [
        "nets.py: is imported here, and was not"
    ]
    assert changes(then, code(main="new.py", new="import nets", nets="x = 1")) == []
    many = code(own="", **{f"n{i}": "" for i in range(6)})
    assert changes(code(own=""), many)[-1] == "and 2 more files differ"


def test_where_a_text_is_not_known_its_digest_decides() -> None:
    """It is too large to be kept, or not UTF-8."""
    assert changes(code(own=THEN, kept=False), code(own=THEN)) == []
    (line,) = changes(code(own=THEN, kept=False), code(own=THEN + "#"))
    assert line.startswith("own.py: SHA-256 was ")


def test_another_version_of_a_package_counts_unless_it_is_ours() -> None:
    """What computes a task of pbtnas is told by its version, in one line."""
    then, here = (TaskCode(package="own", version=v, versions={"torch": v}) for v in ("1", "2"))
    ours = [TaskCode(package="pbtnas", version=v, versions={"torch": v}) for v in ("1", "2")]

    assert changes(then, here) == ["own was version 1, and is version 2"]
    assert changes(then, code(own="")) == ["the task was that of own 1, and is that of own.py"]
    assert changes(*ours) == []
    assert other_versions(*ours) == "torch 1 (2 here)"
    assert other_versions(ours[0], ours[0]) == ""
    assert changes(TaskCode(), here) == changes(then, TaskCode()) == []
