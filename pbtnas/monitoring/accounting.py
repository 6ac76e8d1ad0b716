"""Counts what the runs of a study computed, and what they took over from one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record
from pbtnas.records.names import Name
from pbtnas.records.schema import Manifest
from pbtnas.store.reader import RunReader


@dataclass(frozen=True)
class Account:
    """Member-steps (one member in one generation) that have a result, and their epochs.

    Args:
        steps: Member-steps in all.
        reused: Member-steps taken over from another run.
        epochs: Epochs of all member-steps.
        reused_epochs: Epochs of those taken over.
        trained_s: Seconds spent on training the others, added up.
    """

    steps: int = 0
    reused: int = 0
    epochs: int = 0
    reused_epochs: int = 0
    trained_s: float = 0.0

    def __add__(self, other: Account) -> Account:
        return Account(
            self.steps + other.steps,
            self.reused + other.reused,
            self.epochs + other.epochs,
            self.reused_epochs + other.reused_epochs,
            self.trained_s + other.trained_s,
        )

    def __str__(self) -> str:
        saved = 100 * self.reused_epochs / self.epochs if self.epochs else 0.0
        return (
            f"{self.steps} member-steps: {self.steps - self.reused} trained, {self.reused} reused; "
            f"{saved:.1f} % of {self.epochs} network-epochs saved"
        )


def account(runs: Iterable[Path]) -> Account:
    """Add up the work in these run directories; those that do not exist yet have none."""
    return sum((_account(root) for root in runs), Account())


def _account(root: Path) -> Account:
    total = Account()
    generation = 0
    with suppress(FileNotFoundError, NotADirectoryError), RunReader(root) as files:
        while manifest := _read(files, paths.manifest(generation), "manifest"):
            for job in Manifest.from_json(manifest.core).jobs:
                result = _read(files, paths.result(generation, job.member), "result")
                if result is not None:
                    total += _of_one(job.epochs, result.meta)
            generation += 1
    return total


def _of_one(epochs: int, meta: Mapping[str, Any]) -> Account:
    if "reused_from" in meta:
        return Account(1, 1, epochs, epochs)
    return Account(1, 0, epochs, 0, float(meta.get("wall_s") or 0.0))


def _read(files: RunReader, name: Name, kind: str) -> Record | None:
    try:
        return files.record(name, kind)
    except CorruptRecord:
        return None  # as if it were not there: `pbtnas fsck` tells
