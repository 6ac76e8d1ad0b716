"""The command that tells TensorBoard, Weights & Biases, MLflow or a class of yours of a run."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from pbtnas.cli.places import RunPath
from pbtnas.cli.shared import disk_errors, parent_option, until_asked_to_stop
from pbtnas.errors import ExitCode


@click.command()
@click.argument("directory", metavar="RUN_DIR|STUDY_DIR", type=RunPath())
@click.option(
    "--to",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="tensorboard, wandb, mlflow, an installed logger, or FILE.py:Class.",
)
@click.option("--follow", is_flag=True, help="Go on until the run is finished.")
@parent_option
def log(directory: Path, names: tuple[str, ...], follow: bool, parent: int | None) -> None:
    """Tell other tools what the records of a run say: metrics, and what its task has logged.

    Each thing is told once, however often the command is given, so it can be attached to a run at
    any time.  It changes nothing of the run, and writes below RUN_DIR/log.

    For example: pbtnas log runs/digits --to tensorboard; tensorboard --logdir runs/digits
    """
    if follow and len(names) > 1:
        raise click.UsageError("--follow takes one --to")
    stop = until_asked_to_stop(parent) if follow else None
    from pbtnas.loggers import carrying
    from pbtnas.loggers.loading import check_loggers, directory_name, make_logger

    check_loggers(names)
    with disk_errors(ExitCode.FAILED, place=directory):
        for name in names:
            where, make = directory_name(name), partial(make_logger, name)
            if stop is not None:
                carrying.follow(directory, where, make, stop)
            else:
                carrying.tell_once(directory, where, make)
