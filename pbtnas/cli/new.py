"""The command that writes a folder to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from pbtnas.cli.places import PlainPath
from pbtnas.cli.shared import disk_errors
from pbtnas.errors import ExitCode
from pbtnas.tasks.starters.writing import KINDS, class_name, write


@click.command()
@click.argument("directory", metavar="NAME", type=PlainPath())
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="One network that learns targets; a generator and a discriminator; an agent that learns "
    "by trial; or a task that writes out every method.",
)
def new(directory: Path, kind: str) -> None:
    """Write a folder with a task, its configuration, its test and a README, which runs at once.

    NAME is that of the folder, and of the module in it.
    """
    with disk_errors(ExitCode.USAGE, place=directory):
        paths = write(directory, kind)
    task = f"{directory.name}.py:{class_name(directory.name)}"
    for path in paths:
        click.echo(path)
    click.echo(
        "next:\n"
        f"  cd {directory}\n"
        f"  pbtnas task check {task}\n"
        f"  pbtnas run config.yaml runs/first --task {task}"
    )
