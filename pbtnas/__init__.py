"""pbtnas: neural architecture search by Population Based Training over a shared directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbtnas.version import __version__

if TYPE_CHECKING:
    from pbtnas.api.opened import OpenedRun

# Not `open`: a star must not hide Python's own.
__all__ = ["__version__", "check", "load", "run", "work"]


def run(
    config: str | PathLike[str] | Mapping[str, Any],
    run_dir: str | PathLike[str],
    *,
    workers: int | None = None,
    task: type | str | None = None,
    devices: Sequence[str] = (),
    overrides: Sequence[str] = (),
    log: Sequence[type | str] = (),
    scratch: str | PathLike[str] | None = None,
    accept_code_change: bool = False,
) -> OpenedRun:
    """Search, as `pbtnas run` does, and return the finished run; see docs/python.md.

    A run that was begun goes on.  Ctrl-C, or a notebook's interrupt, hands the jobs back; the same
    call goes on from there.

    Args:
        config: The file of a configuration, or the same as a dictionary of sections.
        run_dir: The run directory, made if missing.
        workers: How many; by default one for each GPU, or without GPUs for each processor core.
        task: The class of a task of your own, in a module or in the script that runs; or its name
            as `--task` takes it, "FILE.py:Class".  None for the installed task that `task.name`
            names.
        devices: Of the workers in turn; all GPUs if there are any.
        overrides: Overrides of the configuration, such as "run.seed=3".
        log: Loggers to be told of it, such as "tensorboard", or classes of your own.
        scratch: Directory of this machine for data and replay buffers.
        accept_code_change: Whether the run goes on with other code of the task.

    Raises a `pbtnas.errors.PbtnasError` with one sentence: `pbtnas.config.ConfigError` for a wrong
    configuration, `pbtnas.api.classes.NotImportable` for a task that other processes cannot
    import, and `pbtnas.api.running.SearchEnded` where the search ends before it is finished,
    and its kind `pbtnas.api.running.SearchCancelled` where an operator has cancelled it.
    """
    from pbtnas.api.running import run_search
    from pbtnas.store.opening import place_of

    return run_search(
        config if isinstance(config, Mapping) else Path(config),
        place_of(run_dir),
        workers=workers,
        task=task,
        devices=devices,
        overrides=overrides,
        loggers=log,
        scratch=None if scratch is None else Path(scratch),
        accept=accept_code_change,
    )


def work(
    run: str | PathLike[str],
    device: str | None = None,
    until: float | str | None = None,
    *,
    task: type | str | None = None,
    machine: str | None = None,
    slots: int = 1,
    patience: float = float("inf"),
    scratch: str | PathLike[str] | None = None,
    log: Sequence[str] = (),
) -> bool:
    """Work on a run, as `pbtnas worker` does: the whole of a worker, for any engine to call.

    See docs/python.md.  The worker is a process of its own, so this may be
    called from any thread; call it once for each GPU.  An exception raised in the calling thread
    meanwhile (Ctrl-C, an engine's exit) asks the worker to hand its job back, and waits for that.
    If this process is killed, the worker hands back and ends too.

    Args:
        run: The run directory, also of a run that nobody has started yet, or of a study.
        device: A torch device; by default the one that the engine has assigned to this process
            (CUDA_VISIBLE_DEVICES and the like), else the first GPU, else the CPU.
        until: Seconds after which the worker hands its job back and returns, or "auto": the time
            that the scheduler of this machine sets.
        task: The class of a task of your own, or "FILE.py:Class", as for `run`.
        machine: The name of this machine, where containers hide it.
        slots: Workers that may share the GPU.
        patience: Seconds to wait for somebody to start the run.
        scratch: Directory of this machine for data and replay buffers.
        log: Loggers to be told of the run, as for `pbtnas worker --log`.

    Returns True when there is nothing more to do (the run is finished, or an operator has drained
    this worker), and False when it was stopped before: calling again goes on from there.

    Raises a `pbtnas.errors.PbtnasError` with one sentence: `pbtnas.api.working.WorkerEnded`, with
    the exit code of the worker as `code`, and `pbtnas.api.classes.NotImportable`.
    """
    from pbtnas.api.working import work_on

    return work_on(
        Path(run),
        device=device,
        until=until,
        task=task,
        machine=machine,
        slots=slots,
        patience=patience,
        scratch=None if scratch is None else Path(scratch),
        loggers=log,
    )


def open(run_dir: str | PathLike[str], *, task: type | str | None = None) -> OpenedRun:
    """Look at a run, also while it goes on; see docs/python.md.

    Args:
        run_dir: The run directory, or the URL of a run in a bucket.
        task: The class of a task of your own, or "FILE.py:Class"; only `load` needs it.

    Raises `pbtnas.store.run_directory.NotARun` where there is no run.
    """
    from pbtnas.api.classes import words_of
    from pbtnas.api.opened import OpenedRun
    from pbtnas.store.opening import place_of

    return OpenedRun(place_of(run_dir), words_of(task))


def load(
    directory: str | PathLike[str],
    which: str | None = None,
    *,
    task: type | str | None = None,
    accept_code_change: bool = False,
) -> Any:
    """The trained network of an export or a run: a `torch.nn.Module` on the CPU.

    A generator has `sample(n, seed)`, an agent `act(observation)`; every network can be called.
    See docs/using-networks.md.

    Args:
        directory: The directory of an export (`pbtnas export`) or of a run, or
            the URL of a run in a bucket.
        which: The member of the run: "best-ever" (the default), "best-last", ...; of a run that is
            not finished, "best-so-far".
        task: "FILE.py:Class" or the class, for a task of your own; only this makes code run.
        accept_code_change: Whether the run goes on with that code from now on, where it was begun
            with other code of the task; the run records it.

    Raises a `pbtnas.errors.PbtnasError` with one sentence: `pbtnas.store.run_directory.NotARun`,
    `pbtnas.networks.export_directory.NotAnExport`, `pbtnas.tasks.base.TaskError`,
    `pbtnas.store.task_code.OtherCode`,
    `pbtnas.checkpoints.files.CorruptCheckpoint`, or another for a damaged run or configuration.
    """
    from pbtnas.api.classes import words_of
    from pbtnas.networks.loading import load_network  # torch: a status screen must not wait for it
    from pbtnas.store.opening import place_of

    words = words_of(task)
    return load_network(place_of(directory), which, words, accept=accept_code_change).network


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
