"""Starts loggers beside a coordinator or worker, as processes of their own.

They only read the run.  However one ends, nobody here minds: `pbtnas log` tells later what is
missing.
"""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pbtnas.child_python import python_command, python_environment
from pbtnas.engine.signals import PASSED_ON

log = logging.getLogger("pbtnas")

LAST_LOOK_S = 60.0  # that they have in all to tell what came last


@contextmanager
def loggers_beside(root: Path, names: Sequence[str]) -> Iterator[None]:
    """Have these loggers told of a run as long as the context lasts, and of its end."""
    processes = [
        subprocess.Popen(
            python_command(
                *("-m", "pbtnas", "--quiet", "log", str(root), "--to", name),
                *("--follow", "--parent", str(os.getpid())),
            ),
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            # Signals of the terminal reach only this process, which passes them on.
            start_new_session=True,
        )
        for name in names
    ]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(PASSED_ON)
        until_s = time.monotonic() + LAST_LOOK_S
        for name, process in zip(names, processes, strict=True):
            try:
                process.wait(max(0.0, until_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("the logger %r does not end; it is left alone", name)
                process.kill()
                process.wait()
