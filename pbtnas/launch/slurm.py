"""Asks Slurm, by its own commands, to start, list and cancel the jobs of a run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pbtnas.engine.time_limit import slurm_job
from pbtnas.launch.errors import EngineTrouble
from pbtnas.launch.slurm_scripts import coordinator_name
from pbtnas.records.launches import Launch

ANSWER_S = 120.0  # for an answer of Slurm, which a busy controller may take long for
_FORMAT = "%F|%K|%j|%T|%M|%N|%r"


@dataclass(frozen=True)
class SlurmJob:
    """A job of a run that Slurm knows.

    Args:
        id: What Slurm's commands call it: JOB, or JOB_TASK in an array.
        task: Number of the worker; None for the coordinator.
        state: Slurm's word for its state, such as RUNNING.
        elapsed: How long it has run, in Slurm's way of writing it.
        node: Where it runs; "" where it does not.
        reason: Why it does not run, in Slurm's word.
    """

    id: str
    task: int | None
    state: str
    elapsed: str
    node: str
    reason: str


def has_slurm() -> bool:
    """Whether this machine has the commands of Slurm."""
    return shutil.which("sbatch") is not None


def submit(script: Path, tasks: Sequence[int] = (), at_once: int | None = None) -> str:
    """Submit a script, of an array only these tasks; returns the number of the job.

    Raises `EngineTrouble`.
    """
    limit = f"%{at_once}" if at_once else ""
    array = [f"--array={ranges(tasks)}{limit}"] if tasks else []
    said = _call("sbatch", "--parsable", *array, str(script))
    return said.strip().partition(";")[0]


def jobs_of(launch: Launch) -> list[SlurmJob]:
    """The jobs of a run that are pending, running or just ending.  Raises `EngineTrouble`."""
    names = f"{launch.name},{coordinator_name(launch)}"
    said = _call("squeue", "--noheader", "--array", f"--name={names}", f"--format={_FORMAT}")
    return sorted(map(_job, filter(None, said.splitlines())), key=lambda j: (j.task or -1, j.id))


def _job(line: str) -> SlurmJob:
    job, task, name, state, elapsed, node, reason = line.split("|", 6)
    is_task = task.isdigit()
    return SlurmJob(
        f"{job}_{task}" if is_task else job,
        None if name.endswith("-coordinator") else int(task) if is_task else 0,
        state,
        elapsed,
        node,
        "" if reason == "None" else reason,
    )


def cancel(jobs: Sequence[SlurmJob], *, now: bool = False) -> None:
    """Cancel jobs, which hand back what they do; with `now`, end them without that.

    Raises `EngineTrouble`.
    """
    waiting = [job.id for job in jobs if job.state == "PENDING"]
    running = [job.id for job in jobs if job.state != "PENDING"]
    if not now:
        waiting, running = [*waiting, *running], []
    if waiting:
        # They come first: they would take the place of those that are killed.
        _call("scancel", *waiting)
    if running:
        # Without --batch, it is a cancellation like any other.
        _call("scancel", "--signal=KILL", "--batch", *running)
        _call("scancel", *running, may_fail=True)  # most have ended by now


def requeue_this_job() -> str:
    """Have Slurm queue the job of this process again; of an array, this task only.

    Returns what it is called.  Raises `EngineTrouble`.
    """
    job = this_job()
    _call("scontrol", "requeue", job)
    return job


def this_job() -> str:
    """What Slurm calls the job of this process.  Raises `EngineTrouble` outside of one."""
    job = slurm_job()
    if job is None:
        raise EngineTrouble("--requeue slurm: this is no job of Slurm (SLURM_JOB_ID is not set)")
    return job


def ranges(tasks: Iterable[int]) -> str:
    """The numbers of tasks as sbatch reads them: "0-3,5"."""
    parts: list[list[int]] = []
    for task in sorted(tasks):
        if parts and parts[-1][-1] == task - 1:
            parts[-1][1:] = [task]
        else:
            parts.append([task])
    return ",".join("-".join(map(str, part)) for part in parts)


def _call(*command: str, may_fail: bool = False) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise EngineTrouble(f"this machine has no {command[0]}: run this where Slurm is") from None
    except subprocess.TimeoutExpired:
        raise EngineTrouble(f"{command[0]}: no answer within {ANSWER_S:g} s") from None
    if done.returncode and not may_fail:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise EngineTrouble(f"{' '.join(command[:2])}: {said}")
    return done.stdout
