"""Explains what a user's task raised: one sentence with file and line, and the user's own frames.

An exception of one of our own tasks is our bug, and is let through.
"""

from __future__ import annotations

import http.client
import inspect
import socket
import sysconfig
import traceback
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from pbtnas.cuda import failure_of
from pbtnas.errors import MachineTrouble, PbtnasError
from pbtnas.tasks.base import Diverged, TaskError

_LONGEST = 300  # characters of what an exception says; torch can list hundreds of tensors
_OURS = Path(__file__).parents[1]
_STANDARD = Path(sysconfig.get_paths()["stdlib"])
_INSTALLED = {"site-packages", "dist-packages"}
_NETWORK = (
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    urllib.error.URLError,
    http.client.HTTPException,
)
_WRONG_NAME = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


class TaskFault(TaskError):
    """A mistake in the user's task: a sentence with its place.

    Args:
        sentence: The sentence.
        frames: The user's own frames, for the screen; "" where the place says it all.
    """

    def __init__(self, sentence: str, frames: str = "") -> None:
        super().__init__(sentence)
        self.frames = frames


@contextmanager
def blamed(what: str, cls: Any) -> Iterator[None]:
    """Turn whatever the user's code raises into a `TaskFault`; a failed download is none, but
    `MachineTrouble`.

    Let through what has a sentence already, what a device or the run directory refuses, and what
    a task of ours raises.

    Args:
        what: What runs, such as "create()".
        cls: The class of the task.
    """
    try:
        yield
    except (PbtnasError, Diverged, MemoryError):
        raise
    except SystemExit as error:  # whose code would pass for that of the command, 0 for success
        raise fault(what, error, cls) from error
    except Exception as error:
        if is_ours(cls) or failure_of(error) is not None or _of_the_directory(error, cls):
            raise
        told = fault(what, error, cls)
        if _of_the_network(error):
            trouble = MachineTrouble(str(told))
            trouble.frames = told.frames
            raise trouble from error
        raise told from error


def is_ours(cls: Any) -> bool:
    """Whether a task comes with pbtnas."""
    return str(cls.__module__).partition(".")[0] == "pbtnas"


def fault(what: str, error: BaseException, cls: Any = None) -> TaskFault:
    """What an exception of the user's code means, with the line of it that was reached last."""
    own = _own_frames(error, cls)
    words = said(error)
    if isinstance(error, SyntaxError) and error.filename is not None:
        place = f"{shown(error.filename)}:{error.lineno}"
        shows = [line for line in traceback.format_exception_only(error)[1:-1] if line.strip()]
        return TaskFault(f"{place}: {type(error).__name__}: {error.msg}", "".join(shows))
    if len(words) > _LONGEST:
        words = f"{words[: _LONGEST - 3]}..."
    sentence = f"{what} raised {type(error).__name__}{': ' if words else ''}{words}"
    if isinstance(error, SystemExit):
        sentence += "; a task must not end its process, raise TaskError with a sentence instead"
    if isinstance(error, ValueError) and _raised_here(error):
        sentence = words  # a rule of ours, in our own words
    if own:
        return TaskFault(f"{shown(own[-1].filename)}:{own[-1].lineno}: {sentence}", _listed(own))
    place = "" if cls is None else f"{place_of(cls)}: "
    return TaskFault(f"{place}{sentence}")


def mistake(what: str, error: BaseException, cls: Any) -> str:
    """The sentence on an exception of the user's code in a job; "" if it is nobody's mistake, or
    ours.

    Args:
        what: What ran, such as "train()".
        error: The exception.
        cls: The class of the task.
    """
    if is_ours(cls) or isinstance(error, MemoryError) or failure_of(error) is not None:
        return ""
    if _of_the_directory(error, cls) or _of_the_network(error):
        return ""
    if isinstance(error, TaskError):
        return f"{place_of(cls)}: {error}"
    return str(fault(what, error, cls)) if _own_frames(error, cls) else ""


def place_of(thing: Any) -> str:
    """The file and line at which a class or function is defined; its name where nobody knows."""
    thing = inspect.unwrap(thing)  # of torch.no_grad() and the like
    try:
        file, line = _source(getattr(thing, "__func__", thing))
    except (OSError, TypeError):
        return str(getattr(thing, "__qualname__", thing))
    return f"{shown(file)}:{line}"


@lru_cache(maxsize=64)
def _source(thing: Any) -> tuple[str, int]:
    """The file and line of a class or function; what every job asks for is looked up once."""
    return str(inspect.getsourcefile(thing)), inspect.getsourcelines(thing)[1]


def shown(file: str) -> str:
    """A path as people would type it here."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def said(error: BaseException) -> str:
    """What an exception says, in one line that cannot move the cursor."""
    try:
        text = str(error)
    except Exception as other:  # noqa: BLE001  (its text is made by the user's code, too)
        text = f"(its text cannot be had: {type(other).__name__})"
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _listed(frames: list[traceback.FrameSummary]) -> str:
    return "".join(traceback.format_list(frames))


def _own_frames(error: BaseException, cls: Any) -> list[traceback.FrameSummary]:
    walked = list(traceback.walk_tb(error.__traceback__))
    every = traceback.StackSummary.extract(iter(walked))
    return [
        summary for (frame, _), summary in zip(walked, every, strict=True) if _is_own(frame, cls)
    ]


def _is_own(frame: FrameType, cls: Any) -> bool:
    name = frame.f_code.co_filename
    path = Path(name)
    if name.startswith("<") or path.is_relative_to(_OURS):
        return False
    if cls is not None and _package(frame.f_globals.get("__name__", "")) == _package(
        cls.__module__
    ):
        return True  # of a package of the user's that is installed
    return not (_INSTALLED & set(path.parts) or path.is_relative_to(_STANDARD))


def _package(module: str) -> str:
    return module.partition(".")[0]


def _raised_here(error: BaseException) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return Path(frame.f_code.co_filename).is_relative_to(_OURS)


def _of_the_network(error: BaseException) -> bool:
    """Whether a download or a connection failed, or led to the error, as in `requests`."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, _NETWORK):
        reason = reason.__cause__ or reason.__context__
    return reason is not None


def _of_the_directory(error: BaseException, cls: Any) -> bool:
    """Whether the run directory or the disk, and no name in the user's code, is the reason."""
    if not isinstance(error, OSError):
        return False
    if error.errno is not None and not isinstance(error, _WRONG_NAME):
        return True
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        if Path(frame.f_code.co_filename).is_relative_to(_OURS):
            return True
        if _is_own(frame, cls):
            return False
    return False
