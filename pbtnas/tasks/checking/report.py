"""Collects the findings of a check, each once, with the architecture it was seen with."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from pbtnas.errors import PbtnasError
from pbtnas.search.space import Architecture
from pbtnas.tasks.base import Diverged, Task
from pbtnas.tasks.faults import TaskFault, said
from pbtnas.tasks.faults import fault as fault_of

_NOT_DETERMINISTIC = " does not have a deterministic implementation"  # as torch puts it


class Level(StrEnum):
    """The severity of a finding: an error breaks the search or its reproducibility."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing the check found.

    Args:
        level: its severity.
        sentence: its description, for people.
        detail: the architecture it was seen with, and the user's own frames if it was raised.
        traceback: all frames.
    """

    level: Level
    sentence: str
    detail: str = ""
    traceback: str = ""


Tell = Callable[[Finding], None]
"""Hears of each finding as soon as it is made."""


class Report:
    """The findings so far, and what the check is doing.

    Args:
        task: the task.
        device: the device that it is checked on, for messages.
        tell: hears of each finding.
    """

    def __init__(self, task: Task, device: str, tell: Tell) -> None:
        self._space = task.space
        self._class = type(task)
        self._device = device
        self._tell = tell
        self._findings: dict[str, Finding] = {}
        self.doing = ""
        self.architecture: Architecture | None = None

    def findings(self) -> list[Finding]:
        """All findings, in the order they were seen."""
        return list(self._findings.values())

    def say(self, level: Level, sentence: str, detail: str = "", traceback: str = "") -> None:
        """Add a finding, unless another architecture has shown it already."""
        if sentence in self._findings:
            return
        if level is not Level.OK and self.architecture is not None:
            choices = self._space.decode(self.architecture)
            lines = [f"  {name}: {option}" for name, option in choices.items()]
            detail = "\n".join(["seen with", *lines, detail]).rstrip()
        self._findings[sentence] = Finding(level, sentence, detail, traceback)
        self._tell(self._findings[sentence])

    @contextmanager
    def reporting(self, doing: str, level: Level = Level.ERROR) -> Iterator[None]:
        """Turn whatever the task raises into a finding, which ends this part of the check."""
        self.doing = doing
        try:
            yield
        except Diverged as error:
            self.diverged(error)
        except TaskFault as fault:
            self.say(level, str(fault), fault.frames, traceback.format_exc())
        except PbtnasError as error:  # a sentence already, as that of data which are not here
            self.say(level, str(error), "", traceback.format_exc())
        except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever it raises)
            told = fault_of(self.doing, error, self._class)
            self.say(level, self._in_words(error, str(told)), told.frames, traceback.format_exc())

    def diverged(self, error: Diverged) -> None:
        """Say that a member diverged, which the search copes with."""
        self.say(Level.WARNING, f"a random member diverged at once: {error}")

    def _in_words(self, error: BaseException, otherwise: str) -> str:
        """Explain what an exception of the task means for a search."""
        operation, refused, _ = said(error).partition(_NOT_DETERMINISTIC)
        if refused:
            return (
                f"{self.doing} uses {operation}, which PyTorch cannot do deterministically on "
                f"{self._device}: a search refuses it, so no job would end; use another operation"
            )
        return otherwise
