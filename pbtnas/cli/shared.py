"""Options that several commands share, and how a command ends with a sentence."""

from __future__ import annotations

import errno
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from pbtnas.cli.places import PlainPath, RunPath, as_typed
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.engine.signals import StopRequest

TEMPORARY_FILES = "the directory of temporary files, which TMPDIR names"

# click keeps the lines of a paragraph that begins so.
EXIT_CODES = "\n".join(
    ["\b", "Exit codes:", *(f"  {code.value:<4}{code.meaning}" for code in ExitCode)]
)


def complete_file(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
    """What a shell offers for FILE.py:Class: the files."""
    return [CompletionItem(begun, type="file")]


task_file_option = click.option(
    "--task",
    "task_file",
    shell_complete=complete_file,
    metavar="FILE.py:Class",
    envvar="PBTNAS_TASK",
    help="A task of your own, in a file, or in a package as MODULE:Class (PBTNAS_TASK); task.name "
    "is the class, if not given.",
)
accept_option = click.option(
    "--accept-code-change",
    "accept",
    is_flag=True,
    help="Go on with the code of the task as it is here, where the run has another; it is recorded "
    "and holds for all from now on.",
)
scratch_option = click.option(
    "--scratch",
    type=PlainPath(file_okay=False),
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


class Seconds(click.ParamType):  # type: ignore[type-arg]  # which click 8.1 has none of
    """A number of seconds, or one word that stands for another.

    Args:
        word: The word.
        meaning: The function that gives the seconds that it stands for; None for no limit.
    """

    name = "seconds"

    def __init__(self, word: str, meaning: Callable[[], float | None]) -> None:
        self._word = word
        self._meaning = meaning

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """The seconds; ends the command for anything that is neither."""
        if value == self._word:
            return self._meaning()
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < math.inf:
            self.fail(f"{value!r}: expected a number of seconds, or {self._word}", param, ctx)
        return seconds


def _scheduled() -> float | None:
    from pbtnas.engine.time_limit import seconds_left

    return seconds_left()


def _check_job(_: click.Context, __: click.Parameter, requeue: str | None) -> str | None:
    """Learn at the start, and not after hours, that this is no job of a scheduler."""
    if requeue is not None:
        from pbtnas.launch.slurm import this_job

        this_job()
    return requeue


SECONDS_OR_FOREVER = Seconds("forever", lambda: math.inf)
until_option = click.option(
    "--until",
    type=Seconds("auto", _scheduled),
    metavar="SECONDS|auto",
    help="Stop in time to have left in so many seconds; `auto`: when the job's time limit ends, "
    "if the scheduler says when.",
)
requeue_option = click.option(
    "--requeue",
    type=click.Choice(["slurm"]),
    callback=_check_job,
    help="Have that scheduler queue this job again when its time ends, or it is asked to stop by "
    "SIGUSR1 or SIGUSR2: not when the run is finished, nor when it was cancelled.",
)
parent_option = click.option(
    "--parent",
    type=int,
    metavar="PID",
    help="Stop, as by SIGTERM, when the process PID that started this one ends.",
)
reuse_option = click.option(
    "--reuse/--no-reuse",
    default=True,
    show_default=True,
    help="Take over what other runs of the study have computed already.",
)
overrides_option = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. run.seed=3."
)
devices_option = click.option(
    "--device", "devices", multiple=True, help="For the workers in turn; all GPUs if there are any."
)
log_option = click.option(
    "--log",
    "loggers",
    multiple=True,
    metavar="NAME",
    help="Tell tensorboard, wandb, mlflow, an installed logger or FILE.py:Class, in a process of "
    "its own; see `pbtnas log`.",
)
format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "markdown", "latex"]),
    default="text",
    show_default=True,
    help="Of what is printed.",
)
reference_point_option = click.option(
    "--reference-point",
    metavar="VALUE,VALUE",
    help="Of several objectives: what the hypervolume is measured against, a value for each, in "
    "the order of search.objectives, worse than those of every member that no other dominates.",
)
run_dir_argument = click.argument("run_dir", type=RunPath())
config_argument = click.argument("config", type=PlainPath(dir_okay=False))


log = logging.getLogger(__name__)


def until_asked_to_stop(parent: int | None = None, until_s: float | None = None) -> StopRequest:
    """Heed signals from now on, the end of the parent where its process id is given, and the end
    of the time where it is known.

    Ends the command if the parent is gone already.
    """
    from pbtnas.engine.parent_death import stop_with_parent
    from pbtnas.engine.signals import StopRequest

    stop = StopRequest()
    if until_s is not None:
        stop.end_in(until_s)
    if parent is not None:
        stop_with_parent(parent)
    if parent is not None and stop.asked_by_signal:
        leave(ExitCode.STOPPED, f"process {parent}, which is to have started this one, is gone")
    return stop


def pin_as(run_dir: Path, stop: StopRequest) -> None:
    """Let this process compute as the run in a directory is pinned, before torch is imported.

    Ends the command if it is asked to stop while the directory cannot be reached.  Raises
    `NotARun`, `RecordError`, `ConfigError` and `UnfitProcessor`.
    """
    from pbtnas.config import from_json
    from pbtnas.engine.driver import once_reachable
    from pbtnas.processor import pin
    from pbtnas.protocol.operations import AskedToStop
    from pbtnas.store.run_directory import open_run

    try:
        run = once_reachable(lambda: open_run(run_dir), run_dir, stop)
    except AskedToStop:
        raise SystemExit(ExitCode.STOPPED) from None
    pin(from_json(run.config).run.cpu_capability)


def queue_again(requeue: str | None, stop: StopRequest, code: int) -> None:
    """Have the scheduler queue this job again, if it is to and was only stopped by its time.

    Who was cancelled is not to come back, and whom Slurm preempts it queues again itself.
    """
    if requeue is None or code != ExitCode.STOPPED or stop.cancelled:
        return
    from pbtnas.launch.errors import EngineTrouble
    from pbtnas.launch.slurm import requeue_this_job

    try:
        log.info("job %s is queued again", requeue_this_job())
    except EngineTrouble as error:
        log.warning("%s; `pbtnas launch slurm` submits this job again", error)


def check_logging(names: Iterable[str]) -> None:
    """Raise `UnknownLogger` where a logger is not to be had here."""
    from pbtnas.loggers.loading import check_loggers

    check_loggers(names)


def logging_of(run_dir: Path) -> tuple[str, ...]:
    """The loggers that the run in a directory was begun with; none if there is no run yet, and
    none that is not to be had here, which is said."""
    from pbtnas.loggers.loading import UnknownLogger, check_loggers
    from pbtnas.store.run_directory import NotARun, open_run

    try:
        names = open_run(run_dir).logging
    except NotARun:
        return ()
    try:
        check_loggers(names)
    except UnknownLogger as error:
        log.warning("%s: it is not told of this run", error)
        return ()
    return names


def name_in(task_file: str | None) -> str | None:
    """The name that `--task` implies: its class.  Loading the task says what is wrong with it."""
    from pbtnas.tasks.task_file import file_and_class, module_and_class

    words = file_and_class(task_file or "") or module_and_class(task_file or "")
    return task_file if words is None else words[1]


def check_installed(name: str, task_file: str | None) -> None:
    """End the command where a task's name is none of an installed one, or its file is not there.

    Unlike loading the task it takes no time, so a command may ask before it starts processes.
    """
    from importlib.metadata import entry_points

    from pbtnas.tasks.task_file import GROUP, not_installed, unfit

    wrong = None if task_file is None else unfit(name, task_file)
    if wrong is not None:
        leave(ExitCode.USAGE, wrong)
    known = sorted({point.name for point in entry_points(group=GROUP)})
    if task_file is None and name not in known:
        leave(ExitCode.USAGE, not_installed(name, known))


def named_task(name: str | None, task_file: str | None) -> tuple[str, str | None]:
    """Name and file of a task that is given by its name, as FILE.py:Class, or by `--task`."""
    from click.core import ParameterSource

    source = click.get_current_context().get_parameter_source("task_file")
    if name is None:
        if task_file is None:
            raise click.UsageError("give the NAME of an installed task, or FILE.py:Class")
        return str(name_in(task_file)), task_file
    if ".py" in name:
        if source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"give {name} or --task {task_file}, not both")
        return str(name_in(name)), name
    # The environment is for those who always mean that file; who names another task means that.
    if source is ParameterSource.ENVIRONMENT and name != name_in(task_file):
        return name, None
    return name, task_file


def columns() -> int:
    """How wide the terminal is that the command prints to; 100 columns elsewhere."""
    from pbtnas.monitoring.text import COLUMNS

    if not sys.stdout.isatty():
        return COLUMNS
    from shutil import get_terminal_size

    return get_terminal_size((COLUMNS, 24)).columns


def leave(code: int, text: str) -> NoReturn:
    """End the command with one sentence on stderr."""
    click.echo(f"pbtnas: {as_typed(text)}", err=True)
    raise SystemExit(code)


@contextmanager
def disk_errors(
    code: ExitCode, kind: type[OSError] = OSError, *, place: Path | str | None = None
) -> Iterator[None]:
    """End the command with the file and the reason, where the disk refuses something.

    Args:
        code: The code to exit with.
        kind: The errors that the user can mend, as a read-only file system is; any other is
            unexpected.
        place: The place named where the error names no file.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads what is printed has seen enough, as `head` has: no disk is to blame
    except OSError as error:
        if not isinstance(error, kind) and error.errno != errno.EROFS:
            raise
        leave(code, f"{error.filename or place}: {error.strerror or error}")


def load_task_of(section: Any, task_file: str | None) -> Any:
    """The task of a configuration's section `task`."""
    from pbtnas.tasks.loading import load_task

    return load_task(section.name, section.in_force, task_file=task_file, places=section.places)


def data_of(task: Any) -> str:
    """What a dry run says of the data: what they are, or that it did not look.

    Raises `TaskError` with one sentence when they cannot be right, or cannot be had.
    """
    from pbtnas.tasks.faults import blamed
    from pbtnas.tasks.optional import LooksAtData

    if isinstance(task, LooksAtData):
        with blamed("look()", type(task)):
            return f"data: {task.look()}"
    return "data: not looked at (the task has no method `look`); the coordinator does that first"


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


def accepting(accept: bool) -> list[str]:
    """The words that pass on to another process that other code of the task is accepted."""
    return ["--accept-code-change"] if accept else []


def quietly() -> list[str]:
    """The options that pass on to another process how much the user wants to be told."""
    quiet = ["--quiet"] if logging.getLogger().level > logging.INFO else []
    return [*quiet, *(["--verbose"] if is_verbose() else [])]


def is_verbose() -> bool:
    """Whether the user wants to see every frame of an error."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.find_root().params.get("verbose"))


def worker_lines(
    directory: Path,
    count: int | None,
    devices: Sequence[str],
    common: Sequence[str],
    *,
    threads: int,
    most: int,
) -> list[list[str]]:
    """The command line of each worker of this machine, on the devices in turn.

    Without devices, all GPUs; without GPUs, each worker decides.  Without a count, as many as make
    use of the machine, for jobs of so many threads of which there are never more than `most`.
    """
    from pbtnas.engine.devices import default_workers, visible_gpus

    if count is None:
        count, why = default_workers(devices, threads, most)
        log.info("%d workers: %s (--workers sets another number)", count, why)
    devices = devices or [f"cuda:{i}" for i in range(len(visible_gpus()))]
    lines = []
    for i in range(count):
        device = given("--device", devices[i % len(devices)] if devices else None)
        slots = ["--slots", str(-(-count // len(devices)))] if devices else []
        lines.append([*quietly(), "worker", str(directory), *common, *device, *slots])
    return lines
