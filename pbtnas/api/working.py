"""Works on a run from a program of another engine: `pbtnas worker`, in a process of its own.

An engine's process has threads, signal handlers and libraries of its own.  None of them reach the
worker, which is started from any thread, and ends with the process that has started it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pbtnas.api.classes import named_task
from pbtnas.api.running import CommandEnded, carry_out, options
from pbtnas.errors import ExitCode


class WorkerEnded(CommandEnded):
    """A worker has ended for a reason that the same call would meet again."""


def work_on(
    run: Path,
    *,
    device: str | None,
    until: float | str | None,
    task: type | str | None,
    machine: str | None,
    slots: int,
    patience: float,
    scratch: Path | None,
    loggers: Sequence[str],
) -> bool:
    """Work until the run is finished or this worker has to stop; `pbtnas.work` documents it.

    Raises `NotImportable` and `WorkerEnded`.
    """
    named = named_task(task)
    given = {
        "--device": "auto" if device is None else device,
        "--until": until,
        "--task": None if named is None else named.words,
        "--machine": machine,
        "--patience": "forever" if patience == float("inf") else patience,
        "--scratch": scratch,
    }
    words = [word for name, value in given.items() if value is not None for word in (name, value)]
    arguments = ["worker", str(run), *map(str, words), "--slots", str(slots)]
    arguments += options("--log", loggers)
    code, said = carry_out(arguments, None if named is None else named.root)
    if code in (ExitCode.OK, ExitCode.STOPPED):
        return code == ExitCode.OK
    raise WorkerEnded(said or f"{run}: the worker ended with exit code {code}", code)
