"""Finds out when the scheduler that has started this process will end it."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import time

from pbtnas.errors import ExitCode, PbtnasError

log = logging.getLogger("pbtnas")

END_TIME = "SLURM_JOB_END_TIME"
"""Variable with the end of a job, in seconds since the epoch; of Slurm since 23.02."""

JOB, ARRAY, TASK = "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"

ASK_S = 30.0  # for an answer of Slurm

WITHOUT_LIMIT = ("UNLIMITED", "NOT_SET")

_LEFT = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")


class NoTimeLimit(PbtnasError):
    """The scheduler says something that is no time."""

    exit_code = ExitCode.USAGE


def seconds_left() -> float | None:
    """Seconds until the scheduler ends this job, at least 0; None if nobody says that it will.

    Raises `NoTimeLimit` where the variable holds no number.
    """
    text = os.environ.get(END_TIME)
    if text:
        if not text.isdigit():
            raise NoTimeLimit(f"--until auto: {END_TIME}={text}: expected seconds since the epoch")
        return max(0.0, int(text) - time.time())
    job = slurm_job()
    return None if job is None else _told_by_slurm(job)


def slurm_job() -> str | None:
    """What Slurm calls the job of this process; None outside of one."""
    array, task = os.environ.get(ARRAY), os.environ.get(TASK)
    if array and task:
        return f"{array}_{task}"  # SLURM_JOB_ID is the whole array's in its last task
    return os.environ.get(JOB) or None


def _told_by_slurm(job: str) -> float | None:
    command = ["squeue", "--noheader", f"--jobs={job}", "--format=%L"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ASK_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (FileNotFoundError, subprocess.SubprocessError) as error:
        log.warning("--until auto: %s: %s; no end is known", " ".join(command), error)
        return None
    left_s = parsed(done.stdout.strip())
    if left_s is None and done.stdout.strip() not in WITHOUT_LIMIT:
        log.warning("--until auto: %s: said %r; no end is known", " ".join(command), done.stdout)
    return left_s


def parsed(text: str) -> float | None:
    """The seconds that Slurm means with "1-02:03:04" or "03:04"; None for anything else."""
    found = _LEFT.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
