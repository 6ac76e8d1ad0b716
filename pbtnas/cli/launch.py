"""Commands that have other schedulers start the workers of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pbtnas.cli.launch_k8s import k8s
from pbtnas.cli.launch_slurm import slurm, to_slurm
from pbtnas.cli.launch_ssh import by_ssh, end_if_failed, ssh, tell
from pbtnas.cli.places import PlainPath
from pbtnas.cli.shared import disk_errors
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.launch.ssh import Said
    from pbtnas.records.launches import Launch


launched_argument = click.argument("run_dir", type=PlainPath(file_okay=False))


@click.group()
def launch() -> None:
    """Have another scheduler start the workers of a run, and leave."""


launch.add_command(k8s)
launch.add_command(slurm)
launch.add_command(ssh)


@launch.command("list")
@launched_argument
def list_(run_dir: Path) -> None:
    """List the workers that were launched for a run, and what became of each."""
    from pbtnas.launch import slurm as engine
    from pbtnas.launch import ssh as ssh_engine
    from pbtnas.tabular import aligned

    root = run_dir.absolute()
    for number, plan in _launches(root).values():
        if plan.engine == "ssh":
            click.echo(f"launch {number}: {plan.workers} workers by ssh")
            tell(ssh_engine.listed(root, plan))
            continue
        jobs = engine.jobs_of(plan)
        click.echo(f"launch {number}: {plan.workers} workers by {plan.engine} as {plan.name}")
        rows = [("worker", "job", "state", "time", "node", "reason")]
        for job in jobs:
            who = "coordinator" if job.task is None else str(job.task)
            rows.append((who, job.id, job.state, job.elapsed, job.node, job.reason))
        click.echo("\n".join(aligned(rows)) if jobs else "no jobs: all have ended")


@launch.command()
@click.argument("workers", type=click.IntRange(1), metavar="N")
@launched_argument
def scale(workers: int, run_dir: Path) -> None:
    """Have N workers from now on: submit what is missing, and cancel what is too many."""
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.store.launches import is_over

    root = run_dir.absolute()
    _, plan = max(_launches(root).values(), key=lambda found: found[0])
    if is_over(root):
        raise UnfitLaunch(f"{root}: the run is finished; there is nothing to launch")
    if plan.engine == "ssh":
        by_ssh(root, replace(plan, workers=workers))
        return
    at_once = plan.options["at_once"]
    options = {**plan.options, "at_once": None if at_once is None else min(at_once, workers)}
    to_slurm(root, replace(plan, workers=workers, options=options))


@launch.command()
@click.option("--now", is_flag=True, help="End them at once, without handing back what they do.")
@launched_argument
def stop(now: bool, run_dir: Path) -> None:
    """Cancel the workers and the coordinator that were launched for a run.

    Those that run hand back what they do.  The same `pbtnas launch` goes on from there.  Exits with
    1 where a host cannot be reached, or a worker has not left within a minute.
    """
    from pbtnas.launch import slurm as engine
    from pbtnas.launch import ssh as ssh_engine

    root = run_dir.absolute()
    said: list[Said] = []
    for _, plan in _launches(root).values():
        if plan.engine == "ssh":
            said = ssh_engine.stop(root, plan, now=now)
            tell(said)
            continue
        jobs = engine.jobs_of(plan)
        engine.cancel(jobs, now=now)
        click.echo(f"{run_dir}: {len(jobs)} jobs of {plan.engine} cancelled")
    end_if_failed(said)


def _launches(root: Path) -> dict[str, tuple[int, Launch]]:
    """The last launch of a run by each engine.  Ends the command if there is none."""
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.store.launches import last_launches

    with disk_errors(ExitCode.USAGE, place=root):
        found = last_launches(root)
    if not found:
        raise UnfitLaunch(f"{root}: nothing was launched for this run")
    return found
