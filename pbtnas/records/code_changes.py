"""Says how the code of a task differs from the one that a run knows.

Comments, blank lines, layout and docstrings are no difference: what is compared is the syntax tree
of each file, as far as both texts are known.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator

from pbtnas.records.task_code import OURS, SourceFile, TaskCode

SHOWN_LINES = 16  # of the difference of one file
SHOWN_FILES = 4


def changes(then: TaskCode, here: TaskCode) -> list[str]:
    """What of the task's code differs, in lines for people; none if nothing does.

    Another version of a package that provides the task counts, unless that is pbtnas, whose
    versions `other_versions` tells.
    """
    if not (then.known and here.known):
        return []
    if (then.package, bool(then.main)) != (here.package, bool(here.main)):
        return [f"the task was that of {then.title}, and is that of {here.title}"]
    lines = []
    if then.package != OURS and then.version != here.version:
        lines.append(f"{then.package} was version {then.version}, and is version {here.version}")
    changed = list(_changed_files(then, here))
    for name, old, new in changed[:SHOWN_FILES]:
        lines += _shown(name, old, new)
    if len(changed) > SHOWN_FILES:
        lines.append(f"and {len(changed) - SHOWN_FILES} more files differ")
    return lines


def other_versions(then: TaskCode, here: TaskCode) -> str:
    """The versions that differ, in one line; "" if none do."""
    told = [
        f"{name} {version} ({here.versions[name]} here)"
        for name, version in then.versions.items()
        if here.versions.get(name, version) != version
    ]
    return ", ".join(told)


def _changed_files(
    then: TaskCode, here: TaskCode
) -> Iterator[tuple[str, SourceFile | None, SourceFile | None]]:
    """Name, then and now of each file that differs, the one with the task first."""
    # It may have another name by now; those beside it are imported by theirs.
    pairs = [(here.main, then.files.get(then.main), here.files.get(here.main))]
    beside = sorted({*then.files, *here.files} - {then.main, here.main})
    pairs += [(name, then.files.get(name), here.files.get(name)) for name in beside]
    for name, old, new in pairs:
        if old is None or new is None:
            if old is not new:
                yield name, old, new
        elif not _same(old, new):
            yield name, old, new


def _same(one: SourceFile, other: SourceFile) -> bool:
    if one.sha256 == other.sha256:
        return True
    if one.text is None or other.text is None:
        return False
    meaning = _meaning(one.text)
    return meaning is not None and meaning == _meaning(other.text)


def _meaning(text: str) -> str | None:
    """The syntax tree without docstrings; None for a text that is no Python here."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            match node.body:
                case [ast.Expr(ast.Constant(str())), *rest]:
                    node.body = rest
    return ast.dump(tree)


def _shown(name: str, old: SourceFile | None, new: SourceFile | None) -> list[str]:
    """The difference of a file, as `diff -u` shows it, cut."""
    if old is None:
        return [f"{name}: is imported here, and was not"]
    if new is None:
        return [f"{name}: was imported, and is not here"]
    if old.text is None or new.text is None:
        return [f"{name}: SHA-256 was {old.sha256[:16]}, and is {new.sha256[:16]}"]
    compared = difflib.unified_diff(old.text.splitlines(), new.text.splitlines(), n=1, lineterm="")
    lines = list(compared)[2:]
    differ = sum(line[:1] in "+-" for line in lines)
    shown = [f"  {_printable(line)}" for line in lines[:SHOWN_LINES]]
    more = [f"  and {len(lines) - SHOWN_LINES} more lines"] if len(lines) > SHOWN_LINES else []
    return [f"{name}: {differ} lines differ (- then, + here)", *shown, *more]


def _printable(line: str) -> str:
    """A line of a record as a terminal may show it."""
    return "".join(c if c.isprintable() else " " for c in line)
