"""Prepared tasks, shared by runs.

Who serves several runs of a study (a training process, the coordinators) prepares a task once:
data on the device and reference statistics are the same for all runs of that task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pbtnas.config import TaskConfig
from pbtnas.records.code_changes import changes
from pbtnas.records.task_code import TaskCode
from pbtnas.store.opening import Store
from pbtnas.store.products import Products, published
from pbtnas.tasks.base import Task, TaskError
from pbtnas.tasks.code import code_of
from pbtnas.tasks.loading import complete_options, load_task
from pbtnas.tasks.preparing import Prepared, prepare

AtDisk = Callable[[str], AbstractContextManager[None]]
"""Announces what is read or written while the context lasts."""


@dataclass(frozen=True)
class _Known:
    """A prepared task is a function of its section of the configuration, of the threads it was
    prepared with, and of the run's products."""

    section: TaskConfig
    threads: int
    products: dict[str, bytes]
    ready: Prepared


class PreparedTasks:
    """The tasks that were prepared so far.

    Args:
        scratch: A directory of this machine.
        task_file: "FILE.py:Class" of the command line, or None.
        at_disk: Announces what of the run directory is read or written.
    """

    def __init__(
        self, scratch: Path, task_file: str | None, at_disk: AtDisk = lambda _: nullcontext()
    ) -> None:
        self._at_disk = at_disk
        self._scratch = scratch
        self._task_file = task_file
        self._known: list[_Known] = []
        self._codes: dict[str, TaskCode] = {}  # of each task, as it was first loaded here
        self._complete: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {}

    def load(self, section: TaskConfig) -> Task:
        """A task for that section, prepared or not.  Raises `TaskError` and `ConfigError`."""
        for known in self._known:
            if known.section == section:
                return known.ready.task
        return self._new(section)

    def complete(self, section: TaskConfig) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """What writes out the defaults of the options of that task."""
        if section.name not in self._complete:
            self._complete[section.name] = partial(complete_options, self.load(section))
        return self._complete[section.name]

    def code(self, section: TaskConfig) -> TaskCode:
        """The code of that task.  Raises what `load` raises."""
        if section.name not in self._codes:
            self.load(section)
        return self._codes[section.name]

    def of(
        self,
        section: TaskConfig,
        store: Store,
        *,
        threads: int,
        fits: Callable[[Task], None] = lambda _: None,
    ) -> Prepared:
        """The task, prepared with so many threads for the run in that directory.

        A run without products is given those of an earlier run of the same task and threads.
        `fits` raises for a task that is not that of the run, before it is prepared for it.
        Raises `TaskError`, `ConfigError`, `OSError` and `CorruptRecord`.
        """
        alike = [k for k in self._known if (k.section, k.threads) == (section, threads)]
        fresh = None if alike else self._new(section)
        fits(alike[0].ready.task if fresh is None else fresh)
        products = _Announced(store, self._scratch, self._at_disk)
        with self._at_disk("reading products"):
            if alike and not published(store):
                for name, data in alike[0].products.items():
                    products.publish(name, data)
            found = _all(products, store)
        for known in alike:
            if known.products == found:
                return known.ready
        task = self._new(section) if fresh is None else fresh
        ready = prepare(task, products, threads=threads)
        with self._at_disk("reading products"):
            self._known.append(_Known(section, threads, _all(products, store), ready))
        return ready

    def _new(self, section: TaskConfig) -> Task:
        task = load_task(
            section.name, section.in_force, task_file=self._task_file, places=section.places
        )
        code = code_of(task)
        if changes(self._codes.setdefault(section.name, code), code):
            raise TaskError(
                f"{code.title}: the code of the task has changed since this process began; start "
                "it again"
            )
        return task


class _Announced(Products):
    """Products of which each reading and writing is announced."""

    def __init__(self, store: Store, directory: Path, at_disk: AtDisk) -> None:
        super().__init__(store, directory)
        self._at_disk = at_disk

    def publish(self, name: str, data: bytes) -> bytes:
        with self._at_disk(f"publishing the product {name}"):
            return super().publish(name, data)

    def lookup(self, name: str) -> bytes | None:
        with self._at_disk(f"reading the product {name}"):
            return super().lookup(name)


def _all(products: Products, store: Store) -> dict[str, bytes]:
    found = {name: products.lookup(name) for name in published(store)}
    return {name: data for name, data in found.items() if data is not None}
