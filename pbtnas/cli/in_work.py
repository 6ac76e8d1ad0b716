"""Commands with which an operator changes what becomes of the generation in work."""

from __future__ import annotations

from pathlib import Path

import click

from pbtnas.cli.control import asked
from pbtnas.cli.shared import run_dir_argument


@click.command()
@run_dir_argument
def cancel(run_dir: Path) -> None:
    """End a run now, without finishing its generation.

    What is trained is handed back as by `pbtnas pause`, and all processes end as when the run is
    finished.  The generations before stay as they are, their best members can be evaluated and
    exported, and `pbtnas status` says who has cancelled the run.  Nothing takes this back: to go
    on later, use `pbtnas pause`, or `pbtnas stop` and `pbtnas extend`.
    """
    with asked(run_dir) as found:
        found.refuse_in_study("cancel")
        if found.steering.cancelled:
            click.echo(f"{run_dir}: is cancelled already")
            return
        found.refuse_if_over("there is nothing to cancel")
        found.give({"action": "cancel"})
