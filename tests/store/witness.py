"""Watches what a power cut would test: what is durable before what."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Witness:
    """Notes in which order files and directories are synced, given names and deleted.

    Args:
        monkeypatch: What puts it before the system's calls.
        root: Directory that names are told relative to; private ones are all `.tmp`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.events: list[str] = []
        self._root = root
        fsync = os.fsync

        def noting(fd: int) -> None:
            self._note("sync", Path(f"/proc/self/fd/{fd}").readlink())
            fsync(fd)

        monkeypatch.setattr(os, "fsync", noting)
        for call, what, argument in (
            ("link", "name", 1),
            ("rename", "name", 1),
            ("mkdir", "name", 0),
            ("unlink", "delete", 0),
        ):
            act = getattr(os, call)
            monkeypatch.setattr(os, call, self._noting(act, what, argument))

    def _noting(self, act: Callable[..., Any], what: str, argument: int) -> Callable[..., Any]:
        def acting(*given: Any, **options: Any) -> Any:
            reply = act(*given, **options)
            self._note(what, self._root / given[argument])
            return reply

        return acting

    def _note(self, what: str, path: Path) -> None:
        name = re.sub(r"\.tmp-[\w-]+", ".tmp", str(path.relative_to(self._root)))
        self.events.append(f"{what} {name}")
