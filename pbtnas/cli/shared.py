"""What the commands share: exit codes, options, and the way to end with a sentence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

OK, FAILED, USAGE, HELD, UNFIT, UNEXPECTED, HANDED_BACK = 0, 1, 2, 3, 69, 70, 75
EXIT_CODES = """\b
Exit codes:
  0   done, or stopped as asked
  1   cannot go on: no member left, broken or foreign records, a lost checkpoint
  2   wrong usage, configuration, task or directory
  3   another coordinator holds the run
  69  this machine failed three jobs in a row; its worker stopped
  70  an unexpected error, shown in full; `pbtnas run` tries again, twice in a row
  75  stopped as asked, a job (or an evaluation) was handed back unfinished
"""

task_file_option = click.option(
    "--task", "task_file", metavar="FILE.py:Class", help="A task of your own, in a file."
)
scratch_option = click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of this machine for data and replay buffers.",
)
overrides_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. run.seed=3."
)
run_dir_argument = click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
config_argument = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


def leave(code: int, text: str) -> NoReturn:
    click.echo(f"pbtnas: {text}", err=True)
    raise SystemExit(code)


def load_task_of(section: Any, task_file: str | None) -> Any:
    from pbtnas.tasks.loading import load_task

    return load_task(section.name, section.options, task_file=task_file, places=section.places)


def options_of(overrides: Sequence[str]) -> dict[str, Any]:
    import yaml

    pairs = (override.partition("=") for override in overrides)
    return {key.removeprefix("task."): yaml.safe_load(value) for key, _, value in pairs}


def given(option: str, value: object) -> list[str]:
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
