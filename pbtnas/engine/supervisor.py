"""Supervises the local processes of a command: starts them, and starts them again when they die."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pbtnas.child_python import python_command, python_environment
from pbtnas.engine.forking import Forked
from pbtnas.engine.signals import PASSED_ON, StopRequest
from pbtnas.errors import ExitCode
from pbtnas.store.task_code import ACCEPT

log = logging.getLogger("pbtnas")

# What a process means by these does not change by a restart.
FINAL_CODES = (ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.HELD)
MOST_UNEXPECTED = 2  # restarts in a row after an unexpected error, which may be transient
LONG_S = 60.0  # who lived longer was not killed by how it starts
LONGEST_PAUSE_S = 30.0
ALONE_S = 60.0  # without a worker of its own, before a run says that it waits for others


def start_python(arguments: Sequence[str], keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start `pbtnas ARGUMENTS` in a session of its own, with these descriptors besides."""
    return subprocess.Popen(
        python_command("-m", "pbtnas", *arguments),
        env=python_environment(),
        start_new_session=True,
        pass_fds=keep,
    )


Start = Callable[[Sequence[str]], "subprocess.Popen[bytes] | Forked"]


@dataclass
class Supervised:
    """Starts one process, and starts it again whenever it dies."""

    name: str
    arguments: list[str]
    start: Start = start_python
    process: subprocess.Popen[bytes] | Forked | None = None
    code: int | None = None
    restarts: int = 0
    unexpected: int = 0
    not_before_s: float = 0.0
    began_s: float = field(default=0.0)

    def poll(self) -> None:
        """Start it, or notice that it has ended, and decide whether to start it again."""
        now_s = time.monotonic()
        if self.code is not None or now_s < self.not_before_s:
            return
        if self.process is None:
            self.began_s = now_s
            # What the user has accepted at the start is not what the file has become since.
            again = [a for a in self.arguments if a != ACCEPT]
            self.process = self.start(again if self.restarts else self.arguments)
            return
        code = self.process.poll()
        if code is None:
            return
        self.process = None
        lived_long = now_s - self.began_s > LONG_S
        self.unexpected = 0 if code != ExitCode.UNEXPECTED or lived_long else self.unexpected + 1
        if code in FINAL_CODES or self.unexpected > MOST_UNEXPECTED:
            self.code = code
            return
        # One that dies again at once is started less and less often.
        pause_s = 0.0 if lived_long else min(LONGEST_PAUSE_S, 0.2 * 2 ** min(self.restarts, 8))
        self.restarts += 1
        self.not_before_s = now_s + pause_s
        log.warning("%s ended with %d; started again in %.1f s", self.name, code, pause_s)


def keep_running(
    coordinator: Sequence[str], workers: Sequence[Sequence[str]], *, start: Start = start_python
) -> int:
    """Run a coordinator and workers until the coordinator is done; its exit code.

    On a signal all are asked to stop, and the code is `STOPPED` unless the run is over by then.
    """
    stop = StopRequest()
    head = Supervised("coordinator", list(coordinator), start)
    helpers = [
        Supervised(f"worker {i}", list(arguments), start) for i, arguments in enumerate(workers)
    ]
    processes = [head, *helpers]
    alone_s, told = None, False
    try:
        while not stop.asked:
            for supervised in processes:
                supervised.poll()
            workers_ended = all(helper.code is not None for helper in helpers)
            if head.code is not None and (head.code != ExitCode.OK or workers_ended):
                break
            if all(helper.code not in (None, ExitCode.OK) for helper in helpers):
                break
            now_s = time.monotonic()
            alone_s = (alone_s or now_s) if workers_ended else None
            if alone_s is not None and now_s - alone_s >= ALONE_S and not told:
                told = True
                log.warning(
                    "the workers of this command have left, as when they are drained; the run "
                    "waits for others: `pbtnas worker`, here or on another machine"
                )
            stop.wait(0.1)
    finally:
        ended_with = head.code
        end(processes)
    if stop.asked:
        return head.code if head.code in FINAL_CODES else ExitCode.STOPPED
    of_helpers = max((helper.code or ExitCode.OK for helper in helpers), default=ExitCode.OK)
    return ended_with or of_helpers


def keep_workers(workers: Sequence[Sequence[str]], *, start: Start = start_python) -> int:
    """Run workers until all have ended, or until a signal asks them to stop.

    0 if one of them ended well, else the largest of their codes but for `STOPPED`.
    """
    stop = StopRequest()
    helpers = [
        Supervised(f"worker {i}", list(arguments), start) for i, arguments in enumerate(workers)
    ]
    try:
        while not stop.asked and any(helper.code is None for helper in helpers):
            for helper in helpers:
                helper.poll()
            stop.wait(0.1)
    finally:
        end(helpers)
    codes = {helper.code for helper in helpers if helper.code is not None}
    if ExitCode.OK in codes:
        return ExitCode.OK
    # One that was stopped before it could say how it ends (a negative code) failed nothing.
    return max((code for code in codes - {ExitCode.STOPPED} if code > 0), default=ExitCode.STOPPED)


def end(processes: Sequence[Supervised]) -> None:
    """Ask all that still run to stop, wait for them, and note their codes."""
    running = [supervised for supervised in processes if supervised.process is not None]
    for supervised in running:
        assert supervised.process is not None
        supervised.process.send_signal(PASSED_ON)
    for supervised in running:
        assert supervised.process is not None
        supervised.code = supervised.process.wait()


@contextmanager
def helper_processes(commands: Sequence[Sequence[str]]) -> Iterator[None]:
    """Run `pbtnas ARGUMENTS` processes beside this one, as long as the context lasts.

    They say the same in the end, so only their messages are shown.  Left without an error, the
    context waits for their end: there is nothing left for them to do.  Else they are asked to
    stop, and their claims are handed back.  One that dies is not missed.
    """
    processes = [
        subprocess.Popen(
            python_command("-m", "pbtnas", *arguments),
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # Signals of the terminal reach only this process, which passes them on.
            start_new_session=True,
        )
        for arguments in commands
    ]
    try:
        yield
    except BaseException:
        for process in processes:
            process.send_signal(PASSED_ON)
        raise
    finally:
        for process in processes:
            process.wait()
