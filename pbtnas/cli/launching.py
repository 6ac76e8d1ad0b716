"""What the commands that launch workers have in common."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from pbtnas.cli.shared import check_installed, check_logging, disk_errors, name_in
from pbtnas.errors import ExitCode
from pbtnas.store.bucket.address import is_url

if TYPE_CHECKING:
    from pbtnas.records.launches import Launch

arguments_argument = click.argument(
    "arguments", nargs=-1, required=True, metavar="[CONFIG] RUN_DIR"
)
setup_option = click.option(
    "--setup",
    multiple=True,
    metavar="CMD",
    help="A line of the shell before each worker and the coordinator, such as 'module load cuda'.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Of each worker; `auto` is the one that the scheduler has assigned.",
)


def checked_root(
    arguments: tuple[str, ...],
    task_file: str | None,
    overrides: tuple[str, ...],
    loggers: tuple[str, ...],
) -> Path:
    """The run directory that is meant; ends the command for what no job could work with."""
    from pbtnas.config import load
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.store.launches import is_over
    from pbtnas.store.run_directory import NotYetARun, open_run
    from pbtnas.store.study_directory import is_study

    if len(arguments) > 2:
        raise click.UsageError("expected [CONFIG] RUN_DIR")
    if is_url(arguments[-1]):
        raise UnfitLaunch(
            f"{arguments[-1]}: expected a directory that all machines see; for a run in a bucket, "
            "start `pbtnas worker URL` on each, or use `pbtnas launch k8s --bucket`"
        )
    root = Path(arguments[-1]).absolute()
    with disk_errors(ExitCode.USAGE, place=root):
        if is_study(root):
            raise UnfitLaunch(f"{root}: a study; launch one of its runs, or start its workers")
        if len(arguments) == 2:
            config = load(Path(arguments[0]), overrides, task=name_in(task_file))
            check_installed(config.task.name, task_file)
        try:
            open_run(root)
        except NotYetARun as error:
            if len(arguments) == 1:
                raise UnfitLaunch(f"{error}; give the CONFIG to start it with") from error
        if is_over(root):
            raise UnfitLaunch(f"{root}: the run is finished; there is nothing to launch")
    check_logging(loggers)
    return root


def name_of(root: Path, engine: str) -> str:
    """What the workers of a run are called by an engine: as in its launches before."""
    from pbtnas.store.launches import last_launches

    found = last_launches(root).get(engine)
    if found is not None:
        return found[1].name
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in root.name)[:40]
    return f"pbtnas-{readable}-{secrets.token_hex(3)}"


def coordinator_words(
    arguments: Sequence[str],
    root: Path,
    common: Sequence[str],
    overrides: Sequence[str],
    loggers: Sequence[str],
) -> list[str]:
    """The arguments of `pbtnas` for the coordinator of a launch."""
    return [
        *("coordinator", *arguments[:-1], str(root), *common),
        *(word for key in overrides for word in ("--set", key)),
        *(word for name in loggers for word in ("--log", name)),
    ]


def coordinate_here(plan: Launch) -> NoReturn:
    """Become the coordinator of a launch."""
    from pbtnas.child_python import become

    become("-m", "pbtnas", *plan.coordinate)
