"""The command that says what a run or a study would cost, after a few steps of some members."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.shared import (
    TEMPORARY_FILES,
    config_argument,
    disk_errors,
    load_task_of,
    name_in,
    overrides_option,
    task_file_option,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.config import Config
    from pbtnas.tasks.estimating.costs import Costs

log = logging.getLogger(__name__)


@click.command()
@config_argument
@click.option("--device", help="To measure on; the first GPU if there is one, else cpu.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Of the run; by default as many as `pbtnas run` would start here.",
)
@click.option(
    "--members", default=3, show_default=True, type=click.IntRange(1), help="How many to measure."
)
@click.option(
    "--seconds",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Longest training of each, where the task says how many steps an epoch has; else it "
    "trains one whole epoch, and then for half of that time.",
)
@task_file_option
@overrides_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def estimate(
    config: Path,
    device: str | None,
    workers: int | None,
    members: int,
    seconds: float,
    task_file: str | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Measure some members, and say what a run or a study would cost: hours, memory, disk.

    It trains members of generation 0 for a few steps, from the smallest to the largest, evaluates
    and saves them, and multiplies.  CONFIG is that of a run or of a study.  Nothing stays.
    """
    began_s = time.perf_counter()
    from pbtnas.processor import pin

    configs = _configs(config, overrides, name_in(task_file))
    pin(configs[0].run.cpu_capability)  # all runs of a study have the same
    from pbtnas.cli.cost_lines import lines
    from pbtnas.cuda import check_computes
    from pbtnas.engine.devices import check_device, default_device, default_workers
    from pbtnas.tasks.estimating.costs import Priced, of_run, of_study
    from pbtnas.tasks.estimating.measuring import Plan, children, measure
    from pbtnas.weights import mix_states

    start_s = time.perf_counter() - began_s
    chosen = device or default_device()
    check_device(chosen)
    check_computes(chosen)
    if workers is None:
        threads = max(each.run.threads for each in configs)
        most = max(each.search.population for each in configs)
        workers, _ = default_workers([device] if device else [], threads, most)
    measured: dict[tuple[str, str, int], Costs] = {}
    runs = []
    for each in configs:
        task, kind = load_task_of(each.task, task_file), _kind(each)
        if kind not in measured:
            with (
                disk_errors(ExitCode.UNFIT, place=TEMPORARY_FILES),
                tempfile.TemporaryDirectory() as directory,
            ):
                plan = Plan(each, members, seconds, chosen, Path(directory), mix_states, log.info)
                measured[kind] = measure(task, plan)
        runs.append(Priced(each, measured[kind], children(task.space, each)))
    if len(runs) == 1:
        found = of_run(runs[0], workers=workers, start_s=start_s)
    else:
        found = of_study(runs, workers=workers, start_s=start_s)
    costs = list(measured.values())
    if as_json:
        about = {"device": chosen, "workers": workers, "runs": len(runs)}
        click.echo(json.dumps({**about, **asdict(found), "measured": [asdict(c) for c in costs]}))
        return
    for line in lines(configs, costs, found, workers=workers, device=chosen):
        click.echo(line)


def _configs(path: Path, overrides: tuple[str, ...], task: str | None) -> list[Config]:
    """The configuration of a run, or those of all runs of a study."""
    from pbtnas.config import load, load_study
    from pbtnas.config.study import is_study_file

    if not is_study_file(path):
        return [load(path, overrides, task=task)]
    if overrides:
        raise click.UsageError("--set is for the configuration of one run, not for a study")
    return [run.config for run in load_study(path, task=task)]


def _kind(config: Config) -> tuple[str, str, int]:
    """What decides the cost of a member."""
    return config.task.name, json.dumps(config.task.in_force, sort_keys=True), config.run.threads
