"""Options that several commands share, and how a command ends with a sentence."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.engine.signals import StopRequest

# click keeps the lines of a paragraph that begins so.
EXIT_CODES = "\n".join(
    ["\b", "Exit codes:", *(f"  {code.value:<4}{code.meaning}" for code in ExitCode)]
)

task_file_option = click.option(
    "--task", "task_file", metavar="FILE.py:Class", help="A task of your own, in a file."
)
scratch_option = click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of this machine for data and replay buffers.",
)


def _name_machine(_: click.Context, option: click.Parameter, name: str | None) -> None:
    """Let this process and all that it starts bear the name of this machine."""
    from pbtnas.records.paths import safe
    from pbtnas.store.identity import MACHINE

    if name is None:
        return
    try:
        os.environ[MACHINE] = safe(name)
    except ValueError as error:
        raise click.BadParameter(str(error), param=option) from error


machine_option = click.option(
    "--machine",
    metavar="NAME",
    envvar="PBTNAS_MACHINE",
    callback=_name_machine,
    expose_value=False,
    help="The name of this machine, where its host name is none (PBTNAS_MACHINE).",
)
parent_option = click.option(
    "--parent",
    type=int,
    metavar="PID",
    help="Stop, as by SIGTERM, when the process PID that started this one ends.",
)
overrides_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. run.seed=3."
)
devices_option = click.option(
    "--device", "devices", multiple=True, help="For the workers in turn; all GPUs if there are any."
)
run_dir_argument = click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
config_argument = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


def until_asked_to_stop(parent: int | None = None) -> StopRequest:
    """Heed signals from now on, and the end of the parent where its process id is given.

    Ends the command if the parent is gone already.
    """
    from pbtnas.engine.parent_death import stop_with_parent
    from pbtnas.engine.signals import StopRequest

    stop = StopRequest()
    if parent is not None:
        stop_with_parent(parent)
    if parent is not None and stop.asked:
        leave(ExitCode.STOPPED, f"process {parent}, which is to have started this one, is gone")
    return stop


def leave(code: ExitCode, text: str) -> NoReturn:
    """End the command with one sentence on stderr."""
    click.echo(f"pbtnas: {text}", err=True)
    raise SystemExit(code)


@contextmanager
def disk_errors(
    code: ExitCode, kind: type[OSError] = OSError, *, place: Path | None = None
) -> Iterator[None]:
    """End the command with the file and the reason, where the disk refuses something.

    Args:
        code: The code to exit with.
        kind: The errors that the user can mend; any other is unexpected.
        place: The place named where the error names no file.
    """
    try:
        yield
    except kind as error:
        leave(code, f"{error.filename or place}: {error.strerror or error}")


def load_task_of(section: Any, task_file: str | None) -> Any:
    """The task of a configuration's section `task`."""
    from pbtnas.tasks.loading import load_task

    return load_task(section.name, section.in_force, task_file=task_file, places=section.places)


def options_of(overrides: Sequence[str]) -> dict[str, Any]:
    """The options of a task that `--set` gives, where there is no configuration."""
    from pbtnas.config.yaml_source import read_override

    options: dict[str, Any] = {}
    for override in overrides:
        options |= read_override(f"task.{override.removeprefix('task.')}").value["task"]
    return options


def given(option: str, value: object) -> list[str]:
    """The words that pass an option on to another process; none for None."""
    return [] if value is None else [option, str(value)]


def quietly() -> list[str]:
    """The option that passes the user's wish for quiet on to another process."""
    return ["--quiet"] if logging.getLogger().level > logging.INFO else []


def worker_lines(
    directory: Path, count: int, devices: Sequence[str], common: Sequence[str]
) -> list[list[str]]:
    """The command line of each worker of this machine, on the devices in turn.

    Without devices, all GPUs; without GPUs, each worker decides.
    """
    from pbtnas.engine.devices import gpu_count

    devices = devices or [f"cuda:{i}" for i in range(gpu_count())]
    lines = []
    for i in range(count):
        device = given("--device", devices[i % len(devices)] if devices else None)
        slots = ["--slots", str(-(-count // len(devices)))] if devices else []
        lines.append([*quietly(), "worker", str(directory), *common, *device, *slots])
    return lines
