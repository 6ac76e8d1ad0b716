"""Carries loggers through a run, or through the runs of a study, in a process of its own.

Nothing here touches the search: a logger that fails, hangs or is killed costs only what it would
have logged, and `pbtnas log` tells that later.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

from filelock import Timeout

from pbtnas.errors import PbtnasError
from pbtnas.loggers.base import Logger
from pbtnas.loggers.following import Follower
from pbtnas.store.run_directory import NotYetARun, open_run
from pbtnas.store.study_directory import is_study, open_study

log = logging.getLogger("pbtnas")

POLL_S = 2.0
MOST_FAILURES = 3  # in a row, after which a logger is given up


class LoggerBusy(PbtnasError):
    """Another process of this machine tells the same logger of the same run."""


class LoggerFailed(PbtnasError):
    """A logger has raised again and again."""


class Stop(Protocol):
    """Says whether this process is asked to stop."""

    @property
    def asked(self) -> bool: ...

    def wait(self, seconds: float) -> object:
        """Sleep, or wake when it is asked."""


class Carrier:
    """Tells the logger of one name of all runs in a directory.

    Args:
        root: Directory of a run or of a study.
        name: Name of the logger in the run directory.
        make: Makes the logger, once for each run.
    """

    def __init__(self, root: Path, name: str, make: Callable[[], Logger]) -> None:
        self._root = root
        self._name = name
        self._make = make
        self._open = ExitStack()
        self._followers: dict[Path, Follower] = {}

    def __enter__(self) -> Carrier:
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def look(self) -> bool:
        """Tell what is new in all of them; whether all are finished and everything was told.

        Raises `LoggerBusy`, `NotYetARun` while there is none, and what the logger raises.
        """
        study = is_study(self._root)
        roots = [run.root for run in open_study(self._root).runs] if study else [self._root]
        over = True
        for root in roots:
            try:
                over &= self._of(root).look()
            except NotYetARun:
                if not study:
                    raise
                over = False
        return over

    def _of(self, root: Path) -> Follower:
        if root not in self._followers:
            open_run(root)
            try:
                follower = Follower(root, self._name, self._make())
            except Timeout:
                raise LoggerBusy(
                    f"{root}: another process tells the logger {self._name!r} of it"
                ) from None
            self._followers[root] = self._open.enter_context(follower)
        return self._followers[root]


def tell_once(root: Path, name: str, make: Callable[[], Logger]) -> None:
    """Tell a logger of all that there is by now.

    Raises `LoggerFailed` for what the logger raises, and what `Carrier.look` raises.
    """
    try:
        with Carrier(root, name, make) as carrier:
            carrier.look()
    except (PbtnasError, OSError):
        raise
    except Exception as error:
        log.exception("the logger %r failed", name)
        raise LoggerFailed(f"the logger {name!r} failed: {_words(error)}") from error


def follow(root: Path, name: str, make: Callable[[], Logger], stop: Stop) -> None:
    """Tell a logger of a run until it is finished, or this process is asked to stop.

    What the disk refuses is tried again for ever, what the logger raises a few times in a row.
    Raises `LoggerFailed`.
    """
    failures, said = 0, ""
    with Carrier(root, name, make) as carrier:
        while True:
            last = stop.asked  # then this look is the last one
            trouble = ""
            try:
                if carrier.look():
                    return
                failures = 0
            except (NotYetARun, LoggerBusy):
                pass  # somebody is about to make the run, or sees to the logger
            except OSError as error:
                trouble = f"{error.filename or root}: {error.strerror or error}"
            except PbtnasError:
                raise
            except Exception as error:
                failures += 1
                trouble = _words(error)
                if failures >= MOST_FAILURES or last:
                    raise LoggerFailed(
                        f"the logger {name!r} is given up, and the run goes on: {trouble}; "
                        f"`pbtnas log {root} --to {name}` goes on with it"
                    ) from error
                log.exception("the logger %r failed; it is tried again", name)
            if trouble != said and trouble:
                log.warning("the logger %r waits: %s", name, trouble)
            said = trouble
            if last:
                return
            stop.wait(POLL_S)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
