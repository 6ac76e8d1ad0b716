"""What the commands that launch workers have in common."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypedDict, Unpack

import click

from pbtnas.child_python import become, scripts
from pbtnas.cli.shared import (
    accept_option,
    accepting,
    check_installed,
    check_logging,
    disk_errors,
    given,
    load_task_of,
    log_option,
    name_in,
    overrides_option,
    scratch_option,
    task_file_option,
)
from pbtnas.errors import ExitCode
from pbtnas.store.bucket.address import is_url

if TYPE_CHECKING:
    from pbtnas.config import Config
    from pbtnas.records.launches import Launch
    from pbtnas.store.run_directory import Run

arguments_argument = click.argument(
    "arguments", nargs=-1, required=True, metavar="[CONFIG] RUN_DIR"
)


class LaunchOptions(TypedDict):
    """What is launched: the options of all these commands."""

    coordinator: str
    device: str
    setup: tuple[str, ...]
    task_file: str | None
    accept: bool
    scratch: Path | None
    overrides: tuple[str, ...]
    loggers: tuple[str, ...]


def launch_options(
    *coordinators: str, who: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `LaunchOptions`.

    Args:
        coordinators: Who may coordinate; the first one does if nothing is said.
        who: The same in words.
    """
    in_order = (
        click.option(
            "--coordinator",
            type=click.Choice(coordinators),
            default=coordinators[0],
            show_default=True,
            help=f"Who coordinates: {who}, or somebody else.",
        ),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="Of each worker; `auto` is the one that the scheduler has assigned.",
        ),
        click.option(
            "--setup",
            multiple=True,
            metavar="CMD",
            help="A line of the shell before each worker and the coordinator, such as "
            "'module load cuda'.",
        ),
        task_file_option,
        accept_option,
        scratch_option,
        overrides_option,
        log_option,
    )

    def given_to(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(in_order):
            command = option(command)
        return command

    return given_to


def planned(
    arguments: tuple[str, ...],
    engine: str,
    workers: int,
    details: Mapping[str, Any],
    own: Sequence[str] = (),
    **options: Unpack[LaunchOptions],
) -> tuple[Path, Launch]:
    """The run that is meant, and its launch; ends the command for what no job could work with.

    Args:
        arguments: The configuration, if there is one, and the run.
        engine: Who starts the workers.
        workers: How many.
        details: What that engine has to know besides.
        own: Options of `pbtnas worker` under it, and of a coordinator that is a job.
        options: What is launched.
    """
    from pbtnas.records.launches import Launch

    root = _checked_root(arguments, options["task_file"], options["overrides"], options["loggers"])
    common = [
        *given("--task", options["task_file"]),
        *given("--scratch", options["scratch"]),
        *accepting(options["accept"]),
    ]
    return root, Launch(
        engine=engine,
        name=_name_of(root, engine),
        workers=workers,
        coordinator=options["coordinator"],
        directory=str(Path.cwd()),
        path=str(scripts()),
        worker=(
            *("worker", str(root), "--device", options["device"], "--patience", "forever"),
            *(*common, *own),
        ),
        coordinate=(
            *("coordinator", *arguments[:-1], str(root), *common),
            *(word for key in options["overrides"] for word in ("--set", key)),
            *(word for name in options["loggers"] for word in ("--log", name)),
            *(own if options["coordinator"] == "job" else ()),
        ),
        setup=options["setup"],
        options=details,
    )


def _checked_root(
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
        config = None
        if len(arguments) == 2:
            config = load(Path(arguments[0]), overrides, task=name_in(task_file))
            check_installed(config.task.name, task_file)
        run = None
        try:
            run = open_run(root)
        except NotYetARun as error:
            if config is None:
                raise UnfitLaunch(f"{error}; give the CONFIG to start it with") from error
        if is_over(root):
            raise UnfitLaunch(f"{root}: the run is finished; there is nothing to launch")
        if run is not None and (config is not None or overrides):
            _check_unchanged(root, run, config, overrides, task_file)
    check_logging(loggers)
    return root


def _check_unchanged(
    root: Path,
    run: Run,
    config: Config | None,
    overrides: tuple[str, ...],
    task_file: str | None,
) -> None:
    """Raise `ChangedConfig` where the coordinator would, while all workers waited for it."""
    from functools import partial

    from pbtnas.config import from_json
    from pbtnas.engine.run_setup import new_settings
    from pbtnas.tasks.loading import complete_options

    if config is None:
        config = from_json(run.config, overrides=overrides, recorded=run.options)
    task = load_task_of(config.task, task_file)
    new_settings(root, run, config, partial(complete_options, task))


def _name_of(root: Path, engine: str) -> str:
    """What the workers of a run are called by an engine: as in its launches before."""
    from pbtnas.store.launches import last_launches

    found = last_launches(root).get(engine)
    if found is not None:
        return found[1].name
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in root.name)[:40]
    return f"pbtnas-{readable}-{secrets.token_hex(3)}"


def coordinate_here(plan: Launch) -> NoReturn:
    """Become the coordinator of a launch."""
    become("-m", "pbtnas", *plan.coordinate)
