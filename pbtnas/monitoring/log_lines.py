"""Reads what a run has to say: events of its records, logs of attempts, logs of workers.

Each source is asked again and again, and gives what is new.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation, read_generation
from pbtnas.analysis.history.run import History
from pbtnas.monitoring.events import events
from pbtnas.monitoring.text import at_clock, printable
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.regular_files import open_regular
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import NotARun, check_format
from pbtnas.store.study_directory import is_study

PIECE = 1 << 16  # bytes


class RunLog:
    """Events of a run, or of one of its members together with what its attempts logged.

    Args:
        run_dir: Run directory.
        member: Only this slot; None for all.
    """

    def __init__(self, run_dir: Path, member: int | None = None) -> None:
        self._root = run_dir
        self._member = member
        self._next = 0  # generation
        self._told: set[str] = set()
        self._lines: dict[Name, int] = {}

    def new(self) -> list[dict[str, Any]]:
        """What has come, the oldest first, each with its `line` for people.

        Raises `NotARun` and `ForeignRecord` as `History.read` does.
        """
        check_format(self._root)
        with open_files(self._root) as reader:
            files = RecordFiles(reader)
            history, count = History.beginning(files)
            first, self._next = max(0, self._next - 2), count
            found: list[dict[str, Any]] = []
            for number in range(first, count):
                over = history.over(number, count)
                found += self._of(files, read_generation(files, number, over, ()))
                files.forget_names()
        return found

    def _of(self, files: RecordFiles, read: Generation) -> Iterator[dict[str, Any]]:
        if self._member is not None:
            yield from self._logged(files, read)
        for event in events(read, files.time):
            if self._member in (None, event.member) and event.line not in self._told:
                self._told.add(event.line)
                yield {**asdict(event), "line": f"{at_clock(event.at)} {printable(event.line)}"}

    def _logged(self, files: RecordFiles, read: Generation) -> Iterator[dict[str, Any]]:
        """New lines of the `log.jsonl` of each attempt at the member's job."""
        assert self._member is not None
        for attempt in read.attempts.get(self._member, ()):
            name = paths.attempt_log(read.number, self._member, attempt.number)
            # A line without its end is still being written.
            whole = (files.view(name) or b"").decode(errors="replace").rpartition("\n")[0]
            lines = whole.splitlines()
            known = self._lines.get(name, 0)
            self._lines[name] = len(lines)
            where = f"g{read.number:04d} {paths.member_name(self._member)}"
            for text in lines[known:]:
                yield {
                    "generation": read.number,
                    "member": self._member,
                    "attempt": attempt.number,
                    "logged": _parsed(text),
                    "line": f"{where} attempt {attempt.number}: {printable(text)}",
                }


def _parsed(text: str) -> Any:
    """A line of JSON; as it stands where it is none, as after a crash."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class WorkerLog:
    """What the training process of one worker has printed.

    Args:
        directory: Directory of a run, or of a study.
        name: Name of the worker, or a part of it that no other worker's has.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self._root, self._name = _log_of(directory, name)
        self._read = 0  # bytes
        self._rest = b""

    def new(self) -> list[dict[str, Any]]:
        """Whole lines that have come.  Raises `OSError`."""
        with open_files(self._root) as files:
            fd = open_regular(files.fetch(paths.within(paths.WORKERS, self._name)))
        try:
            while piece := os.pread(fd, PIECE, self._read):
                self._read += len(piece)
                self._rest += piece
        finally:
            os.close(fd)
        *whole, self._rest = self._rest.split(b"\n")
        return [self._line(line) for line in whole]

    def rest(self) -> list[dict[str, Any]]:
        """The last line, which has no end."""
        return [self._line(self._rest)] if self._rest else []

    def _line(self, line: bytes) -> dict[str, Any]:
        text = printable(line.decode(errors="replace"))
        return {"worker": self._name.removesuffix(".log"), "line": text}


def _log_of(directory: Path, name: str) -> tuple[Path, str]:
    """The directory and the name of the one log that the name means.

    A worker of a study has its log in the study's directory.
    Raises `NotARun` where it means none or several.
    """
    places = [directory, *([directory.parents[1]] if len(directory.parents) > 1 else [])]
    found: list[tuple[Path, str]] = []
    for place in places:
        if place == directory or is_study(place):
            with suppress(FileNotFoundError), open_files(place) as files:
                leaves = files.names(paths.WORKERS)
            found += [(place, leaf) for leaf in leaves if leaf.endswith(".log")]
    exact = [(place, leaf) for place, leaf in found if leaf == f"{name}.log"]
    meant = exact or [(place, leaf) for place, leaf in found if name in leaf[: -len(".log")]]
    if len(meant) == 1:
        return meant[0]
    known = ", ".join(sorted(leaf[: -len(".log")] for _, leaf in meant or found)) or "none"
    what = "means several workers" if meant else "is no worker with a log here"
    raise NotARun(f"{directory}: --worker {name}: {what}: {known}")
