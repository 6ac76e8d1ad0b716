"""Describes as data what other schedulers were asked for a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from pbtnas.records.envelope import CorruptRecord


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Workers of a run that another scheduler, or ssh, has to start.

    Args:
        engine: Who starts them: "slurm" or "ssh".
        name: What they are called there; unique to the run, and the same in all its launches.
        workers: How many workers there are to be.
        coordinator: Who starts the coordinator: "job", "here" or "none".
        directory: Directory that they begin in.
        path: Directory with the command `pbtnas`.
        worker: Arguments of `pbtnas` for a worker.
        coordinate: Arguments of `pbtnas` for the coordinator.
        setup: Lines of the shell before each of them.
        options: What else that engine was asked for.
    """

    engine: str
    name: str
    workers: int
    coordinator: str
    directory: str
    path: str
    worker: tuple[str, ...]
    coordinate: tuple[str, ...]
    setup: tuple[str, ...] = ()
    options: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, core: Mapping[str, Any], name: str) -> Self:
        """Read the core of a record.  Raises `CorruptRecord` for one that lacks something."""
        known = {field.name for field in fields(cls)}
        if not known <= core.keys():
            raise CorruptRecord(f"{name}: lacks {', '.join(sorted(known - core.keys()))}")
        values: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in core.items() if k in known
        }
        return cls(**values)
