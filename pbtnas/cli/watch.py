"""The command that follows a run or a study on the terminal while it goes on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from pbtnas.cli.shared import disk_errors, run_dir_argument
from pbtnas.errors import ExitCode


@click.command()
@run_dir_argument
def watch(run_dir: Path) -> None:
    """Follow a run or a study live: progress, members in colours, workers, what happened last.

    It only reads: Ctrl-C ends the watching and leaves the run alone.  Without a terminal it prints
    lines; NO_COLOR=1 does without colours.
    """
    from rich.console import Console

    from pbtnas.cli.inspect import print_status
    from pbtnas.monitoring.watching import watch as show
    from pbtnas.monitoring.watching import watched

    with (
        suppress(KeyboardInterrupt),  # how one stops looking is no error
        disk_errors(ExitCode.FAILED, place=run_dir),
    ):
        console = Console()
        show(watched(run_dir), console)
        if console.is_terminal:  # which the live screen has given back as it was
            print_status(run_dir, as_json=False)
