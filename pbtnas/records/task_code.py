"""Describes the code of a task, as a run records it.

The record is in the `meta` of the configuration, beside the core, so that no fingerprint depends
on it; other code that was accepted later has records of its own, the latest of which holds.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, decode, digest
from pbtnas.records.names import Digest, Name

OURS = "pbtnas"
"""The package whose tasks are covered by its version."""


@dataclass(frozen=True)
class SourceFile:
    """One file of code.

    Args:
        sha256: SHA-256 of its bytes, in hex.
        text: What it says; None where it is too large to be kept, or is not UTF-8.
    """

    sha256: str
    text: str | None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class TaskCode:
    """The code of a task, and the versions of what it rests on.

    Args:
        main: Name of the file with the task's class, one of `files`; "" if there is none.
        files: Files of the user's own, by name, relative to the folder that imports begin in.
        package: Distribution that provides the task; "" for a task in a file.
        version: Its version.
        versions: Versions of pbtnas, torch, numpy and Python, by name.
    """

    main: str = ""
    files: Mapping[str, SourceFile] = field(default_factory=dict)
    package: str = ""
    version: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether it says anything about the code: a class made by hand comes from nowhere."""
        return bool(self.main or self.package)

    @property
    def digest(self) -> Digest:
        """Digest of the code, whatever the versions of what it rests on."""
        files = {name: file.sha256 for name, file in self.files.items()}
        return digest([self.main, files, self.package, self.version])

    @property
    def title(self) -> str:
        """What people know it by."""
        return f"{self.package} {self.version}" if self.package else self.main

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "files": {name: f.to_json() for name, f in self.files.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TaskCode:
        files = {name: SourceFile(f["sha256"], f["text"]) for name, f in data["files"].items()}
        return cls(data["main"], files, data["package"], data["version"], data["versions"])


@dataclass(frozen=True)
class KnownCode:
    """Code that a run was started with, or that was accepted later.

    Args:
        code: The code.
        accepted: Who accepted it, when, and in place of what (`by`, `at`, `from`, `to`); empty for
            the code that the run was started with.
    """

    code: TaskCode
    accepted: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Codes:
    """All code that a run knows.

    Args:
        known: The code that it was started with, where that is recorded, and what was accepted
            later; the last one holds.
        next: Number of the next record of a change.
    """

    known: tuple[KnownCode, ...] = ()
    next: int = 1

    @property
    def in_force(self) -> TaskCode | None:
        """The code that the run goes on with; None for a run begun before it was recorded."""
        return self.known[-1].code if self.known else None

    def summary(self) -> dict[str, Any] | None:
        """What programs are told about it: no texts; None where nothing is recorded."""
        code = self.in_force
        if code is None:
            return None
        files = {name: file.sha256 for name, file in code.files.items()}
        changed = sum(bool(known.accepted) for known in self.known)
        return {**vars(code), "files": files, "digest": code.digest, "changes": changed}


def known_codes(
    config_meta: Mapping[str, Any], get: Callable[[Name], bytes | None], run: str
) -> Codes:
    """The code that a run knows, by its configuration and the changes that were accepted.

    A damaged or unreadable record of a change says nothing, and the code before it holds again:
    whoever has the other is asked again.  Raises `ForeignRecord`.
    """
    started = config_meta.get("code")
    known = [] if started is None else [KnownCode(TaskCode.from_json(started))]
    for number in itertools.count(1):
        with suppress(CorruptRecord):
            data = get(paths.code(number))
            if data is None:
                break
            record = decode(data, paths.code(number), kind="code", run=run)
            known.append(KnownCode(TaskCode.from_json(record.core["code"]), record.meta))
    return Codes(tuple(known), number)
