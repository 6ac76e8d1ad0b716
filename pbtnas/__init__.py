"""pbtnas: neural architecture search by Population Based Training over a shared directory."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from pbtnas.version import __version__

__all__ = ["__version__", "check", "load"]


def load(
    directory: str | PathLike[str],
    which: str | None = None,
    *,
    task: str | None = None,
    accept_code_change: bool = False,
) -> Any:
    """The trained network of an export or a run: a `torch.nn.Module` on the CPU.

    A generator has `sample(n, seed)`, an agent `act(observation)`; every network can be called.
    See docs/using-networks.md.

    Args:
        directory: The directory of an export (`pbtnas export`) or of a run.
        which: The member of the run: "best-ever" (the default), "best-last", ...; of a run that is
            not finished, "best-so-far".
        task: "FILE.py:Class", for a task in a file of your own; only this makes code run.
        accept_code_change: Whether the run goes on with that code from now on, where it was begun
            with other code of the task; the run records it.

    Raises a `pbtnas.errors.PbtnasError` with one sentence: `pbtnas.store.run_directory.NotARun`,
    `pbtnas.networks.export_directory.NotAnExport`, `pbtnas.tasks.base.TaskError`,
    `pbtnas.store.task_code.OtherCode`,
    `pbtnas.checkpoints.files.CorruptCheckpoint`, or another for a damaged run or configuration.
    """
    from pbtnas.networks.loading import load_network  # torch: a status screen must not wait for it

    return load_network(Path(directory), which, task, accept=accept_code_change).network


def check(task: Any, *, rounds: int = 5, device: str = "cpu") -> list[str]:
    """What `pbtnas task check` finds wrong with a task: a sentence for each error and warning.

    For the test of a task: `assert pbtnas.check(MyTask()) == []`.

    Args:
        task: The task, as its class makes it.
        rounds: Pairs of random architectures that are trained and mixed.
        device: A torch device to train and evaluate on.
    """
    from pbtnas.tasks.checking.check import check as found
    from pbtnas.tasks.checking.report import Level
    from pbtnas.weights import mix_states

    findings = found(task, mix=mix_states, rounds=rounds, device=device)
    return [
        f"{finding.level}: {finding.sentence}\n{finding.detail}".strip()
        for finding in findings
        if finding.level is not Level.OK
    ]
