"""The command that prints what a run has to say: its events, a member's log, a worker's log."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from pbtnas.cli.everybody import json_option, slot_of
from pbtnas.cli.shared import disk_errors, run_dir_argument
from pbtnas.errors import ExitCode

PAUSE_S = 1.0


@click.command()
@run_dir_argument
@click.option("--member", "name", metavar="M", help="Of one member, e.g. 07: and what it logged.")
@click.option("--worker", metavar="NAME", help="What the tasks on this worker printed.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over, or Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="Only the last N.")
@json_option
def logs(
    run_dir: Path,
    name: str | None,
    worker: str | None,
    follow: bool,
    lines: int | None,
    as_json: bool,
) -> None:
    """What has happened in a run, by its records: results, failures, births, selections.

    With --member, only of that slot, and with the lines that the task logged in each attempt
    (`context.log`).  With --worker, what the training process of that worker printed; NAME may be
    a part of the name.  Coordinator and workers print their own messages, which are not kept in
    the directory.
    """
    from pbtnas.monitoring.log_lines import RunLog, WorkerLog

    if name is not None and worker is not None:
        raise click.UsageError("give --member or --worker, not both")
    with suppress(KeyboardInterrupt), disk_errors(ExitCode.FAILED, place=run_dir):
        if worker is None:
            log: RunLog | WorkerLog = RunLog(run_dir, None if name is None else slot_of(name))
        else:
            log = WorkerLog(run_dir, worker)
        found = log.new()
        over = not follow or _over(run_dir)
        rest = log.rest() if over and isinstance(log, WorkerLog) else []
        whole = [*found, *rest]
        _print(whole if lines is None else whole[len(whole) - min(lines, len(whole)) :], as_json)
        while not over:
            time.sleep(PAUSE_S)
            over = _over(run_dir)  # before the last look, which has all that came before the end
            _print(log.new(), as_json)
        if follow and isinstance(log, WorkerLog) and not rest:
            _print(log.rest(), as_json)


def _over(directory: Path) -> bool:
    from pbtnas.monitoring.progress import status
    from pbtnas.store.study_directory import is_study, open_study

    if is_study(directory):
        return bool(open_study(directory).ended())
    return status(directory, now=time.time()).over


def _print(found: list[dict[str, Any]], as_json: bool) -> None:
    for row in found:
        click.echo(json.dumps(row) if as_json else row["line"])
