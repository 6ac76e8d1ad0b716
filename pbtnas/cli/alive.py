"""The command with which a scheduler's probe asks whether a worker lives."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pbtnas.cli.places import run_place
from pbtnas.cli.shared import leave
from pbtnas.errors import ExitCode, MachineTrouble
from pbtnas.store.bucket.address import is_url, local_directory


@click.command("worker-alive")
@click.argument("run", metavar="RUN_DIR", type=click.Path())
@click.argument("name", required=False)
def worker_alive(run: str, name: str | None) -> None:
    """Exit with 0 if a worker shows signs of life, and with 1 if it does not.

    Without NAME, of each worker that works on RUN_DIR in this container or on this machine, and
    with 1 if there is none.  A worker that waits for the run to begin lives, and so does one whose
    bucket cannot be reached.  Answers with the next heartbeat, or after `engine.lease_s` without
    one.
    """
    from pbtnas.engine.presence import workers_here
    from pbtnas.records.paths import safe

    try:
        named = None if name is None else safe(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    try:
        _check(run_place(run), named)
    except (MachineTrouble, OSError) as error:
        said = str(error)
        if isinstance(error, OSError):
            said = f"{error.filename or run}: {error.strerror or error}"
        # The worker waits until its bucket answers; another one in its place would, too.
        if named is None and is_url(run) and workers_here(local_directory(run)):
            click.echo(f"pbtnas: {said}; a worker of this machine is there", err=True)
        else:
            leave(ExitCode.FAILED, said)
    sys.exit(ExitCode.OK)


def _check(root: Path, name: str | None) -> None:
    """End the command unless the worker of that name, or each one of this machine, shows life.

    Raises what `shows_life` raises.
    """
    from pbtnas.engine.presence import workers_here
    from pbtnas.monitoring.alive import shows_life

    names = workers_here(root) if name is None else [name]
    if not names:
        leave(ExitCode.FAILED, f"{root}: no worker of this machine works on it")
    for worker in filter(None, names):
        if not shows_life(root, worker):
            leave(ExitCode.FAILED, f"{worker}: no sign of life")
