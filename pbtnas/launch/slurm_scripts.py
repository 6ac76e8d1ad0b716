"""Writes the two sbatch files of a launch: what a person would write, and can read and change."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from pbtnas.launch.errors import UnfitLaunch
from pbtnas.launch.sbatch_options import value_in_script, with_gpus, without_gpus
from pbtnas.records import paths
from pbtnas.records.launches import Launch


def worker_script(root: Path, launch: Launch) -> str:
    """The sbatch file of the workers: an array, with a worker in each task."""
    options = launch.options
    limit = f"%{options['at_once']}" if options["at_once"] else ""
    gres, more = with_gpus(options["gpus"], options["sbatch"])
    resources = {
        "time": options["time"],
        "gres": gres,
        "cpus-per-task": options["cpus"],
        "mem": options["mem"],
    }
    return _script(
        root,
        launch,
        f"{launch.workers} workers of the run in {root}, one a task.",
        {"job-name": launch.name, "array": f"0-{launch.workers - 1}{limit}"},
        resources,
        more,
        "worker-%a.log",
        launch.worker,
    )


def coordinator_script(root: Path, launch: Launch) -> str:
    """The sbatch file of the coordinator."""
    options = launch.options
    return _script(
        root,
        launch,
        f"The coordinator of the run in {root}; it needs no GPU.",
        {"job-name": coordinator_name(launch)},
        {"time": options["time"]},
        [*without_gpus(options["sbatch"]), *options["coordinator_sbatch"]],
        "coordinator.log",
        launch.coordinate,
    )


def coordinator_name(launch: Launch) -> str:
    """What the coordinator's job is called."""
    return f"{launch.name}-coordinator"


def _script(
    root: Path,
    launch: Launch,
    about: str,
    job: Mapping[str, object],
    resources: Mapping[str, object],
    more: Sequence[str],
    log: str,
    arguments: Sequence[str],
) -> str:
    log_file = root / paths.LAUNCH / log
    pairs = [option.partition("=") for option in more]
    named = {key: f"{key}={value_in_script(value)}" if e else key for key, e, value in pairs}
    directives = [
        *(f"{key}={value}" for key, value in job.items()),
        *(
            f"{key}={value_in_script(str(value))}"
            for key, value in resources.items()
            if value is not None and key not in named
        ),
        *named.values(),
        f"chdir={_quoted(launch.directory)}",
        f"output={_quoted(str(log_file))}",
        "open-mode=append",
        "requeue",
    ]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH --{directive}" for directive in directives),
            "#",
            f"# {about}",
            "# Slurm reads this file when it is submitted.  Before its time ends, the process",
            "# hands back what it does, and has its job queued again; not when it is cancelled,",
            "# or the run is finished.",
            "",
            f'export PATH={shlex.quote(launch.path)}:"$PATH"',
            *launch.setup,
            f"exec pbtnas {shlex.join(arguments)}",
            "",
        ]
    )


def _quoted(path: str) -> str:
    """A path as sbatch reads it in a directive, where % begins a pattern of its own."""
    name = path.rpartition("/")[2]
    directory = path.removesuffix(name)
    if any(c in directory for c in '%\\"\n') or any(c in name for c in '\\"\n'):
        raise UnfitLaunch(
            f'{path}: sbatch reads %, \\ and " in another way; take another directory'
        )
    return f'"{path}"' if re.search(r"\s", path) else path
