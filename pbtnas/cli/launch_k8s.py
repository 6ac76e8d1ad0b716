"""The command that writes what Kubernetes runs."""

from __future__ import annotations

from pathlib import Path

import click
import yaml

from pbtnas.cli.shared import (
    accept_option,
    accepting,
    config_argument,
    given,
    name_in,
    overrides_option,
    task_file_option,
)


@click.command()
@config_argument
@click.argument("run")
@click.option("--image", required=True, help="The container image of all pods (`make image`).")
@click.option("--workers", required=True, type=click.IntRange(1), help="How many, one a pod.")
@click.option("--claim", metavar="PVC", help="The claim of a volume that all nodes can write.")
@click.option(
    "--mount",
    default="/shared",
    show_default=True,
    metavar="PATH",
    help="Where it is mounted; RUN lies below.",
)
@click.option("--bucket", metavar="URL", help="Instead of a claim: the bucket that holds RUN.")
@click.option("--secret", metavar="NAME", help="A secret with variables, such as a bucket's keys.")
@click.option(
    "--service-account",
    "account",
    metavar="NAME",
    help="Of all pods, where a cloud knows by it who may use the bucket.",
)
@click.option(
    "--env",
    "environment",
    multiple=True,
    metavar="KEY=VALUE",
    help="A variable of all pods, such as PBTNAS_DATA=/shared/data.",
)
@click.option("--name", help="Of the objects; by default by the last part of RUN.")
@click.option("--gpus", default=1, show_default=True, type=click.IntRange(0), help="Of a worker.")
@click.option("--cpus", default=1, show_default=True, type=click.IntRange(1), help="Of a worker.")
@click.option("--mem", metavar="SIZE", help="Memory of a worker, such as 16Gi.")
@click.option(
    "--shm", default="2Gi", show_default=True, metavar="SIZE", help="/dev/shm of a worker."
)
@click.option("--queue", metavar="KUEUE", help="The queue of Kueue that starts the jobs.")
@click.option("--spot", is_flag=True, help="Workers run on nodes that may be taken away.")
@task_file_option
@accept_option
@overrides_option
def k8s(
    config: Path,
    run: str,
    image: str,
    workers: int,
    claim: str | None,
    mount: str,
    bucket: str | None,
    secret: str | None,
    account: str | None,
    environment: tuple[str, ...],
    name: str | None,
    gpus: int,
    cpus: int,
    mem: str | None,
    shm: str,
    queue: str | None,
    spot: bool,
    task_file: str | None,
    accept: bool,
    overrides: tuple[str, ...],
) -> None:
    """Print what Kubernetes runs for a run: a Job of the coordinator, and one of the workers.

    For `kubectl apply --filename`.  No cluster is asked.  CONFIG becomes part of it; RUN and the
    file of --task are paths in the containers.
    """
    from pbtnas.config import load, to_json
    from pbtnas.launch.k8s import (
        Plan,
        checked_image,
        checked_name,
        checked_object,
        checked_quantity,
        name_of,
        variables,
    )
    from pbtnas.launch.k8s_manifest import manifest

    checked = load(config, overrides, task=name_in(task_file))
    _check_task(task_file)
    whole = _where(run, claim, mount, bucket)
    plan = Plan(
        name=checked_name(name, "--name") if name else name_of(whole),
        run=whole,
        config=yaml.safe_dump(to_json(checked), sort_keys=False, allow_unicode=True),
        image=checked_image(image),
        workers=workers,
        grace_s=checked.engine.grace_s,
        lease_s=checked.engine.lease_s,
        common=(*given("--task", task_file), *accepting(accept)),
        claim=None if claim is None else checked_object(claim, "--claim"),
        mount=mount,
        secret=None if secret is None else checked_object(secret, "--secret"),
        account=None if account is None else checked_object(account, "--service-account"),
        environment=variables(environment),
        gpus=gpus,
        cpus=cpus,
        mem=None if mem is None else checked_quantity(mem, "--mem"),
        shm=checked_quantity(shm, "--shm"),
        queue=None if queue is None else checked_object(queue, "--queue", longest=63),
        spot=spot,
    )
    click.echo(manifest(plan), nl=False)


def _check_task(task_file: str | None) -> None:
    """Raise `UnfitLaunch` for a file that the containers would not find."""
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.tasks.task_file import file_and_class

    found = file_and_class(task_file or "")
    if found is not None and not Path(found[0]).is_absolute():
        raise UnfitLaunch(
            f"--task {task_file}: expected the whole path of the file in the containers, such as "
            f"/shared/{task_file}, or MODULE:Class of a package in the image"
        )


def _where(run: str, claim: str | None, mount: str, bucket: str | None) -> str:
    """The run as the containers name it.  Raises `UnfitLaunch`."""
    from pbtnas.launch.errors import UnfitLaunch
    from pbtnas.launch.k8s import in_bucket

    if (claim is None) == (bucket is None):
        raise UnfitLaunch(
            "expected either --claim PVC, a volume that all nodes can write, or --bucket URL: "
            "coordinator and workers meet there"
        )
    if bucket is not None:
        return in_bucket(bucket, run)
    if not Path(run).is_relative_to(mount) or Path(run) == Path(mount):
        raise UnfitLaunch(
            f"{run}: expected a path below {mount}, where the claim {claim} is mounted (--mount)"
        )
    return run
