"""The command line: `pbtnas`, its errors, and the commands that search.

These modules (`cli*.py`) are the one place that prints and decides exit codes.

What a command does stands elsewhere; torch is imported only by the commands that need it.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import pbtnas
from pbtnas.cli import algorithms as cli_algorithms
from pbtnas.cli import compare as cli_comparing
from pbtnas.cli import evaluate as cli_results
from pbtnas.cli import inspect as cli_looking
from pbtnas.cli import networks as cli_models
from pbtnas.cli import study as cli_study
from pbtnas.cli import tasks as cli_tasks
from pbtnas.cli.inspect import print_status
from pbtnas.cli.shared import (
    EXIT_CODES,
    FAILED,
    HANDED_BACK,
    HELD,
    OK,
    UNEXPECTED,
    UNFIT,
    USAGE,
    config_argument,
    given,
    leave,
    load_task_of,
    overrides_option,
    quietly,
    run_dir_argument,
    scratch_option,
    task_file_option,
    worker_lines,
)
from pbtnas.logs import log_to_stderr


class _Group(click.Group):
    """Turns the errors of the package into one sentence on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        from pbtnas.config import ConfigError
        from pbtnas.config.algorithms import BrokenAlgorithm
        from pbtnas.records.envelope import RecordError
        from pbtnas.search.algorithms import NoParentsError
        from pbtnas.store.run_directory import NotARun

        try:
            return super().invoke(ctx)
        except (ConfigError, NotARun) as error:
            leave(USAGE, str(error))
        except (BrokenAlgorithm, NoParentsError, RecordError) as error:
            leave(FAILED, str(error))


@click.group(cls=_Group, epilog=EXIT_CODES)
@click.version_option(pbtnas.__version__)
@click.option("--quiet", is_flag=True, help="Say only what is wrong.")
def cli(quiet: bool) -> None:
    """Neural architecture search by Population Based Training over a shared directory."""
    log_to_stderr(quiet=quiet)


# -- searching ---------------------------------------------------------------------------------


@cli.command()
@config_argument
@run_dir_argument
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="How many.")
@click.option(
    "--device", "devices", multiple=True, help="For the workers in turn; all GPUs if there are any."
)
@task_file_option
@scratch_option
@overrides_option
def run(
    config: Path,
    run_dir: Path,
    workers: int,
    devices: tuple[str, ...],
    task_file: str | None,
    scratch: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Search on this machine: a coordinator and some workers, restarted when they die."""
    from pbtnas.config import load
    from pbtnas.engine.supervisor import keep_running

    load(config, overrides)  # a typo is better told once, and before anything starts
    common = [*given("--task", task_file), *given("--scratch", scratch)]
    sets = [part for override in overrides for part in ("--set", override)]
    head = [*quietly(), "coordinator", str(config), str(run_dir), *common, *sets]
    code = keep_running(head, worker_lines(run_dir, workers, devices, common))
    if code == OK:
        print_status(run_dir, as_json=False)
    sys.exit(code)


@cli.command()
@click.argument("arguments", nargs=-1, required=True, metavar="[CONFIG] RUN_DIR")
@task_file_option
@scratch_option
@overrides_option
@click.option("--dry-run", is_flag=True, help="Check everything, print the configuration, stop.")
def coordinator(
    arguments: tuple[str, ...],
    task_file: str | None,
    scratch: Path | None,
    overrides: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Coordinate a run: start it, or go on with it after whatever happened.

    Without CONFIG, the configuration stored in RUN_DIR is used.  Of a run that was started only
    the engine section can be changed; it never changes the outcome.
    """
    from pbtnas.config import from_json, load, to_json
    from pbtnas.engine import coordinator as coordinator_host
    from pbtnas.engine.devices import default_scratch
    from pbtnas.engine.run_setup import ChangedConfig
    from pbtnas.protocol.coordinator import BrokenChain
    from pbtnas.protocol.term import CoordinatorEnding
    from pbtnas.store.run_directory import open_run
    from pbtnas.tasks.base import TaskError

    if len(arguments) > 2:
        raise click.UsageError("expected [CONFIG] RUN_DIR")
    root = Path(arguments[-1])
    if len(arguments) == 2:
        config = load(Path(arguments[0]), overrides)
    else:
        config = from_json(open_run(root).config, overrides=overrides)
    try:
        task = load_task_of(config.task, task_file)
        if dry_run:
            click.echo(json.dumps(to_json(config), indent=2))
            return
        ending = coordinator_host.coordinate(
            root, config, task, scratch=scratch or default_scratch()
        )
    except (TaskError, ChangedConfig) as error:
        leave(USAGE, str(error))
    except BrokenChain as error:
        leave(FAILED, f"{error}; `pbtnas fsck {root}` says more")
    except PermissionError as error:
        leave(USAGE, f"{error.filename}: {error.strerror}")
    if ending in (CoordinatorEnding.HELD, CoordinatorEnding.SUPERSEDED):
        leave(HELD, f"{root}: {ending.value}{coordinator_host.holder_of(root)}")


@cli.command()
@run_dir_argument
@click.option("--device", help="A torch device; the first GPU if there is one, else cpu.")
@click.option(
    "--slots", default=1, show_default=True, type=click.IntRange(1), help="Workers a GPU may have."
)
@click.option(
    "--patience",
    default=600.0,
    show_default=True,
    help="Seconds to wait for a coordinator to start the run.",
)
@click.option("--parent", type=int, hidden=True, help="Stop when this process, its parent, dies.")
@cli_study.reuse_option
@task_file_option
@scratch_option
def worker(
    run_dir: Path,
    device: str | None,
    slots: int,
    patience: float,
    parent: int | None,
    reuse: bool,
    task_file: str | None,
    scratch: Path | None,
) -> None:
    """Work on a run, or on all runs of a study, until it is finished.

    Start one for each GPU, on any machine.
    """
    from pbtnas.engine import devices
    from pbtnas.engine import worker as worker_host
    from pbtnas.engine.parent_death import stop_with_parent
    from pbtnas.engine.signals import StopRequest
    from pbtnas.protocol.worker import WorkerEnding
    from pbtnas.store.study_directory import Study
    from pbtnas.study.worker import work_on_study

    scratch = scratch or devices.default_scratch()
    device = device or devices.default_device()
    try:
        devices.check_device(device)
        lock = devices.hold_device(device, slots)
    except (devices.DeviceBusy, devices.NoSuchDevice) as error:
        leave(USAGE, str(error))
    try:
        stop = StopRequest()
        if parent is not None:
            stop_with_parent(parent)
        found = worker_host.wait_for(run_dir, stop, patience)
        if found is None:
            ending = WorkerEnding.STOPPED
        elif isinstance(found, Study):
            ending = work_on_study(
                found, stop=stop, device=device, scratch=scratch, task_file=task_file, reuse=reuse
            )
        else:
            ending = worker_host.work(
                run_dir, found, stop=stop, device=device, scratch=scratch, task_file=task_file
            )
    finally:
        if lock is not None:
            lock.release()
    codes = {
        WorkerEnding.QUARANTINED: UNFIT,
        WorkerEnding.HANDED_BACK: HANDED_BACK,
        WorkerEnding.EXTINCT: FAILED,
    }
    sys.exit(codes.get(ending, OK))


for command in (
    cli_looking.status,
    cli_looking.fsck,
    cli_looking.doctor,
    cli_results.evaluate,
    cli_results.soup,
    cli_models.export,
    cli_models.play,
    cli_study.study,
    cli_comparing.compare,
    cli_comparing.plot,
    cli_comparing.report,
    cli_looking.space,
    cli_looking.config,
    cli_tasks.task,
    cli_algorithms.algorithm,
    cli_tasks.data,
):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None, *, prefix: bool = False) -> None:
    """Run the command line; with `prefix`, the arguments come before those of the process.

    What nobody expected must not look like 1, which says that trying again is of no use.
    """
    first = list(arguments or [])
    rest = sys.argv[1:] if prefix or arguments is None else []
    try:
        cli(first + rest, prog_name="pbtnas")
    except Exception:  # noqa: BLE001  (whatever it is: shown in full, and told by its own code)
        traceback.print_exc()
        sys.exit(UNEXPECTED)
