"""Reads the words FILE.py:Class or MODULE:Class, by which the command line names a task.

Needs no torch.
"""

from __future__ import annotations


def file_and_class(words: str) -> tuple[str, str] | None:
    """File and class of "FILE.py:Class"; None for any other words."""
    file, _, class_name = words.rpartition(":")
    return (file, class_name) if file.endswith(".py") and class_name else None


def module_and_class(words: str) -> tuple[str, str] | None:
    """Module and class of "package.module:Class"; None for any other words."""
    module, _, class_name = words.rpartition(":")
    dotted = all(part.isidentifier() for part in (*module.split("."), class_name))
    return (module, class_name) if dotted and file_and_class(words) is None else None
