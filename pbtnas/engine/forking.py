"""Starts processes as copies of this one, which has imported what they would import for seconds.

`pbtnas run` has one process import torch, once and for all others: they are forked from it, within
milliseconds, and have its memory in common as long as nobody writes there.  A copy behaves as a
new `python -P -m MODULE` does: it has a session, signals, log and descriptors of its own.

A fork copies the thread that calls it and no other, so it must come before anything computes: what
another thread holds stays locked, and a library waits for its lost threads.  It must also come
before CUDA begins.  And libraries read their environment when they are loaded.  So a process is
forked only where it would find what a new one would; everywhere else, and on other systems than
Linux, a new one is started.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import logging
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from pbtnas.child_python import python_command, python_environment, run_as_main
from pbtnas.engine.process_title import show_as
from pbtnas.errors import ExitCode

IMPORTED = (
    *("numpy.random", "torch", "threadpoolctl", "pbtnas.cli.app", "pbtnas.training.trainer"),
    *("pbtnas.engine.coordinator", "pbtnas.engine.worker", "pbtnas.study.worker"),
)
"""What takes a coordinator, a worker and a training process their time to import; no task."""

# numpy's BLAS starts its threads when it is loaded.  A job sets their number before it begins.
_ONE = {"OPENBLAS_NUM_THREADS": "1"}

_imported = False


def import_once(environment: Mapping[str, str]) -> None:
    """Import what the processes need that are forked from this one, in the environment of a
    training process.  Raises what the imports raise."""
    global _imported
    os.environ.update(python_environment({**environment, **_ONE}))
    try:
        for name in IMPORTED:
            importlib.import_module(name)
    finally:
        os.environ.update(environment)
    gc.collect()
    gc.freeze()  # a collection would write to every page, and so copy it
    _imported = True


def can_fork(environment: Mapping[str, str] | None = None) -> bool:
    """Whether a process forked from this one is what a new one in that environment would be."""
    as_imported = all(os.environ.get(name) == told for name, told in (environment or {}).items())
    return _imported and as_imported and _threads() == 1


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


class Forked:
    """A child of this process, as `subprocess.Popen` has it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, or the negative number of the signal; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.  Raises `subprocess.TimeoutExpired`."""
        if timeout is not None and self.poll() is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                if not select.select([descriptor], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            finally:
                os.close(descriptor)
        code = self._reap(0)
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def fork(
    main: Callable[[], None],
    command: Sequence[str],
    *,
    first: Callable[[], None] = lambda: None,
    keep: Collection[int] = (),
    stdin: int = 0,
    output: int | None = None,
) -> Forked:
    """Call `main` in a copy of this process, in a session of its own.

    Args:
        main: What it does; its exit code is that of a Python program that does the same.
        command: The command line that it is shown with.
        first: What it does before any signal can reach it.
        keep: Descriptors that it has besides the standard ones.
        stdin: Its standard input.
        output: Its standard output and standard error; None for those of this process.
    """
    # A signal in its first moment must not meet the handlers of this process.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if not pid:

            def begin() -> None:
                _take_leave({0, 1, 2, *keep}, stdin, output)
                show_as(command)
                first()
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                main()

            _live(begin)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return Forked(pid)


def fork_python(
    module: str,
    *arguments: str,
    first: Callable[[], None] = lambda: None,
    keep: Collection[int] = (),
    stdin: int = 0,
) -> Forked:
    """Do in a copy of this process what `python -P -m MODULE ARGUMENTS` does."""
    return fork(
        lambda: run_as_main(module, arguments),
        python_command("-m", module, *arguments),
        first=first,
        keep=keep,
        stdin=stdin,
    )


def _take_leave(keep: Collection[int], stdin: int, output: int | None) -> None:
    """Leave behind what belongs to the process that was copied."""
    # Nothing of it is ever collected here: descriptors that it would close are others by then.
    gc.freeze()
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    if stdin != 0:
        os.dup2(stdin, 0)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    lowest = 0
    for descriptor in [*sorted(keep), os.sysconf("SC_OPEN_MAX")]:
        if lowest < descriptor:  # CPython 3.11 takes an empty range for a whole one
            os.closerange(lowest, descriptor)
        lowest = descriptor + 1
    logging.getLogger().handlers.clear()


def _live(begin: Callable[[], None]) -> NoReturn:
    """Do it, and end as a Python program does, without a return to the caller's frames."""
    code: int = ExitCode.UNEXPECTED
    try:
        try:
            begin()
            code = 0
        except SystemExit as ended:
            code = _code_of(ended)
        except BaseException:  # noqa: BLE001  (shown in full, as by the interpreter)
            traceback.print_exc()
            code = 1
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # as where it was closed before the program began
                stream.flush()
    finally:
        os._exit(code)


def _code_of(ended: SystemExit) -> int:
    if ended.code is None:
        return 0
    if isinstance(ended.code, int):
        return ended.code
    sys.stderr.write(f"{ended.code}\n")
    return 1
