"""What training sees of its worker: a channel to speak on, and the context of one job."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pbtnas.records.schema import Job
from pbtnas.regular_files import append_regular
from pbtnas.store.patience import patiently
from pbtnas.tasks.base import HandedBack
from pbtnas.training.channel import Channel

T = TypeVar("T")

_TICK_S = 0.1  # between two looks at the socket, and two reports of progress


class JobContext:
    """The `Context` of one job: reports progress, takes snapshots, and ends it when asked."""

    def __init__(
        self,
        job: Job,
        channel: Channel,
        *,
        device: str,
        scratch: Path,
        directory: Path,
        snapshot: Callable[[int], None],
        snapshot_s: float,
    ) -> None:
        self.seed = job.seed
        self.device = device
        self.scratch = scratch
        self.done = 0
        self.final = False
        self.trained = False
        self._channel = channel
        self._directory = directory
        self._snapshot = snapshot
        self._snapshot_s = snapshot_s
        self._halting = False
        self._looked_s = self._saved_s = time.monotonic()

    def tick(self, done: int | None = None) -> None:
        """Report progress; snapshot or leave, where the state is whole."""
        now_s = time.monotonic()
        if done is not None:
            self.done = done
        if now_s - self._looked_s >= _TICK_S:
            self._looked_s = now_s
            self._channel.send(progress=self.done)
            self._halting = self._halting or self._channel.waiting()
        if done is None and not self.trained:
            return  # in the middle of a step: the state is not whole
        if self._halting:
            self._snapshot(self.done)
            raise HandedBack
        if self._snapshot_s and now_s - self._saved_s >= self._snapshot_s and not self.trained:
            self._saved_s = now_s
            self._snapshot(self.done)

    def patiently(self, write_it: Callable[[], T], what: str) -> T:
        """Write, and while the disk is full or refuses, wait and say so instead of failing.

        Args:
            write_it: Function that writes.
            what: What it does, in words for people.
        """
        with self._channel.at_disk(what):
            return patiently(write_it, self._directory, wait=self._pause, report=self._report)

    def _pause(self, seconds: float) -> None:
        if self._channel.waiting(seconds):
            raise HandedBack

    def _report(self, trouble: str) -> None:
        self._channel.send(progress=self.done, waiting=trouble)

    def log(self, **values: float | int | str) -> None:
        """Add a line to this attempt's private log."""
        line = json.dumps({"step": self.done, **values}) + "\n"
        self.patiently(lambda: self._append(line), "writing its log")

    def _append(self, line: str) -> None:
        self._directory.mkdir(exist_ok=True)
        with os.fdopen(append_regular(self._directory / "log.jsonl"), "a") as file:
            file.write(line)
