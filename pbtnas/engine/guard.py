"""The command `python -m pbtnas.engine.guard`: keeps a training process below its worker.

Tasks start processes of their own (data loaders, encoders, simulators), some in a session of
their own, and the kernel ends a child with its parent, but not the child's children.  So a worker
starts this small process, and this one starts the training process.  When that ends, or when the
worker does, by whatever signal, the guard kills all that is left below it, and then ends as the
training process has ended.

The worker says on standard input what to start, as one line of JSON, and then holds it open for
as long as it lives.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from pbtnas.child_python import python_command, python_environment
from pbtnas.engine.descendants import adopt_orphans, kill_descendants, reap
from pbtnas.engine.forking import Forked, can_fork, fork_python
from pbtnas.engine.parent_death import end_with_parent
from pbtnas.engine.signals import STOP_SIGNALS

KILL_S = 10.0  # in which all that was killed should have ended
_PR_SET_DUMPABLE = 4


def main(line: bytes) -> NoReturn:
    """Start the training process, wait for an end, and see to it that nothing is left.

    Standard input ends with the worker.
    """
    if not line:
        sys.exit("the worker was gone before its training process began")
    adopt_orphans()
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    # The worker decides what a signal to all of them means.  Handled and not ignored: what is
    # ignored stays so in the training process and in all that it starts.
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, _only_wake)
    training = _start(json.loads(line))
    ended: dict[int, int] = {}
    while training.pid not in ended:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
        ended |= reap()
        if 0 in ready:
            break  # the worker is gone, or wants no more
    ended |= kill_descendants({training.pid} - ended.keys(), KILL_S)
    _end_as(ended.get(training.pid))


def _start(told: dict[str, Any]) -> subprocess.Popen[bytes] | Forked:
    guard = os.getpid()
    arguments = ("pbtnas.training", json.dumps({**told, "parent": guard}))

    def end_with_guard() -> None:
        end_with_parent(signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(1)
        for number in STOP_SIGNALS:  # until it has begun, and leaves them to its worker
            signal.signal(number, signal.SIG_IGN)

    training: subprocess.Popen[bytes] | Forked
    if can_fork():
        with Path(os.devnull).open("rb") as nothing:
            training = fork_python(
                *arguments, first=end_with_guard, keep=[told["fd"]], stdin=nothing.fileno()
            )
    else:
        training = subprocess.Popen(
            python_command("-m", *arguments),
            env=python_environment(),
            pass_fds=[told["fd"]],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_guard,  # before the seconds of imports; we have no threads
        )
    with suppress(BrokenPipeError):  # the worker is gone, as standard input will say
        os.write(told["fd"], json.dumps({"pid": training.pid}).encode() + b"\n")
    # Not closed here: the worker is to read the end of that file when all is over, not before.
    return training


def _only_wake(number: int, frame: object) -> None:
    """The signal has been written to the pipe already."""


def _end_as(status: int | None) -> NoReturn:
    """End with the exit code or by the signal of the training process."""
    code = 1 if status is None else os.waitstatus_to_exitcode(status)
    if code < 0:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # one core dump is enough
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main(sys.stdin.buffer.readline())
