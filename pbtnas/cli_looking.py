"""Commands that look at a run or a directory, and draw or evaluate what came out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pbtnas.cli_shared import (
    FAILED,
    USAGE,
    leave,
    load_task_of,
    options_of,
    overrides_option,
    run_dir_argument,
    scratch_option,
    task_file_option,
)

# -- looking -----------------------------------------------------------------------------------


@click.command()
@run_dir_argument
@click.option("--watch", type=click.FloatRange(min=0.1), metavar="S", help="Again every S seconds.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(run_dir: Path, watch: float | None, as_json: bool) -> None:
    """One screen: progress, best members, workers, failures, when it may be done."""
    while True:
        if watch is not None and not as_json:
            click.clear()
        finished = print_status(run_dir, as_json=as_json)
        if watch is None or finished:
            return
        time.sleep(watch)


def print_status(run_dir: Path, *, as_json: bool) -> bool:
    from pbtnas import status as screen

    seen = screen.status(run_dir, now=time.time())
    if as_json:
        click.echo(json.dumps(screen.to_json(seen)))
    else:
        click.echo(screen.render(seen))
    return seen.finished


@click.command()
@run_dir_argument
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


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
def doctor(directory: Path) -> None:
    """Try out whether a directory can carry a run, and how fast it is."""
    from pbtnas.doctor import examine

    try:
        answers = examine(directory)
    except OSError as error:
        leave(USAGE, f"{directory}: {error.strerror}")
    for answer in answers:
        click.echo(f"{'ok ' if answer.good else 'BAD'}  {answer.text}")
    if not all(answer.good for answer in answers):
        sys.exit(FAILED)


# -- results -----------------------------------------------------------------------------------


@click.command()
@run_dir_argument
@click.option("--device", default="cpu", show_default=True, help="A torch device.")
@task_file_option
@scratch_option
def evaluate(run_dir: Path, device: str, task_file: str | None, scratch: Path | None) -> None:
    """Evaluate the best members of a finished run for the number to report."""
    from pbtnas.config import from_json
    from pbtnas.evaluation import evaluate as evaluated
    from pbtnas.store.run_directory import open_run
    from pbtnas.tasks.base import TaskError
    from pbtnas.worker_host import default_scratch

    section = from_json(open_run(run_dir).config).task
    try:
        made = load_task_of(section, task_file)
        finals = evaluated(run_dir, made, device=device, scratch=scratch or default_scratch())
    except TaskError as error:
        leave(USAGE, str(error))
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


@click.command()
@run_dir_argument
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Where to draw to."
)
@task_file_option
def plot(run_dir: Path, output: Path | None, task_file: str | None) -> None:
    """Draw a run: every member's score, the family tree, options and diversity over time."""
    from pbtnas.analysis import plots_lineage, plots_population
    from pbtnas.analysis.history import History
    from pbtnas.analysis.observations import evolution
    from pbtnas.analysis.plots import save
    from pbtnas.config import from_json

    history = History.read(run_dir)
    space = load_task_of(from_json(history.config).task, task_file).space
    seen = evolution(history, tuple(space))
    figures: dict[str, Callable[[], Any]] = {
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


@click.command()
@click.argument("name")
@task_file_option
@overrides_option
def space(name: str, task_file: str | None, overrides: tuple[str, ...]) -> None:
    """The search space of a task as a table, e.g. `pbtnas space gan-hard`."""
    from pbtnas.config import TaskConfig
    from pbtnas.tasks.base import TaskError

    try:
        found = (
            _named_space(name)
            or load_task_of(TaskConfig(name, options_of(overrides)), task_file).space
        )
    except TaskError as error:
        leave(USAGE, str(error))
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


@click.command()
def config() -> None:
    """All keys of a configuration, with defaults and ranges."""
    from pbtnas.config import describe

    click.echo(describe())
