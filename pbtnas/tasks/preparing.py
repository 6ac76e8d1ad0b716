"""Prepares a task: the only place that calls `Task.prepare`.

What a task makes there enters every result, so it is computed as a job is, whichever process
comes first: a coordinator, a training process, an evaluation or a check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pbtnas.determinism import as_in_the_search, seed_everything
from pbtnas.search.seeding import derive
from pbtnas.tasks.base import Preparation, Task
from pbtnas.tasks.faults import blamed


@dataclass(frozen=True)
class Prepared:
    """A task that is ready for jobs.

    Args:
        task: the task.
        products: SHA-256 in hex of each product that its results rest on, by name.
    """

    task: Task
    products: Mapping[str, str]


def prepare(task: Task, run: Preparation, *, threads: int) -> Prepared:
    """Prepare a task under the settings of a job of the run.

    Global generators begin with the same seed for all runs, because runs of a study share what
    was prepared.

    Args:
        task: the task, which becomes ready for jobs.
        run: products and cache.
        threads: `run.threads` of the configuration.

    Raises `TaskError`, also for what the user's own `prepare` raises, `MachineTrouble` for a
    failed download or disk, and what `run` raises.
    """
    noted = _Noted(run, run.directory)
    with as_in_the_search(threads):
        seed_everything(derive(0, "prepare"), "cuda")  # without a GPU it is only the CPU's
        with blamed("prepare()", type(task)):
            task.prepare(noted)
    return Prepared(task, noted.products)


@dataclass
class _Noted:
    """A `Preparation` that notes which products were used."""

    run: Preparation
    directory: Path
    products: dict[str, str] = field(default_factory=dict)

    def publish(self, name: str, data: bytes) -> bytes:
        return self._note(name, self.run.publish(name, data))

    def lookup(self, name: str) -> bytes | None:
        data = self.run.lookup(name)
        return None if data is None else self._note(name, data)

    def unique(self, name: str) -> str:
        return self.run.unique(name)

    def _note(self, name: str, data: bytes) -> bytes:
        self.products[name] = hashlib.sha256(data).hexdigest()
        return data
