"""Finds out when the scheduler that has started this process will end it."""

from __future__ import annotations

import os
import time

from pbtnas.errors import ExitCode, PbtnasError

END_TIME = "SLURM_JOB_END_TIME"
"""Variable with the end of a job, in seconds since the epoch.  Slurm sets it in every job that has
a time limit, at each start anew."""


class NoTimeLimit(PbtnasError):
    """The scheduler says something that is no time."""

    exit_code = ExitCode.USAGE


def seconds_left() -> float | None:
    """Seconds until the scheduler ends this job, at least 0; None if nobody says that it will.

    Raises `NoTimeLimit` where the variable holds no number.
    """
    text = os.environ.get(END_TIME)
    if not text:
        return None
    if not text.isdigit():
        raise NoTimeLimit(f"--until auto: {END_TIME}={text}: expected seconds since the epoch")
    return max(0.0, int(text) - time.time())
