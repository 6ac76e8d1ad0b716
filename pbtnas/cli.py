"""The command line: the one place that prints and decides exit codes.

What a command does stands elsewhere; torch is imported only by the commands that need it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import pbtnas

OK, FAILED, USAGE, HELD, UNFIT, HANDED_BACK = 0, 1, 2, 3, 69, 75
EXIT_CODES = """\b
Exit codes:
  0   done, or stopped as asked
  1   the search cannot go on (no member left, broken or foreign records)
  2   wrong usage, configuration, task or directory
  3   another coordinator holds the run
  69  this machine failed three jobs in a row; its worker stopped
  75  stopped as asked, a job was handed back unfinished
"""

_task_file = click.option(
    "--task", "task_file", metavar="FILE.py:Class", help="A task of your own, in a file."
)
_scratch = click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of this machine for data and replay buffers.",
)
_overrides = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override, e.g. run.seed=3."
)
_run_dir = click.argument("run_dir", type=click.Path(path_type=Path, file_okay=False))
_config = click.argument("config", type=click.Path(path_type=Path, dir_okay=False))


class _Group(click.Group):
    """Turns the errors of the package into one sentence on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        from pbtnas.config import ConfigError
        from pbtnas.search.algorithms import NoParentsError
        from pbtnas.store.records import RecordError
        from pbtnas.store.run_directory import NotARun

        try:
            return super().invoke(ctx)
        except (ConfigError, NotARun) as error:
            _leave(USAGE, str(error))
        except (NoParentsError, RecordError) as error:
            _leave(FAILED, str(error))


def _leave(code: int, text: str) -> None:
    click.echo(f"pbtnas: {text}", err=True)
    raise SystemExit(code)


@click.group(cls=_Group, epilog=EXIT_CODES)
@click.version_option(pbtnas.__version__)
@click.option("--quiet", is_flag=True, help="Say only what is wrong.")
def cli(quiet: bool) -> None:
    """Neural architecture search by Population Based Training over a shared directory."""
    logging.basicConfig(
        level=logging.WARNING if quiet else logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )


# -- searching ---------------------------------------------------------------------------------


@cli.command()
@_config
@_run_dir
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--device", "devices", multiple=True, help="For the workers in turn, e.g. cuda:0.")
@_task_file
@_scratch
@_overrides
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
    from pbtnas.local_run import keep_running

    load(config, overrides)  # a typo is better told once, and before anything starts
    common = [*_given("--task", task_file), *_given("--scratch", scratch)]
    sets = [part for override in overrides for part in ("--set", override)]
    quiet = ["--quiet"] if logging.getLogger().level > logging.INFO else []
    head = [*quiet, "coordinator", str(config), str(run_dir), *common, *sets]
    hands = []
    for i in range(workers):
        device = _given("--device", devices[i % len(devices)] if devices else None)
        slots = ["--slots", str(-(-workers // len(devices)))] if devices else []
        hands.append([*quiet, "worker", str(run_dir), *common, *device, *slots])
    code = keep_running(head, hands)
    if code == OK:
        _print_status(run_dir, as_json=False)
    sys.exit(code)


@cli.command()
@click.argument("arguments", nargs=-1, required=True, metavar="[CONFIG] RUN_DIR")
@_task_file
@_scratch
@_overrides
@click.option("--dry-run", is_flag=True, help="Check everything, print the configuration, stop.")
def coordinator(
    arguments: tuple[str, ...],
    task_file: str | None,
    scratch: Path | None,
    overrides: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Coordinate a run: start it, or go on with it after whatever happened.

    Without CONFIG, the configuration stored in RUN_DIR is used.
    """
    from pbtnas import coordinator_host
    from pbtnas.config import from_json, load, to_json
    from pbtnas.coordinator import BrokenChain, Ending
    from pbtnas.store.run_directory import open_run
    from pbtnas.tasks.base import TaskError
    from pbtnas.worker_host import default_scratch

    if len(arguments) > 2:
        raise click.UsageError("expected [CONFIG] RUN_DIR")
    root = Path(arguments[-1])
    if len(arguments) == 2:
        config = load(Path(arguments[0]), overrides)
    elif overrides:
        raise click.UsageError("--set needs a CONFIG; a run's stored configuration is fixed")
    else:
        config = from_json(open_run(root).config)
    try:
        task = _load_task(config.task, task_file)
        if dry_run:
            click.echo(json.dumps(to_json(config), indent=2))
            return
        ending = coordinator_host.coordinate(
            root, config, task, scratch=scratch or default_scratch()
        )
    except (TaskError, coordinator_host.ChangedConfig) as error:
        _leave(USAGE, str(error))
    except BrokenChain as error:
        _leave(FAILED, f"{error}; `pbtnas fsck {root}` says more")
    except PermissionError as error:
        _leave(USAGE, f"{error.filename}: {error.strerror}")
    if ending in (Ending.HELD, Ending.SUPERSEDED):
        _leave(HELD, f"{root}: {ending.value}{coordinator_host.holder_of(root)}")


@cli.command()
@_run_dir
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
@_task_file
@_scratch
def worker(
    run_dir: Path,
    device: str | None,
    slots: int,
    patience: float,
    task_file: str | None,
    scratch: Path | None,
) -> None:
    """Work on a run until it is finished; start one for each GPU, on any machine."""
    from pbtnas import worker_host
    from pbtnas.worker import Ending

    device = device or worker_host.default_device()
    try:
        worker_host.check_device(device)
        lock = worker_host.hold_device(device, slots)
    except (worker_host.DeviceBusy, worker_host.NoSuchDevice) as error:
        _leave(USAGE, str(error))
    try:
        ending = worker_host.work(
            run_dir,
            device=device,
            scratch=scratch or worker_host.default_scratch(),
            task_file=task_file,
            patience_s=patience,
        )
    finally:
        if lock is not None:
            lock.release()
    codes = {Ending.QUARANTINED: UNFIT, Ending.HANDED_BACK: HANDED_BACK}
    sys.exit(codes.get(ending, OK))


# -- looking -----------------------------------------------------------------------------------


@cli.command()
@_run_dir
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="S", help="Again every S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(run_dir: Path, watch: float | None, as_json: bool) -> None:
    """One screen: progress, best members, workers, failures, when it may be done."""
    while True:
        if watch is not None and not as_json:
            click.clear()
        finished = _print_status(run_dir, as_json=as_json)
        if watch is None or finished:
            return
        time.sleep(watch)


def _print_status(run_dir: Path, *, as_json: bool) -> bool:
    from pbtnas import status as screen

    seen = screen.status(run_dir, now=time.time())
    if as_json:
        click.echo(json.dumps(screen.to_json(seen)))
    else:
        click.echo(screen.render(seen))
    return seen.finished


@cli.command()
@_run_dir
@click.option("--repair", is_flag=True, help="Put aside what is damaged, restore copies.")
def fsck(run_dir: Path, repair: bool) -> None:
    """Check every record and checkpoint of a run against its digest."""
    from pbtnas import fsck as checking

    faults = checking.check(run_dir)
    for fault in faults:
        click.echo(f"{run_dir / fault.name}: {fault.what}")
    if not faults:
        click.echo(f"{run_dir}: every record and checkpoint is as it was written")
        return
    if repair:
        checking.repair(run_dir, faults)
        click.echo("repaired what can be; start coordinator and workers for the rest")
    sys.exit(FAILED)


@cli.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
def doctor(directory: Path) -> None:
    """Try out whether a directory can carry a run, and how fast it is."""
    from pbtnas.doctor import examine

    try:
        answers = examine(directory)
    except OSError as error:
        _leave(USAGE, f"{directory}: {error.strerror}")
    for answer in answers:
        click.echo(f"{'ok ' if answer.good else 'BAD'}  {answer.text}")
    if not all(answer.good for answer in answers):
        sys.exit(FAILED)


# -- results -----------------------------------------------------------------------------------


@cli.command()
@_run_dir
@click.option("--device", default="cpu", show_default=True, help="A torch device.")
@_task_file
@_scratch
def evaluate(run_dir: Path, device: str, task_file: str | None, scratch: Path | None) -> None:
    """Evaluate the best members of a finished run for the number to report."""
    from pbtnas.config import from_json
    from pbtnas.evaluation import evaluate as evaluated
    from pbtnas.store.run_directory import open_run
    from pbtnas.tasks.base import TaskError
    from pbtnas.worker_host import default_scratch

    section = from_json(open_run(run_dir).config).task
    try:
        made = _load_task(section, task_file)
        finals = evaluated(run_dir, made, device=device, scratch=scratch or default_scratch())
    except TaskError as error:
        _leave(USAGE, str(error))
    for final in finals:
        best = final.champion
        click.echo(
            f"{final.which}: member {best.member} of generation {best.generation}: "
            f"score {final.score:.6g} (during the search {best.score:.6g})"
        )
        for name, value in final.metrics.items():
            click.echo(f"    {name} {value:.6g}")
        for path in final.artifacts:
            click.echo(f"    {path}")


@cli.command()
@_run_dir
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Where to draw to."
)
@_task_file
def plot(run_dir: Path, output: Path | None, task_file: str | None) -> None:
    """Draw a run: every member's score, the family tree, options and diversity over time."""
    from pbtnas.analysis import plots_lineage, plots_population
    from pbtnas.analysis.history import History
    from pbtnas.analysis.observations import evolution
    from pbtnas.analysis.plots import save
    from pbtnas.config import from_json

    history = History.read(run_dir)
    space = _load_task(from_json(history.config).task, task_file).space
    seen = evolution(history, tuple(space))
    figures = {
        "scores": lambda: plots_lineage.member_curves(seen),
        "lineage": lambda: plots_lineage.phylogeny(seen),
        "origins": lambda: plots_population.layer_origins(seen),
        "options": lambda: plots_population.option_frequencies(seen),
        "diversity": lambda: plots_population.diversity({str(run_dir.name): seen}),
    }
    directory = output or run_dir / "artifacts"
    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in figures.items():
        for path in save(draw(), directory / name):
            click.echo(path)


@cli.command()
@click.argument("name")
@_task_file
@_overrides
def space(name: str, task_file: str | None, overrides: tuple[str, ...]) -> None:
    """The search space of a task as a table, e.g. `pbtnas space gan-hard`."""
    from pbtnas.config import TaskConfig
    from pbtnas.tasks.base import TaskError

    try:
        found = (
            _named_space(name) or _load_task(TaskConfig(name, _options(overrides)), task_file).space
        )
    except TaskError as error:
        _leave(USAGE, str(error))
    rows = [("", "variable", "options", "modules"), *found.describe()]
    widths = [max(len(str(row[column])) for row in rows) for column in range(4)]
    for row in rows:
        cells = (str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
    click.echo(f"{len(found)} variables, {found.size} architectures ({float(found.size):.4e})")


def _named_space(name: str) -> Any:
    """One of the paper's spaces by its own name; None if it is no such name."""
    from pbtnas.models.drqv2_spaces import drqv2_space
    from pbtnas.models.gan_spaces import gan_hard_space, gan_space

    spaces = {"gan": gan_space, "gan-hard": gan_hard_space, "drqv2": drqv2_space}
    return spaces[name]() if name in spaces else None


@cli.command()
def config() -> None:
    """All keys of a configuration, with defaults and ranges."""
    from pbtnas.config import describe

    click.echo(describe())


@cli.group()
def task() -> None:
    """Tasks: what is trained and scored."""


@task.command("list")
def list_tasks() -> None:
    """The installed tasks."""
    from pbtnas.tasks.loading import installed_tasks

    for name in installed_tasks():
        click.echo(name)


@task.command("check")
@click.argument("name", required=False)
@_task_file
@click.option("--rounds", default=5, show_default=True, help="Random architectures to try.")
@_overrides
def check_task(
    name: str | None, task_file: str | None, rounds: int, overrides: tuple[str, ...]
) -> None:
    """Try a task out before a search does, and say in plain words what is wrong."""
    from pbtnas.config import TaskConfig
    from pbtnas.tasks.base import TaskError
    from pbtnas.tasks.check import Level, check
    from pbtnas.weights import mix_states

    if name is None and task_file is None:
        raise click.UsageError("give the NAME of an installed task, or --task FILE.py:Class")
    chosen = name or str(task_file).rpartition(":")[2]
    try:
        made = _load_task(TaskConfig(chosen, _options(overrides)), task_file)
    except TaskError as error:
        _leave(USAGE, str(error))
    findings = check(made, mix=mix_states, rounds=rounds)
    for finding in findings:
        click.echo(f"{finding.level:<8}{finding.sentence}")
        if finding.detail and finding.level is not Level.OK:
            click.echo(
                "".join(f"        {line}\n" for line in finding.detail.splitlines()), nl=False
            )
    if any(finding.level is Level.ERROR for finding in findings):
        sys.exit(FAILED)


# -- helpers of the commands -------------------------------------------------------------------


def _load_task(section: Any, task_file: str | None) -> Any:
    from pbtnas.tasks.loading import load_task

    return load_task(section.name, section.options, task_file=task_file, places=section.places)


def _options(overrides: Sequence[str]) -> dict[str, Any]:
    import yaml

    pairs = (override.partition("=") for override in overrides)
    return {key.removeprefix("task."): yaml.safe_load(value) for key, _, value in pairs}


def _given(option: str, value: object) -> list[str]:
    return [] if value is None else [option, str(value)]


def main(arguments: Sequence[str] | None = None, *, prefix: bool = False) -> None:
    """Run the command line; with `prefix`, the arguments come before those of the process."""
    given = list(arguments or [])
    command: Callable[..., Any] = cli
    command(given + sys.argv[1:] if prefix or arguments is None else given, prog_name="pbtnas")
