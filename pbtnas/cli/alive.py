"""The command with which a scheduler's probe asks whether a worker lives."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pbtnas.cli.shared import disk_errors, leave, run_dir_argument
from pbtnas.errors import ExitCode


@click.command("worker-alive")
@run_dir_argument
@click.argument("name", required=False)
def worker_alive(run_dir: Path, name: str | None) -> None:
    """Exit with 0 if a worker shows signs of life, and with 1 if it does not.

    Without NAME, of each worker that works on RUN_DIR in this container or on this machine, and
    with 1 if there is none.  A worker that waits for the run to begin lives.  Answers with the
    next heartbeat, or after `engine.lease_s` without one.
    """
    from pbtnas.engine.presence import workers_here
    from pbtnas.monitoring.alive import shows_life
    from pbtnas.records.paths import safe

    if name is not None:
        try:
            names = [safe(name)]
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="NAME") from error
    else:
        names = workers_here(run_dir)
        if not names:
            leave(ExitCode.FAILED, f"{run_dir}: no worker of this machine works on it")
    with disk_errors(ExitCode.FAILED, place=run_dir):
        for worker in filter(None, names):
            if not shows_life(run_dir, worker):
                leave(ExitCode.FAILED, f"{worker}: no sign of life")
    sys.exit(ExitCode.OK)
