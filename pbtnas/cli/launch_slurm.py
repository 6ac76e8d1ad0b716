"""The command that submits the workers of a run to Slurm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click
from click.core import ParameterSource

from pbtnas.cli.launching import (
    LaunchOptions,
    arguments_argument,
    coordinate_here,
    launch_options,
    planned,
)
from pbtnas.cli.shared import disk_errors, leave
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.records.launches import Launch


@click.command()
@arguments_argument
@click.option("--workers", required=True, type=click.IntRange(1), help="How many, one a task.")
@click.option("--at-once", type=click.IntRange(1), help="Let no more of them run at once.")
@click.option("--time", "time_limit", help="Time limit of each job, in Slurm's way: 4:00:00.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(0), help="Of a worker.")
@click.option("--cpus", type=click.IntRange(1), help="Processor cores of a worker.")
@click.option("--mem", help="Memory of a worker, in Slurm's way: 16G.")
@click.option(
    "--sbatch",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any other option of sbatch, for all jobs: partition=gpu, account=physics.",
)
@click.option(
    "--coordinator-sbatch",
    multiple=True,
    metavar="KEY=VALUE",
    help="The same for the coordinator, after those; it may have a `time` of its own.",
)
@launch_options("job", "here", "none", who="a job of its own, this process")
@click.option("--dry-run", is_flag=True, help="Print the two scripts, and submit nothing.")
def slurm(
    arguments: tuple[str, ...],
    workers: int,
    at_once: int | None,
    time_limit: str | None,
    gpus: int,
    cpus: int | None,
    mem: str | None,
    sbatch: tuple[str, ...],
    coordinator_sbatch: tuple[str, ...],
    dry_run: bool,
    **options: Unpack[LaunchOptions],
) -> None:
    """Submit the workers of a run to Slurm as an array, and the coordinator as a job.

    Each worker, and the coordinator, is queued again when its time ends, and by Slurm when it is
    preempted or its node fails.  Launching again submits only what is missing.
    """
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.launch.sbatch_options import check_once, checked_options, checked_value

    if at_once is not None and at_once > workers:
        raise UnfitLaunch(f"--at-once {at_once}: more than the {workers} of --workers")
    device = options["device"]
    if gpus == 0 and device.startswith("cuda"):
        raise UnfitLaunch(f"--gpus 0: contradicts --device {device}")
    if coordinator_sbatch and options["coordinator"] != "job":
        raise UnfitLaunch(
            f"--coordinator-sbatch {coordinator_sbatch[0]}: there is no job of the coordinator "
            f"with --coordinator {options['coordinator']}"
        )
    others = checked_options(sbatch, "--sbatch")
    if mem is not None:
        check_once(f"--mem {mem}", others, ("mem", "mem-per-cpu", "mem-per-gpu"))
    if cpus is not None:
        check_once(f"--cpus {cpus}", others, ("cpus-per-task", "cpus-per-gpu"))
    source = click.get_current_context().get_parameter_source("gpus")
    if source is not ParameterSource.DEFAULT:
        check_once(f"--gpus {gpus}", others)
    details = {
        "at_once": at_once,
        "time": time_limit and checked_value(time_limit, "--time"),
        "gpus": gpus,
        "cpus": cpus,
        "mem": mem and checked_value(mem, "--mem"),
        "sbatch": list(others),
        "coordinator_sbatch": list(
            checked_options(coordinator_sbatch, "--coordinator-sbatch", may=("time",))
        ),
    }
    own = ("--until", "auto", "--requeue", "slurm")
    root, plan = planned(arguments, "slurm", workers, details, own, **options)
    to_slurm(root, plan, dry_run=dry_run)
    if plan.coordinator == "here" and not dry_run:
        coordinate_here(plan)


def to_slurm(root: Path, plan: Launch, *, dry_run: bool = False) -> None:
    """Record a launch, and submit what is missing of it."""
    from pbtnas.launch import slurm as engine
    from pbtnas.launch.slurm_scripts import coordinator_script, worker_script
    from pbtnas.store.launches import record_launch, write_script

    texts = {"worker": worker_script(root, plan)}
    if plan.coordinator == "job":
        texts["coordinator"] = coordinator_script(root, plan)
    if dry_run or not engine.has_slurm():
        click.echo("\n".join(texts.values()), nl=False)
        if not dry_run:
            leave(ExitCode.USAGE, "no sbatch on this machine: nothing was submitted of the above")
        return
    with disk_errors(ExitCode.USAGE, place=root):
        number = record_launch(root, plan)
        files = {k: write_script(root, f"{number:04d}.{k}.sbatch", t) for k, t in texts.items()}
    jobs = engine.jobs_of(plan)
    there = {job.task for job in jobs}
    missing = [task for task in range(plan.workers) if task not in there]
    surplus = [job for job in jobs if job.task is not None and job.task >= plan.workers]
    if "coordinator" in files and None not in there:
        click.echo(f"coordinator: job {engine.submit(files['coordinator'])}")
    if missing:
        job = engine.submit(files["worker"], missing, plan.options["at_once"])
        click.echo(f"workers {engine.ranges(missing)}: job {job}")
    engine.cancel(surplus)
    if surplus:
        click.echo(f"workers {engine.ranges(j.task or 0 for j in surplus)}: cancelled")
    there_already = plan.workers - len(missing)
    click.echo(f"{root}: launch {number}: {len(missing)} submitted, {there_already} there already")
