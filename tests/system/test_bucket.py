"""A search in a bucket: three machines that share nothing but an object store.

Whatever happens to processes, local directories and requests, it ends like the `reference`.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records import paths
from pbtnas.store.bucket.client import Client
from tests.store.object_store import Faults, environment_of, moto, proxy
from tests.system.site import TASK, Running, Site

pytest.importorskip("obstore")
pytest.importorskip("moto")

URL = "s3://runs/search"


@pytest.fixture
def faults() -> Faults:
    return Faults(lost=0.02, repeated=0.02, busy=0.02, conflict=0.05)


@pytest.fixture
def endpoint(faults: Faults) -> Iterator[str]:
    with moto() as upstream, proxy(upstream, faults) as found:
        yield found


def objects_of(told: dict[str, str]) -> Client:
    """The objects of the run, seen by the test itself."""
    from obstore.store import S3Store

    store = S3Store(
        "runs",
        prefix="search",
        endpoint=told["AWS_ENDPOINT_URL"],
        access_key_id=told["AWS_ACCESS_KEY_ID"],
        secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        region=told["AWS_REGION"],
        client_options={"allow_http": True},
    )
    return Client(store, URL)


def download(told: dict[str, str], run_dir: Path) -> None:
    """Copy the run into a directory."""
    objects = objects_of(told)
    for found in objects.everything():
        path = run_dir / found.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(objects.get(found.name) or b"")


def start(
    site: Site, endpoint: str, machine: str, command: str, *more: str, step_s: float = 0.0
) -> Running:
    """A process on a machine of its own: another name, another local directory."""
    cache = site.directory / machine
    words = ["--cache", str(cache), "--machine", machine, "--task", TASK]
    words += ["--scratch", str(site.directory / "scratch")]
    config = [str(site.config)] if command == "coordinator" else []
    device = ["--device", "cpu"] if command == "worker" else []
    told = {**environment_of(endpoint), "PBTNAS_TEST_STEP_S": str(step_s)}
    return site.start(command, *config, URL, *words, *device, *more, **told)


@pytest.mark.slow
def test_machines_that_share_a_bucket_alone_find_the_same_members(
    site: Site, reference: dict[str, Any], endpoint: str, faults: Faults
) -> None:
    """Two workers and a coordinator; before, one worker was asked to stop in the middle of a job,
    one was killed, and the disks of both and of the coordinator were lost.  It is bit for bit the
    search of a directory, and the first job went on from its snapshot."""
    objects = objects_of(environment_of(endpoint))
    coordinator = start(site, endpoint, "head", "coordinator", "--set", "engine.lease_s=6")
    asked = start(site, endpoint, "asked", "worker", step_s=0.3)
    asked.until_it_says("training g0000 m")
    site.until(lambda: any((site.directory / "asked").rglob("log.jsonl")), "a step")
    asked.send(signal.SIGTERM)
    assert asked.ends() == 75, asked.said()
    (snapshot,) = [f.name for f in objects.everything() if "/snapshot-" in f.name]
    shutil.rmtree(site.directory / "asked")
    first = start(site, endpoint, "lost", "worker")
    first.until_it_says("training g0000 m")
    first.kill()
    site.until(lambda: not site.training_processes(), "its training process to end")
    shutil.rmtree(site.directory / "lost")
    shutil.rmtree(site.directory / "head")
    workers = [start(site, endpoint, name, "worker") for name in ("left", "right")]

    assert coordinator.ends() == 0, coordinator.said()
    for worker in workers:
        assert worker.ends() == 0, worker.said()
    download(environment_of(endpoint), site.run_dir)
    assert site.outcome() == reference
    member = snapshot.split("/")[-2].partition(".")[0]
    logs = site.run_dir.glob(f"generations/0000/attempts/{member}.*/log.jsonl")
    assert sum(len(log.read_text().splitlines()) for log in logs) == 10, "no step done twice"
    assert all(faults.counts[what] for what in ("lost", "repeated", "busy", "conflict"))
    assert (site.run_dir / paths.HEAD).exists()
    told = {**environment_of(endpoint), "PBTNAS_CACHE": str(site.directory / "looking")}
    looked = site.start("fsck", URL, **told)
    assert looked.ends() == 0, looked.said()
    assert f"{URL}: every record and checkpoint is as it was written" in looked.said()
