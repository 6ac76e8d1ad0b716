"""The command `python -m pbtnas.engine.fork_server`: keeps the processes of `pbtnas run` running.

It imports what they need, torch above all, once, and forks them.  It does nothing else, so that
they begin as new ones would; the task is imported by each of them, as its file is then.

It may be killed like any other.  What it has forked is asked to stop by the kernel, and hands its
jobs back; the command `pbtnas run` waits for the end of the last of them, which a pipe tells that
all of them hold open, and begins again.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pbtnas.child_python import python_command, python_environment
from pbtnas.engine.forking import Forked, can_fork, fork_python, import_once
from pbtnas.engine.parent_death import end_with_parent
from pbtnas.engine.signals import PASSED_ON, StopRequest
from pbtnas.engine.supervisor import keep_running, start_python
from pbtnas.errors import ExitCode
from pbtnas.logs import log_to_stderr
from pbtnas.store.task_code import ACCEPT

log = logging.getLogger("pbtnas")

AGAIN_S = 1.0  # between the end of one and the start of the next


def keep_running_forked(
    coordinator: Sequence[str], workers: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> int:
    """Run a coordinator and workers until the coordinator is done; its exit code.

    On a signal all are asked to stop, as `keep_running` does it.

    Args:
        coordinator: Command line of the coordinator.
        workers: Command line of each worker.
        environment: What the libraries of their training processes are told.
    """
    if sys.platform != "linux":
        return keep_running(coordinator, workers, start=partial(_start, alive=None))
    stop = StopRequest()
    lines = [list(coordinator), *map(list, workers)]
    while True:
        last, alive = os.pipe()
        server = _server(lines, environment, alive)
        os.close(alive)
        code = _watched(server, stop)
        if code >= 0 or stop.asked:
            os.close(last)
            return code if code >= 0 else ExitCode.STOPPED
        log.warning(
            "the process that starts the others ended with %d; they hand their jobs back, and all "
            "is started again",
            code,
        )
        while not (stop.asked or stop.wait(AGAIN_S, or_readable=[last])):
            pass
        os.close(last)
        stop.wait(AGAIN_S)
        if stop.asked:
            return ExitCode.STOPPED
        # What the user has accepted at the start is not what the file has become since.
        lines = [[word for word in line if word != ACCEPT] for line in lines]


def _server(
    lines: Sequence[Sequence[str]], environment: Mapping[str, str], alive: int
) -> subprocess.Popen[bytes]:
    told = {
        "lines": lines,
        "environment": dict(environment),
        "alive": alive,
        "parent": os.getpid(),
        "quiet": logging.getLogger().level > logging.INFO,
    }
    return subprocess.Popen(
        python_command("-m", "pbtnas.engine.fork_server", json.dumps(told)),
        env=python_environment(),
        pass_fds=[alive],
        # Signals of the terminal reach only `pbtnas run`, which passes them on.
        start_new_session=True,
    )


def _watched(server: subprocess.Popen[bytes], stop: StopRequest) -> int:
    """Wait for the end of the server, and pass on that it is to stop; its exit code."""
    ended = os.pidfd_open(server.pid)
    told = False
    while (code := server.poll()) is None:
        if stop.asked and not told:
            server.send_signal(PASSED_ON)
            told = True
        stop.wait(AGAIN_S, or_readable=[ended])
    os.close(ended)
    return code


def _start(arguments: Sequence[str], alive: int | None) -> subprocess.Popen[bytes] | Forked:
    words = [*arguments, "--parent", str(os.getpid())]
    keep = [] if alive is None else [alive]
    if can_fork():
        return fork_python("pbtnas", *words, keep=keep)
    return start_python(words, keep)


def main(told: Mapping[str, Any]) -> int:
    """Import, fork and keep running; the exit code."""
    end_with_parent(signal.SIGTERM)
    if os.getppid() != told["parent"]:
        return ExitCode.STOPPED
    log_to_stderr(quiet=told["quiet"])
    try:
        import_once(told["environment"])
    except (ImportError, OSError) as error:
        log.debug("not imported once for all: %s", error)  # each of them will tell it in full
    coordinator, *workers = told["lines"]
    return keep_running(coordinator, workers, start=partial(_start, alive=told["alive"]))


if __name__ == "__main__":
    try:
        _code = main(json.loads(sys.argv[1]))
    except Exception:  # noqa: BLE001  (whatever it is: shown in full, and told by its own code)
        traceback.print_exc()
        _code = ExitCode.UNEXPECTED
    sys.exit(_code)
