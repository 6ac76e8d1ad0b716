"""What `pbtnas launch k8s` prints, run as Kubernetes would run it, on a bucket of moto's S3.

Each pod is a process-id namespace with the command, variables and directories of the manifest; a
pod that ends is judged by the rules of its Job.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from pbtnas.cli.app import cli
from pbtnas.errors import ExitCode
from tests.store.object_store import environment_of, moto_with_users
from tests.system.site import TASK, Running, Site
from tests.system.test_bucket import download
from tests.system.test_container import APART

pytest.importorskip("obstore")
pytest.importorskip("moto")

POD = (*APART, "--kill-child")  # with the test
SECRET = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@dataclass
class Cluster:
    """Runs the pods of a manifest on this machine.

    Args:
        site: Whose processes and files they are.
        endpoint: Address of the store.
        secret: The variables in the secret.
        objects: The manifest.
        made: How many pods there were.
    """

    site: Site
    endpoint: str
    secret: dict[str, str]
    objects: list[Any]
    made: int = 0

    def pod(self, component: str, index: int, node: str) -> Pod:
        """Start the next pod of a Job, with an empty disk, on a node of that name."""
        job = self.objects[1 if component == "coordinator" else 2]
        directory = self.site.directory / f"pod-{self.made}"
        self.made += 1
        (directory / "scratch").mkdir(parents=True)
        (directory / "config.yaml").write_text(self.objects[0]["data"]["config.yaml"])
        return Pod(self, job, index, node, directory).start()


@dataclass
class Pod:
    """One pod, of one container."""

    cluster: Cluster
    job: Any
    index: int
    node: str
    directory: Path
    running: Running = field(init=False)
    killed: bool = False

    @property
    def container(self) -> Any:
        return self.job["spec"]["template"]["spec"]["containers"][0]

    def start(self) -> Pod:
        _, *words = self.here([*self.container["command"], *self.container["args"]])
        self.running = self.cluster.site.start(*words, prefix=POD, **self.environment())
        return self

    def here(self, words: list[str]) -> list[str]:
        """Words of the manifest: Kubernetes puts values in the places of variables, and the
        directories of the container are those of this pod."""
        words = [word.replace("$(NODE)", self.node) for word in words]
        mounted = ("/scratch", "/etc/pbtnas/config.yaml")
        for path, here in zip(mounted, ("scratch", "config.yaml"), strict=True):
            place = str(self.directory / here)
            words = [re.sub(f"^{path}(?=/|$)", place, word) for word in words]
        return words

    def environment(self) -> dict[str, str]:
        named = {v["name"]: v.get("value", self.node) for v in self.container["env"]}
        values = dict(zip(named, self.here(list(named.values())), strict=True))
        (source,) = self.container["envFrom"]
        assert source == {"secretRef": {"name": "bucket"}}
        completion = {"JOB_COMPLETION_INDEX": str(self.index), "HOSTNAME": f"pod-{self.index}"}
        return {**self.cluster.secret, **completion, **values}

    def process(self) -> int:
        """Process 1 of the container."""
        outer = self.running.process.pid
        (first,) = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
        return int(first)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process(), number)
        # `unshare` of util-linux 2.38 does not say so itself.
        self.killed = number == signal.SIGKILL

    def probe(self) -> int:
        """The exit code of the liveness probe, inside."""
        _, *words = self.container["livenessProbe"]["exec"]["command"]
        inside = ("nsenter", "--target", str(self.process()), "--pid", "--mount")
        return self.cluster.site.start(*words, prefix=inside, **self.environment()).ends()

    def ends(self) -> str:
        """What its end means to the Job."""
        code = self.running.ends()
        code = 128 + signal.SIGKILL if self.killed else code
        if code == ExitCode.OK:
            return "Complete"
        for rule in self.job["spec"]["podFailurePolicy"]["rules"]:
            if code in rule.get("onExitCodes", {}).get("values", ()):
                return str(rule["action"])
        return f"Count {code}"

    def again(self, node: str) -> Pod:
        """The pod that takes its place, on a node of that name."""
        return self.cluster.pod(self.container["name"], self.index, node)


@pytest.fixture
def cluster(site: Site) -> Iterator[Cluster]:
    """A cluster for a search of two workers in a bucket, whose keys lie in a secret."""
    with moto_with_users() as (endpoint, users):
        told = environment_of(endpoint)
        secret = dict(zip(SECRET, users["writer"], strict=True))
        variables = [f"{k}={v}" for k, v in told.items() if k not in SECRET]
        where = ("--bucket", "s3://runs", "--secret", "bucket", "--task", TASK)
        words = ["--image", "i", "--workers", "2", "--gpus", "0", *where]
        words += [word for variable in variables for word in ("--env", variable)]
        words += ["--set", "engine.lease_s=6"]
        command = ["launch", "k8s", str(site.config), "search", *words]
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == ExitCode.OK, done.output
        for name in [name for name in site.environment if name.startswith(("AWS_", "PBTNAS_"))]:
            if not name.startswith("PBTNAS_TEST_"):
                del site.environment[name]
        site.environment["PBTNAS_TEST_STEP_S"] = "0.2"
        yield Cluster(site, endpoint, secret, list(yaml.safe_load_all(done.stdout)))


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root")
def test_pods_that_are_drained_and_killed_are_replaced_until_the_search_ends(
    cluster: Cluster, site: Site, reference: dict[str, Any]
) -> None:
    """Every command of the manifest works as it stands, with nothing but its variables and the
    secret's; the probe knows who works; and the end is that of a search in a directory."""
    coordinator = cluster.pod("coordinator", 0, "node-a")
    drained, killed = (cluster.pod("worker", i, f"node-{name}") for i, name in enumerate("ab"))
    drained.running.until_it_says("training g0000 m")
    killed.running.until_it_says("training g0000 m")
    assert drained.probe() == 0

    drained.send(signal.SIGTERM)
    assert drained.ends() == "Ignore"
    assert "handed back" in drained.running.said()
    killed.send(signal.SIGKILL)
    assert killed.ends() == "Count 137"
    workers = [drained.again("node-b"), killed.again("node-a")]
    workers[0].running.until_it_says("training g")
    coordinator.send(signal.SIGTERM)
    assert coordinator.ends() == "Ignore"
    coordinator = coordinator.again("node-b")
    coordinator.running.until_it_says("generation ")
    coordinator.send(signal.SIGKILL)
    assert coordinator.ends() == "Count 137"
    coordinator = coordinator.again("node-a")

    assert coordinator.ends() == "Complete", coordinator.running.said()
    for worker in workers:
        assert worker.ends() == "Complete", worker.running.said()
    assert cluster.pod("worker", 1, "node-c").ends() == "Complete", "one that comes too late"
    download({**environment_of(cluster.endpoint), **cluster.secret}, site.run_dir)
    assert site.outcome() == reference
