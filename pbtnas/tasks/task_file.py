"""Reads the words FILE.py:Class, by which the command line names a task.  Needs no torch."""

from __future__ import annotations


def file_and_class(words: str) -> tuple[str, str] | None:
    """File and class of "FILE.py:Class"; None for any other words."""
    file, _, class_name = words.rpartition(":")
    return (file, class_name) if file.endswith(".py") and class_name else None
