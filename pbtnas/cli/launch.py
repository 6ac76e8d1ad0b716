"""Commands that have other schedulers start the workers of a run."""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from pbtnas.cli.launch_k8s import k8s
from pbtnas.cli.shared import (
    accept_option,
    accepting,
    check_installed,
    check_logging,
    disk_errors,
    given,
    leave,
    log_option,
    name_in,
    overrides_option,
    run_dir_argument,
    scratch_option,
    task_file_option,
)
from pbtnas.errors import ExitCode

if TYPE_CHECKING:
    from pbtnas.launch.ssh import Said
    from pbtnas.records.launches import Launch


@click.group()
def launch() -> None:
    """Have another scheduler start the workers of a run, and leave."""


launch.add_command(k8s)

arguments_argument = click.argument(
    "arguments", nargs=-1, required=True, metavar="[CONFIG] RUN_DIR"
)
setup_option = click.option(
    "--setup",
    multiple=True,
    metavar="CMD",
    help="A line of the shell before each worker and the coordinator, such as 'module load cuda'.",
)
device_option = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Of each worker; `auto` is the one that the scheduler has assigned.",
)


@launch.command()
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
@click.option(
    "--coordinator",
    type=click.Choice(["job", "here", "none"]),
    default="job",
    show_default=True,
    help="Who coordinates: a job of its own, this process, or somebody else.",
)
@device_option
@setup_option
@task_file_option
@accept_option
@scratch_option
@overrides_option
@log_option
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
    coordinator: str,
    device: str,
    setup: tuple[str, ...],
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
    overrides: tuple[str, ...],
    loggers: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Submit the workers of a run to Slurm as an array, and the coordinator as a job.

    Each worker, and the coordinator, is queued again when its time ends, and by Slurm when it is
    preempted or its node fails.  Launching again submits only what is missing.
    """
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.launch.slurm_scripts import checked_options
    from pbtnas.records.launches import Launch

    if at_once is not None and at_once > workers:
        raise UnfitLaunch(f"--at-once {at_once}: more than the {workers} of --workers")
    if gpus == 0 and device.startswith("cuda"):
        raise UnfitLaunch(f"--gpus 0: contradicts --device {device}")
    root = _checked(arguments, task_file, overrides, loggers)
    own = ["--until", "auto", "--requeue", "slurm"]
    common = [*given("--task", task_file), *given("--scratch", scratch), *accepting(accept)]
    wait = ["--device", device, "--patience", "forever"]
    plan = Launch(
        engine="slurm",
        name=_name(root, "slurm"),
        workers=workers,
        coordinator=coordinator,
        directory=str(Path.cwd()),
        path=str(Path(sys.executable).parent),
        worker=("worker", str(root), *wait, *common, *own),
        coordinate=(
            *("coordinator", *arguments[:-1], str(root), *common),
            *(word for key in overrides for word in ("--set", key)),
            *(word for name in loggers for word in ("--log", name)),
            *(own if coordinator == "job" else []),
        ),
        setup=setup,
        options={
            "at_once": at_once,
            "time": time_limit,
            "gpus": gpus,
            "cpus": cpus,
            "mem": mem,
            "sbatch": list(checked_options(sbatch, "--sbatch")),
            "coordinator_sbatch": list(
                checked_options(coordinator_sbatch, "--coordinator-sbatch", may=("time",))
            ),
        },
    )
    _to_slurm(root, plan, dry_run=dry_run)
    if coordinator == "here" and not dry_run:
        _coordinate_here(plan)


def _checked(
    arguments: tuple[str, ...],
    task_file: str | None,
    overrides: tuple[str, ...],
    loggers: tuple[str, ...],
) -> Path:
    """The run directory that is meant; ends the command for what no job could work with."""
    from pbtnas.config import load
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.store.launches import is_over
    from pbtnas.store.run_directory import NotYetARun, open_run
    from pbtnas.store.study_directory import is_study

    if len(arguments) > 2:
        raise click.UsageError("expected [CONFIG] RUN_DIR")
    root = Path(arguments[-1]).absolute()
    with disk_errors(ExitCode.USAGE, place=root):
        if is_study(root):
            raise UnfitLaunch(f"{root}: a study; launch one of its runs, or start its workers")
        if len(arguments) == 2:
            config = load(Path(arguments[0]), overrides, task=name_in(task_file))
            check_installed(config.task.name, task_file)
        try:
            open_run(root)
        except NotYetARun as error:
            if len(arguments) == 1:
                raise UnfitLaunch(f"{error}; give the CONFIG to start it with") from error
        if is_over(root):
            raise UnfitLaunch(f"{root}: the run is finished; there is nothing to launch")
    check_logging(loggers)
    return root


def _name(root: Path, engine: str) -> str:
    """What the workers of a run are called by an engine: as in its launches before."""
    from pbtnas.store.launches import last_launches

    found = last_launches(root).get(engine)
    if found is not None:
        return found[1].name
    readable = "".join(c if c.isascii() and c.isalnum() else "-" for c in root.name)[:40]
    return f"pbtnas-{readable}-{secrets.token_hex(3)}"


def _to_slurm(root: Path, plan: Launch, *, dry_run: bool = False) -> None:
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


def _coordinate_here(plan: Launch) -> NoReturn:
    """Become the coordinator of a launch."""
    from pbtnas.child_python import python_command, python_environment

    command = python_command("-m", "pbtnas", *plan.coordinate)
    sys.stdout.flush()
    os.execve(command[0], command, python_environment())


@launch.command()
@arguments_argument
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST[:N]",
    help="A host as ssh knows it, and how many workers it is to have; 1 if no number is given.",
)
@click.option(
    "--hosts",
    "host_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with such a host in each line.",
)
@click.option("--ssh", "ssh_command", default="ssh", show_default=True, help="The command of ssh.")
@click.option(
    "--coordinator",
    type=click.Choice(["here", "first", "none"]),
    default="here",
    show_default=True,
    help="Who coordinates: this process, one on the first host, or somebody else.",
)
@device_option
@setup_option
@task_file_option
@accept_option
@scratch_option
@overrides_option
@log_option
@click.option(
    "--dry-run", is_flag=True, help="Print what the first host is told, and start nothing."
)
def ssh(
    arguments: tuple[str, ...],
    hosts: tuple[str, ...],
    host_file: Path | None,
    ssh_command: str,
    coordinator: str,
    device: str,
    setup: tuple[str, ...],
    task_file: str | None,
    accept: bool,
    scratch: Path | None,
    overrides: tuple[str, ...],
    loggers: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Start the workers of a run on several hosts, each in a session of its own.

    All hosts are told at once.  Each first checks that it sees the run's directory, that the
    directory does what a run needs, and that it has the task and its data.  Launching again starts
    what does not run any more.
    """
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.launch.ssh_scripts import parsed_hosts, start_script
    from pbtnas.records.launches import Launch

    named = parsed_hosts([*hosts, *_lines(host_file)], "--host")
    if not named:
        raise UnfitLaunch("no host: give --host HOST:N, or --hosts FILE")
    root = _checked(arguments, task_file, overrides, loggers)
    common = [*given("--task", task_file), *given("--scratch", scratch), *accepting(accept)]
    plan = Launch(
        engine="ssh",
        name=_name(root, "ssh"),
        workers=sum(share.workers for share in named),
        coordinator=coordinator,
        directory=str(Path.cwd()),
        path=str(Path(sys.executable).parent),
        worker=("worker", str(root), "--device", device, "--patience", "forever", *common),
        coordinate=(
            *("coordinator", *arguments[:-1], str(root), *common),
            *(word for key in overrides for word in ("--set", key)),
            *(word for name in loggers for word in ("--log", name)),
        ),
        setup=setup,
        options={"hosts": [[share.host, share.workers] for share in named], "ssh": ssh_command},
    )
    if dry_run:
        first = coordinator == "first"
        click.echo(start_script(root, plan, named[0], 1, coordinator=first), nl=False)
        return
    _by_ssh(root, plan)
    if coordinator == "here":
        _coordinate_here(plan)


def _lines(host_file: Path | None) -> list[str]:
    """The lines of a host file that name a host."""
    if host_file is None:
        return []
    with disk_errors(ExitCode.USAGE, place=host_file):
        words = (line.partition("#")[0].strip() for line in _text(host_file).splitlines())
    return [word for word in words if word]


def _text(file: Path) -> str:
    from pbtnas.regular_files import read_regular

    return read_regular(file, limit=1 << 20, follow=True).decode(errors="replace")


def _by_ssh(root: Path, plan: Launch) -> None:
    """Record a launch, and start what is missing of it."""
    from pbtnas.launch import ssh as engine
    from pbtnas.store.launches import record_launch

    engine.hosts_of(plan)  # which raises where there are too few of them
    with disk_errors(ExitCode.USAGE, place=root):
        number = record_launch(root, plan)
    said = [*engine.stop_surplus(root, plan), *engine.start(root, plan, number)]
    _tell(said)
    started = sum(one.state == "started" for one in said)
    there = sum(one.state == "there" for one in said)
    click.echo(f"{root}: launch {number}: {started} started, {there} there already")
    if any(one.state == "failed" for one in said):
        sys.exit(ExitCode.FAILED)


def _tell(said: list[Said]) -> None:
    """Print what the hosts say, a line for each process."""
    from pbtnas.tabular import aligned

    rows = [(one.host, one.label or "-", one.state, one.text) for one in said]
    if rows:
        click.echo("\n".join(aligned([("host", "worker", "state", ""), *rows])))


# -- afterwards --------------------------------------------------------------------------------


@launch.command("list")
@run_dir_argument
def list_(run_dir: Path) -> None:
    """List the workers that were launched for a run, and what became of each."""
    from pbtnas.launch import slurm as engine
    from pbtnas.launch import ssh as ssh_engine
    from pbtnas.tabular import aligned

    root = run_dir.absolute()
    for number, plan in _launches(root).values():
        if plan.engine == "ssh":
            click.echo(f"launch {number}: {plan.workers} workers by ssh")
            _tell(ssh_engine.listed(root, plan))
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
@run_dir_argument
def scale(workers: int, run_dir: Path) -> None:
    """Have N workers from now on: submit what is missing, and cancel what is too many."""
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.store.launches import is_over

    root = run_dir.absolute()
    _, plan = max(_launches(root).values(), key=lambda found: found[0])
    if is_over(root):
        raise UnfitLaunch(f"{root}: the run is finished; there is nothing to launch")
    if plan.engine == "ssh":
        _by_ssh(root, replace(plan, workers=workers))
        return
    at_once = plan.options["at_once"]
    options = {**plan.options, "at_once": None if at_once is None else min(at_once, workers)}
    _to_slurm(root, replace(plan, workers=workers, options=options))


@launch.command()
@click.option("--now", is_flag=True, help="End them at once, without handing back what they do.")
@run_dir_argument
def stop(now: bool, run_dir: Path) -> None:
    """Cancel the workers and the coordinator that were launched for a run.

    Those that run hand back what they do.  The same `pbtnas launch` goes on from there.
    """
    from pbtnas.launch import slurm as engine
    from pbtnas.launch import ssh as ssh_engine

    root = run_dir.absolute()
    for _, plan in _launches(root).values():
        if plan.engine == "ssh":
            _tell(ssh_engine.stop(root, plan, now=now))
            continue
        jobs = engine.jobs_of(plan)
        engine.cancel(jobs, now=now)
        click.echo(f"{run_dir}: {len(jobs)} jobs of {plan.engine} cancelled")


def _launches(root: Path) -> dict[str, tuple[int, Launch]]:
    """The last launch of a run by each engine.  Ends the command if there is none."""
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.store.launches import last_launches

    with disk_errors(ExitCode.USAGE, place=root):
        found = last_launches(root)
    if not found:
        raise UnfitLaunch(f"{root}: nothing was launched for this run")
    return found
