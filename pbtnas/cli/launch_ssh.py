"""The command that starts the workers of a run on several hosts over ssh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from pbtnas.cli.launching import (
    LaunchOptions,
    arguments_argument,
    coordinate_here,
    launch_options,
    planned,
)
from pbtnas.cli.shared import disk_errors
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.launch.ssh import Said
    from pbtnas.records.launches import Launch


@click.command()
@arguments_argument
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST[:N]",
    help="A host as ssh knows it, and how many workers it is to have; 1 if no number is given.",
)
@click.option(
    "--hosts",
    "host_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with such a host in each line.",
)
@click.option("--ssh", "ssh_command", default="ssh", show_default=True, help="The command of ssh.")
@launch_options("here", "first", "none", who="this process, one on the first host")
@click.option(
    "--dry-run", is_flag=True, help="Print what the first host is told, and start nothing."
)
def ssh(
    arguments: tuple[str, ...],
    hosts: tuple[str, ...],
    host_file: Path | None,
    ssh_command: str,
    dry_run: bool,
    **options: Unpack[LaunchOptions],
) -> None:
    """Start the workers of a run on several hosts, each in a session of its own.

    All hosts are told at once.  Each first checks that it sees the run's directory, that the
    directory does what a run needs, and that it has the task and its data.  Launching again starts
    what does not run any more.
    """
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.launch.ssh_scripts import parsed_hosts, start_script

    named = parsed_hosts([*(("--host", host) for host in hosts), *_lines(host_file)])
    if not named:
        raise UnfitLaunch("no host: give --host HOST:N, or --hosts FILE")
    details = {"hosts": [[share.host, share.workers] for share in named], "ssh": ssh_command}
    workers = sum(share.workers for share in named)
    root, plan = planned(arguments, "ssh", workers, details, **options)
    if dry_run:
        first = plan.coordinator == "first"
        click.echo(start_script(root, plan, named[0], 1, coordinator=first), nl=False)
        return
    by_ssh(root, plan)
    if plan.coordinator == "here":
        coordinate_here(plan)


def _lines(host_file: Path | None) -> list[tuple[str, str]]:
    """The lines of a host file that name a host, each with where it stands."""
    if host_file is None:
        return []
    with disk_errors(ExitCode.USAGE, place=host_file):
        lines = _text(host_file).splitlines()
    words = ((n, line.partition("#")[0].strip()) for n, line in enumerate(lines, 1))
    return [(f"{host_file}, line {number}:", word) for number, word in words if word]


def _text(file: Path) -> str:
    from pbtnas.regular_files import read_regular

    return read_regular(file, limit=1 << 20, follow=True).decode(errors="replace")


def by_ssh(root: Path, plan: Launch) -> None:
    """Record a launch, and start what is missing of it."""
    from pbtnas.launch import ssh as engine
    from pbtnas.store.launches import record_launch

    engine.hosts_of(plan)  # which raises where there are too few of them
    with disk_errors(ExitCode.USAGE, place=root):
        number = record_launch(root, plan)
    # A host that cannot be reached says so once.
    said = list(
        dict.fromkeys([*engine.stop_surplus(root, plan), *engine.start(root, plan, number)])
    )
    tell(said)
    started = sum(one.state == "started" for one in said)
    there = sum(one.state == "there" for one in said)
    click.echo(f"{root}: launch {number}: {started} started, {there} there already")
    end_if_failed(said)


def end_if_failed(said: list[Said]) -> None:
    """End the command with 1 where a host did not do what it was told."""
    if any(one.state in ("failed", "lives") for one in said):
        sys.exit(ExitCode.FAILED)


def tell(said: list[Said]) -> None:
    """Print what the hosts say, a line for each process."""
    from pbtnas.tabular import aligned

    rows = [(one.host, one.label or "-", one.state, one.text) for one in said]
    if rows:
        click.echo("\n".join(aligned([("host", "worker", "state", ""), *rows])))
