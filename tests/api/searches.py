"""Stands in for the processes of a search, which take longer to start than a test may."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pbtnas.api import running

Carried = Callable[[Sequence[str]], None]
"""Takes the words of a `pbtnas` command."""


def stand_in(
    monkeypatch: pytest.MonkeyPatch,
    carried: Carried = lambda words: None,
    *,
    says: str = "",
    code: int = 0,
) -> list[list[str]]:
    """Let a short program take the place of `pbtnas run`; the words of each command are noted.

    Args:
        monkeypatch: That of the test.
        carried: Does here what the search would do, before the program starts.
        says: What the program says on its standard error.
        code: Its exit code.
    """
    noted: list[list[str]] = []

    def command(*words: str) -> list[str]:
        noted.append(list(words))
        carried(words)
        program = f"import sys; sys.stderr.write({says!r}); sys.exit({code})"
        return [sys.executable, "-S", "-c", program]

    monkeypatch.setattr(running, "python_command", command)
    return noted


def run_directory(words: Sequence[str]) -> Path:
    """The directory that a command `pbtnas run CONFIG RUN_DIR ...` names."""
    return Path(words[words.index("run") + 2])


def command_line(words: Sequence[str]) -> str:
    """The command as one would type it."""
    return shlex.join(words[1:])
