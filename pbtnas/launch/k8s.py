"""What is asked for of Kubernetes, checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pbtnas.launch.errors import UnfitLaunch
from pbtnas.store.bucket.address import parse

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_QUANTITY = re.compile(r"(?P<number>\d+(\.\d+)?)([KMGTP]i|[kMGTP])?")
_KEYS = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY"),
    *("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_SAS_KEY", "AZURE_CLIENT_SECRET"),
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for.

    Args:
        name: Beginning of the names of all objects.
        run: The run, as the containers name it: a path below `mount`, or a URL.
        config: The configuration, as YAML.
        image: The container image.
        workers: How many.
        grace_s: `engine.grace_s` of the configuration.
        lease_s: `engine.lease_s` of the configuration.
        common: Options of coordinator and workers, such as `--task`.
        claim: A claim of a volume that all nodes can write (ReadWriteMany), or None.
        mount: Where it is mounted.
        secret: A secret with variables for all containers, or None.
        account: Service account of all pods, by which a cloud knows them; None for the default.
        environment: Variables for all containers.
        gpus: GPUs of a worker.
        cpus: Processor cores that a worker requests.
        mem: Memory that a worker requests and may have, as Kubernetes writes it.
        shm: Shared memory of a worker, for data loaders.
        queue: A queue of Kueue, or None.
        spot: Whether workers run on nodes that may be taken away.
    """

    name: str
    run: str
    config: str
    image: str
    workers: int
    grace_s: float
    lease_s: float
    common: Sequence[str] = ()
    claim: str | None = None
    mount: str = "/shared"
    secret: str | None = None
    account: str | None = None
    environment: Mapping[str, str]
    gpus: int = 1
    cpus: int = 1
    mem: str | None = None
    shm: str = "2Gi"
    queue: str | None = None
    spot: bool = False


def name_of(run: str) -> str:
    """What the objects of a run are called: by the last part of its path."""
    leaf = run.rstrip("/").rpartition("/")[2].lower()
    return f"pbtnas-{re.sub('[^a-z0-9]+', '-', leaf)}"[:40].strip("-")


def checked_name(name: str, option: str) -> str:
    """The name itself.  Raises `UnfitLaunch` if Kubernetes would not have it."""
    if not _NAME.fullmatch(name):
        raise UnfitLaunch(
            f"{option} {name}: expected up to 40 lower-case letters, digits and hyphens"
        )
    return name


def checked_object(name: str, option: str, *, longest: int = 253) -> str:
    """The name of an object of the cluster (DNS-1123).  Raises `UnfitLaunch` if it cannot be one.

    Args:
        name: What the user has given.
        option: The option it was given with.
        longest: Number of characters that Kubernetes allows there.
    """
    if not _OBJECT.fullmatch(name) or len(name) > longest:
        raise UnfitLaunch(
            f"{option} {name}: expected the name of an object of Kubernetes: up to {longest} "
            "lower-case letters, digits and hyphens, such as team-a"
        )
    return name


def checked_quantity(size: str, option: str) -> str:
    """A size of memory itself.  Raises `UnfitLaunch` if Kubernetes would not read it as one."""
    match = _QUANTITY.fullmatch(size)
    if match is None or float(match["number"]) == 0:
        raise UnfitLaunch(
            f"{option} {size}: expected bytes as Kubernetes writes them, such as 16Gi: a number "
            "with Ki, Mi, Gi, Ti, Pi, k, M, G, T, P or no unit"
        )
    return size


def checked_image(image: str) -> str:
    """The name of an image itself.  Raises `UnfitLaunch` for none, and for one with blanks."""
    if not image or re.search(r"\s", image):
        raise UnfitLaunch(
            f"--image {image}: expected a name without blanks, such as registry/pbtnas:1"
        )
    return image


def variables(options: Iterable[str]) -> dict[str, str]:
    """The variables of `--env KEY=VALUE`.  Raises `UnfitLaunch` for what is none."""
    found = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise UnfitLaunch(f"--env {option}: expected KEY=VALUE")
        if key in _KEYS:
            raise UnfitLaunch(
                f"--env {key}: would stand readable in what is applied; put it into a secret, and "
                "give its name as --secret"
            )
        found[key] = value
    return found


def in_bucket(bucket: str, run: str) -> str:
    """The URL of a run in a bucket.  Raises `UnfitLaunch` and `BadAddress`."""
    if "://" not in bucket or parse(bucket)[0] == "file":
        raise UnfitLaunch(f"--bucket {bucket}: expected a URL, such as s3://bucket/runs")
    whole = f"{bucket.rstrip('/')}/{run.lstrip('/')}"
    parse(whole)
    return whole
