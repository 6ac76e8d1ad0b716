"""What all stores do alike: they reply with their failures, and tell them once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pbtnas.protocol.operations import (
    Get,
    List,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Sync,
    Unreadable,
)

_PUBLISHES = (Put, PutBlob, Sync, MakeGeneration, Quarantine)


class Executing(ABC):
    """Carries out storage operations.

    `trouble` is called with a sentence when an operation failed (disk full, no permission), and
    with "" when all that failed succeeded again; set it to learn of them.
    """

    root: Path

    @property
    def place(self) -> str:
        """What people know the run by."""
        return str(self.root)

    def __init__(self) -> None:
        self.trouble: Callable[[str], None] = lambda text: None
        self._troubled: set[str] = set()  # sorts of operations that failed when last tried

    def execute(self, operation: Any) -> Any:
        """Carry out a storage operation and reply; failures are replies too, never raised."""
        try:
            reply = self._execute(operation)
        except OSError as error:
            trouble = self._complain(operation, error)
            if isinstance(operation, Get | ReadHeartbeat):
                return Unreadable(trouble, passing=True)
            if isinstance(operation, _PUBLISHES):
                return Published.ERROR
            return set() if isinstance(operation, List) else None
        if self._troubled:
            self._over(_sort(operation))
        return reply

    @abstractmethod
    def _execute(self, operation: Any) -> Any:
        """Carry out an operation.  Raises `OSError`."""

    def _hint(self, error: OSError) -> str:
        """What to add to a sentence about an error."""
        return ""

    def _over(self, sort: str) -> None:
        """Report that what had failed succeeds again, when nothing else fails."""
        self._troubled.discard(sort)
        if not self._troubled:
            self.trouble("")

    def _complain(self, operation: Any, error: OSError, sort: str = "") -> str:
        """Report an error; returns the sentence."""
        self._troubled.add(sort or _sort(operation))
        name = getattr(operation, "name", None) or getattr(operation, "directory", "")
        where = f"{self.place}/{name}" if name else self.place
        sentence = f"{where}: {error.strerror}{self._hint(error)}"
        self.trouble(sentence)
        return sentence


def _sort(operation: Any) -> str:
    """What one success says of another failure: a file system that publishes once may again."""
    return "publish" if isinstance(operation, _PUBLISHES) else type(operation).__name__
