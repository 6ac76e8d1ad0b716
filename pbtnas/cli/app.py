"""The command `pbtnas`: its subcommands, its exit codes, and the commands that search.

Only this folder prints and exits.  What a command does stands elsewhere; torch is imported by
the commands that need it, when they run.
"""

from __future__ import annotations

import io
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pbtnas.cli.examples import examples_of, with_examples
from pbtnas.cli.overview import write_overview
from pbtnas.cli.places import PlainPath, cache_options, run_place
from pbtnas.cli.shared import (
    EXIT_CODES,
    SECONDS_OR_FOREVER,
    accept_option,
    accepting,
    check_installed,
    check_logging,
    data_of,
    devices_option,
    disk_errors,
    given,
    is_verbose,
    leave,
    load_task_of,
    log_option,
    logging_of,
    machine_option,
    name_in,
    overrides_option,
    parent_option,
    queue_again,
    quietly,
    requeue_option,
    reuse_option,
    run_dir_argument,
    scratch_option,
    task_file_option,
    until_asked_to_stop,
    until_option,
    worker_lines,
)
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.logs import log_to_stderr
from pbtnas.version import __version__

if TYPE_CHECKING:
    from pbtnas.config import Config
    from pbtnas.engine.signals import StopRequest
    from pbtnas.protocol.work_loop import WorkerEnding


ELSEWHERE: Mapping[str, str] = {
    "algorithm": "algorithms",
    "cancel": "in_work",
    "compare": "compare",
    "config": "inspect",
    "controls": "control",
    "dashboard": "dashboard",
    "data": "tasks",
    "doctor": "inspect",
    "drain": "control",
    "estimate": "estimate",
    "evaluate": "evaluate",
    "export": "networks",
    "extend": "control",
    "fsck": "inspect",
    "launch": "launch",
    "log": "log",
    "logs": "logs",
    "member": "everybody",
    "members": "everybody",
    "new": "new",
    "note": "control",
    "pause": "control",
    "pin": "control",
    "play": "networks",
    "plot": "compare",
    "ranks": "ranks",
    "replay": "replay",
    "report": "compare",
    "resume": "control",
    "retry": "in_work",
    "show": "show",
    "soup": "evaluate",
    "space": "inspect",
    "status": "inspect",
    "stop": "control",
    "study": "study",
    "subnets": "subnets",
    "task": "tasks",
    "watch": "watch",
    "worker-alive": "alive",
    "workers": "everybody",
}
"""The module of this folder in which a command stands.  It is imported when the command is called:
`pbtnas status` would take half its time to import the others."""


class _Group(click.Group):
    """Finds the commands, and ends any with the sentence and the exit code of its error.

    Below the sentence stand the user's own frames, if there are any; all frames above it, if asked
    for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *ELSEWHERE})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in ELSEWHERE:
            module = import_module(f"pbtnas.cli.{ELSEWHERE[name]}")
            self.add_command(getattr(module, name.replace("-", "_")), name)
        found = super().get_command(ctx, name)
        return None if found is None else with_examples(found, name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        write_overview(formatter, {name: c for name, c in found.items() if c is not None})

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except PbtnasError as error:
            if is_verbose():
                traceback.print_exception(error.__cause__ or error)
            frames = "" if is_verbose() or not error.frames else f"\n{error.frames.rstrip()}"
            leave(error.exit_code, f"{error}{frames}")


@click.group(cls=_Group, epilog=f"{examples_of('')}\n\n{EXIT_CODES}")
@click.version_option(__version__)
@click.option("--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("-v", "--verbose", is_flag=True, help="Show every frame of an error in your task.")
def cli(quiet: bool, verbose: bool) -> None:
    """Neural architecture search by Population Based Training over a shared directory."""
    log_to_stderr(quiet=quiet)


# -- searching ---------------------------------------------------------------------------------


schedule_option = click.option(
    "--schedule-of",
    metavar="RUN",
    type=PlainPath(file_okay=False),
    help="Instead of CONFIG: train one member alone, from scratch, with the network of the best "
    "member at the end of that finished run and the ladders that its ancestors had.",
)


@cli.command()
@click.argument("arguments", nargs=-1, required=True, metavar="CONFIG RUN_DIR")
@schedule_option
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="How many; by default one for each GPU, or without GPUs for each processor core.",
)
@devices_option
@task_file_option
@accept_option
@scratch_option
@cache_options
@machine_option
@overrides_option
@log_option
@parent_option
def run(
    arguments: tuple[str, ...],
    schedule_of: Path | None,
    parent: int | None,
    loggers: tuple[str, ...],
    workers: int | None,
    devices: tuple[str, ...],
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Search on this machine: a coordinator and some workers, restarted when they die."""
    from pbtnas.cli.inspect import print_status
    from pbtnas.cli.live_panel import panel_on_terminal
    from pbtnas.cli.show import show_end
    from pbtnas.config import load
    from pbtnas.engine.fork_server import keep_running_forked
    from pbtnas.engine.parent_death import stop_with_parent
    from pbtnas.engine.worker import training_environment

    if parent is not None:
        stop_with_parent(parent)
    if len(arguments) != (2 if schedule_of is None else 1):
        raise _unexpected("CONFIG RUN_DIR", arguments)
    run_dir = run_place(arguments[-1])
    # A typo is better told once, and before anything starts.
    if schedule_of is None:
        checked = load(Path(arguments[0]), overrides, task=name_in(task_file))
    else:
        checked = _alone(schedule_of, overrides)
    check_installed(checked.task.name, task_file)
    check_logging([*loggers, *checked.logging.to])
    environment = training_environment([checked])
    common = [*given("--task", task_file), *given("--scratch", scratch), *accepting(accept)]
    sets = [part for override in overrides for part in ("--set", override)]
    head = [*quietly(), "coordinator", *arguments, *given("--schedule-of", schedule_of)]
    head += [*common, *sets, *(word for name in loggers for word in ("--log", name))]
    threads, most = checked.run.threads, checked.search.population
    lines = worker_lines(run_dir, workers, devices, common, threads=threads, most=most)
    with panel_on_terminal(run_dir):
        code = keep_running_forked(head, lines, environment)
    if code == ExitCode.OK:
        print_status(run_dir, as_json=False)
        show_end(run_dir, task_file)
    sys.exit(code)


@cli.command()
@click.argument("arguments", nargs=-1, required=True, metavar="[CONFIG] RUN_DIR")
@schedule_option
@task_file_option
@accept_option
@scratch_option
@cache_options
@machine_option
@overrides_option
@log_option
@until_option
@requeue_option
@parent_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check everything, data too, print the configuration, stop.",
)
def coordinator(
    arguments: tuple[str, ...],
    schedule_of: Path | None,
    until: float | None,
    requeue: str | None,
    parent: int | None,
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
    overrides: tuple[str, ...],
    loggers: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Coordinate a run: start it, or go on with it after whatever happened.

    Without CONFIG, the configuration stored in RUN_DIR is used.  Of a run that was started only
    the engine section can be changed; it never changes the outcome.
    """
    stop = until_asked_to_stop(parent, until)  # before the seconds in which torch is imported
    from pbtnas.config import to_json
    from pbtnas.engine.devices import default_scratch
    from pbtnas.processor import pin
    from pbtnas.protocol.coordinator import BrokenChain
    from pbtnas.protocol.operations import AskedToStop
    from pbtnas.protocol.term import CoordinatorEnding

    try:
        with disk_errors(ExitCode.USAGE, PermissionError):
            root, config = _run_and_config(
                arguments, schedule_of, overrides, name_in(task_file), stop
            )
            pin(config.run.cpu_capability)
            check_logging([*loggers, *config.logging.to])
            from pbtnas.engine.coordinator import coordinate, holder_of
            from pbtnas.engine.loggers_beside import loggers_beside
            from pbtnas.engine.run_setup import check_start, check_task
            from pbtnas.tasks.loading import complete_options

            task = load_task_of(config.task, task_file)
            check_task(config, task)
            if dry_run:
                check_start(config, task.space)
                click.echo(data_of(task), err=True)
                options = complete_options(task, config.task.in_force)
                stored = to_json(config, ladders=bool(task.space.ladders))
                whole = {**stored, "task": {"name": config.task.name, **options}}
                click.echo(json.dumps(whole, indent=2))
                return
            scratch = scratch or default_scratch()
            told = dict.fromkeys([*loggers, *(config.logging.to or logging_of(root))])
            with loggers_beside(root, list(told)):
                ending = coordinate(root, config, task, scratch=scratch, stop=stop, accept=accept)
    except AskedToStop:
        queue_again(requeue, stop, ExitCode.STOPPED)
        sys.exit(ExitCode.STOPPED)  # before anything was begun
    except BrokenChain as error:
        leave(error.exit_code, f"{error}; `pbtnas fsck {root}` says more")
    if ending in (CoordinatorEnding.HELD, CoordinatorEnding.SUPERSEDED):
        leave(ExitCode.HELD, f"{root}: {ending.value}{holder_of(root)}")
    over = ending in (CoordinatorEnding.FINISHED, CoordinatorEnding.CANCELLED)
    code = ExitCode.OK if over else ExitCode.STOPPED
    queue_again(requeue, stop, code)
    sys.exit(code)


def _run_and_config(
    arguments: Sequence[str],
    schedule_of: Path | None,
    overrides: Sequence[str],
    name: str | None,
    stop: StopRequest,
) -> tuple[Path, Config]:
    """What `[CONFIG] RUN_DIR` means: the directory, and the configuration given or stored there.

    That of `--schedule-of` is given.  `name` is that of the task where CONFIG names none.
    """
    from pbtnas.config import from_json, load
    from pbtnas.engine.driver import once_reachable
    from pbtnas.store.run_directory import open_run

    if len(arguments) > (2 if schedule_of is None else 1):
        raise _unexpected("[CONFIG] RUN_DIR", arguments)
    root = run_place(arguments[-1])
    if schedule_of is not None:
        return root, _alone(schedule_of, overrides)
    if len(arguments) == 2:
        return root, load(Path(arguments[0]), overrides, task=name)
    run = once_reachable(lambda: open_run(root), root, stop)
    return root, from_json(run.config, overrides=overrides, recorded=run.options)


def _unexpected(arguments: str, given: Sequence[str]) -> click.UsageError:
    """The error for other arguments than these."""
    setting = next((f"; a setting is given as --set {word}" for word in given if "=" in word), "")
    return click.UsageError(f"expected {arguments}, or --schedule-of RUN RUN_DIR{setting}")


def _alone(schedule_of: Path, overrides: Sequence[str]) -> Config:
    """The configuration of a run that trains the winner of another alone."""
    from pbtnas.analysis.schedules import alone

    with disk_errors(ExitCode.USAGE, place=schedule_of):
        return alone(schedule_of, overrides)


@cli.command()
@run_dir_argument
@click.option(
    "--device",
    help="A torch device; the first GPU if there is one, else cpu.  `auto`: the one that Slurm, "
    "torchrun or MPI has started this worker for.",
)
@click.option(
    "--slots", default=1, show_default=True, type=click.IntRange(1), help="Workers a GPU may have."
)
@click.option(
    "--patience",
    type=SECONDS_OR_FOREVER,
    default=600.0,
    show_default=True,
    metavar="SECONDS|forever",
    help="How long to wait for a coordinator to start the run.",
)
@until_option
@requeue_option
@parent_option
@reuse_option
@task_file_option
@accept_option
@scratch_option
@cache_options
@machine_option
@log_option
def worker(
    run_dir: Path,
    loggers: tuple[str, ...],
    device: str | None,
    slots: int,
    patience: float,
    until: float | None,
    requeue: str | None,
    parent: int | None,
    reuse: bool,
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
) -> None:
    """Work on a run, or on all runs of a study, until it is finished.

    Start one for each GPU, on any machine.
    """
    stop = until_asked_to_stop(parent, until)
    check_logging(loggers)
    from pbtnas.engine import devices
    from pbtnas.engine.loggers_beside import loggers_beside
    from pbtnas.protocol.work_loop import WorkerEnding
    from pbtnas.store.run_directory import make_directory

    scratch = scratch or devices.default_scratch()
    with disk_errors(ExitCode.USAGE, PermissionError, place=scratch):
        make_directory(scratch)
    named = False
    if device == "auto":
        device, named = devices.assigned_device()
    device = device or devices.default_device()
    devices.check_device(device)
    # Launchers that name the GPUs share them out, and may number those of each job from 0.
    lock = None if named else devices.hold_device(device, slots)
    try:
        with loggers_beside(run_dir, loggers):
            ending = _work(
                run_dir,
                patience,
                stop,
                device,
                scratch,
                task_file,
                accept=accept,
                reuse=reuse,
                silent=parent is not None,
            )
    finally:
        if lock is not None:
            lock.release()
    codes = {
        WorkerEnding.FINISHED: ExitCode.OK,
        WorkerEnding.CANCELLED: ExitCode.OK,
        WorkerEnding.DRAINED: ExitCode.OK,
        WorkerEnding.EXTINCT: ExitCode.FAILED,
        WorkerEnding.QUARANTINED: ExitCode.UNFIT,
        WorkerEnding.TASK_UNFIT: ExitCode.USAGE,
        WorkerEnding.STOPPED: ExitCode.STOPPED,
        WorkerEnding.HANDED_BACK: ExitCode.STOPPED,
    }
    queue_again(requeue, stop, codes[ending])
    sys.exit(codes[ending])


def _work(
    root: Path,
    patience: float,
    stop: StopRequest,
    device: str,
    scratch: Path,
    task_file: str | None,
    *,
    accept: bool,
    reuse: bool,
    silent: bool,
) -> WorkerEnding:
    """Work on what is in the directory, or will soon be: a run or a study.

    With `silent`, it does not say that it waits: whoever started it started a coordinator, too.
    """
    from pbtnas.engine.presence import note_presence
    from pbtnas.engine.worker import wait_for, work
    from pbtnas.protocol.work_loop import WorkerEnding
    from pbtnas.store.study_directory import Study
    from pbtnas.study.worker import work_on_study

    note_presence(root)
    with disk_errors(ExitCode.USAGE, PermissionError, place=root):
        found = wait_for(root, stop, patience, silent=silent)
    if found is None:
        return WorkerEnding.STOPPED
    if isinstance(found, Study):
        return work_on_study(
            found,
            stop=stop,
            device=device,
            scratch=scratch,
            task_file=task_file,
            reuse=reuse,
            accept=accept,
        )
    return work(
        root,
        found,
        stop=stop,
        device=device,
        scratch=scratch,
        task_file=task_file,
        accept=accept,
    )


def main(arguments: Sequence[str] | None = None, *, prefix: bool = False) -> None:
    """Run the command line; with `prefix`, the arguments come before those of the process.

    What nobody expected must not look like 1, which says that trying again is of no use.
    """
    first = list(arguments or [])
    rest = sys.argv[1:] if prefix or arguments is None else []
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files, metrics and options may hold what the terminal's encoding does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        cli(first + rest, prog_name="pbtnas")
    except Exception:  # noqa: BLE001  (whatever it is: shown in full, and told by its own code)
        traceback.print_exc()
        sys.exit(ExitCode.UNEXPECTED)
