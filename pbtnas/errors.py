"""The root of the package's errors, and the exit codes of its commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import ClassVar, Self


class ExitCode(IntEnum):
    """The exit codes of `pbtnas`, with their meanings; docs/operating.md has the same table."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        code = int.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    OK = 0, "done; a search, study or evaluation is finished"
    FAILED = 1, "cannot go on: no member left, broken or foreign records, a lost checkpoint"
    USAGE = 2, "wrong usage, configuration, task or directory"
    HELD = 3, "another coordinator holds the run"
    UNFIT = 69, "this machine is unfit: three jobs in a row failed, or its network or a disk did"
    UNEXPECTED = 70, "an unexpected error, shown in full; `pbtnas run` tries again, twice in a row"
    STOPPED = 75, "stopped as asked before the end; the same command goes on from there"


class PbtnasError(Exception):
    """An error that its message explains to the user; a command prints it, and exits with its code.

    Every error of the package derives from it.  Any other exception is unexpected.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED

    frames: str = ""
    """The lines of the user's own code that led there, for the screen; most errors have none."""


class MachineTrouble(PbtnasError):
    """The network or a disk of this machine, and nothing that the user has written, is the reason.

    It may be over soon: a worker that cannot prepare its task because of it tries again.
    """

    exit_code = ExitCode.UNFIT


class MissingExtra(PbtnasError):
    """A package is not installed that an extra of pbtnas brings: most machines do not need it."""

    exit_code = ExitCode.USAGE


@contextmanager
def from_extra(extra: str, what: str) -> Iterator[None]:
    """Import inside what an extra of pbtnas brings.

    Args:
        extra: Name of the extra.
        what: What needs it, in the words of the user.

    Raises `MissingExtra` with one sentence.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f'{what} needs {error.name}: `pip install "pbtnas[{extra}]"` brings it'
        ) from error
