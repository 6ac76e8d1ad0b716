"""A fake sbatch, squeue, scancel and scontrol: they note their words, and answer from files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ANSWERS = {
    "sbatch": "echo >> $FAKE/count; echo $(wc -l < $FAKE/count)';loop'",
    "squeue": "cat $FAKE/queue",
    "scancel": ":",
    "scontrol": ":",
}


class FakeSlurm:
    """The commands of Slurm in a directory that comes first in the path.

    Args:
        directory: Its files.
        monkeypatch: What puts the directory there.
    """

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._directory = directory
        directory.mkdir()
        self.queue()
        for name, answer in ANSWERS.items():
            self.answers(name, answer)
        monkeypatch.setenv("FAKE", str(directory))
        monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)

    def answers(self, name: str, script: str) -> None:
        """Let a command do something else from now on."""
        file = self._directory / name
        file.write_text(f'#!/bin/bash\necho "{name} $*" >> $FAKE/said\n{script}\n')
        file.chmod(0o755)

    def said(self) -> list[str]:
        """All commands so far, with their arguments; forgotten then."""
        file = self._directory / "said"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line for line in lines if not line.startswith("squeue")]

    def queue(self, *lines: str) -> None:
        """What squeue shows from now on."""
        (self._directory / "queue").write_text("".join(f"{line}\n" for line in lines))
