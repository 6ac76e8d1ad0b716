"""The command `python -m pbtnas.engine.fork_server`: keeps the processes of `pbtnas run` running,
and the workers of `pbtnas study`.

It imports what they need, torch above all, once, and forks them.  It does nothing else, so that
they begin as new ones would; the task is imported by each of them, as its file is then.

It may be killed like any other.  What it has forked is asked to stop by the kernel, and hands its
jobs back; the command waits for the end of the last of them, which a pipe tells that
all of them hold open, and begins again.
"""

from __future__ import annotations

import json
import logging
import os
import select
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
from pbtnas.engine.supervisor import Supervised, keep_running, keep_workers, start_python
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
        server = _server(lines[0], lines[1:], environment, alive)
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


def workers_beside(
    workers: Sequence[Sequence[str]], environment: Mapping[str, str]
) -> list[Supervised]:
    """Workers, by their command lines, to be kept running beside a coordinator of this process.

    On Linux all of them are one process to be supervised, which forks them.
    """
    if sys.platform != "linux" or not workers:
        return [Supervised(f"worker {i}", list(line)) for i, line in enumerate(workers)]
    return [ForkedWorkers("the process that starts the workers", workers, environment)]


class ForkedWorkers(Supervised):
    """Workers that one process forks, and starts again when they die.

    That process is started again when it is killed, but not before all it has forked have ended:
    they may hold a device.  Its code is 0 if a worker ended well, else the largest of theirs.
    """

    def __init__(
        self, name: str, lines: Sequence[Sequence[str]], environment: Mapping[str, str]
    ) -> None:
        super().__init__(name, [], self._begin)
        self._lines = list(map(list, lines))
        self._environment = environment
        self._last: int | None = None

    def poll(self) -> None:
        """As every process is looked after; what the server itself says is final."""
        if self.process is not None and (code := self.process.poll()) is not None and code >= 0:
            self.process, self.code = None, code
        elif self.process is not None or self._last is None or self._all_gone():
            super().poll()

    def _begin(self, _: Sequence[str]) -> subprocess.Popen[bytes]:
        if self.restarts:
            # What the user has accepted at the start is not what the file has become since.
            self._lines = [[word for word in line if word != ACCEPT] for line in self._lines]
        self._last, alive = os.pipe()
        try:
            return _server(None, self._lines, self._environment, alive)
        finally:
            os.close(alive)

    def _all_gone(self) -> bool:
        assert self._last is not None, "asked for by the caller"
        if not select.select([self._last], [], [], 0)[0]:
            return False
        os.close(self._last)
        self._last = None
        return True


def _server(
    coordinator: Sequence[str] | None,
    workers: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    alive: int,
) -> subprocess.Popen[bytes]:
    told = {
        "coordinator": coordinator,
        "workers": workers,
        "environment": dict(environment),
        "alive": alive,
        "parent": os.getpid(),
        "quiet": logging.getLogger().level > logging.INFO,
    }
    return subprocess.Popen(
        python_command("-m", "pbtnas.engine.fork_server", json.dumps(told)),
        env=python_environment(),
        pass_fds=[alive],
        # Signals of the terminal reach only the command, which passes them on.
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
    start = partial(_start, alive=told["alive"])
    if told["coordinator"] is None:
        return keep_workers(told["workers"], start=start)
    return keep_running(told["coordinator"], told["workers"], start=start)


if __name__ == "__main__":
    try:
        _code = main(json.loads(sys.argv[1]))
    except Exception:  # noqa: BLE001  (whatever it is: shown in full, and told by its own code)
        traceback.print_exc()
        _code = ExitCode.UNEXPECTED
    sys.exit(_code)
