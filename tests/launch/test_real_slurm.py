"""Searches under a real Slurm: whatever it does to them, they end with the same fingerprint.

    make test-slurm

Each takes a minute or two, most of it waiting for Slurm.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records import paths
from tests.launch.slurm_lab import SlurmLab, make_lab, missing
from tests.system.site import CONFIG, TASK, Running, Site, close_site, make_site, wait_until
from tests.system.test_full_disk import fill, small_disk

__all__ = ["small_disk"]  # a fixture

pytestmark = pytest.mark.slurm

STEP_S = "0.3"  # a job has 10 steps


@pytest.fixture(scope="module")
def slurm() -> Iterator[SlurmLab]:
    """A Slurm with nodes n1 and n2 for workers, and svc for the coordinator."""
    if missing():
        pytest.skip(f"no {missing()} here (Debian: apt-get install slurm-wlm munge)")
    with tempfile.TemporaryDirectory(prefix="slurm-") as directory:
        lab = make_lab(Path(directory))
        try:
            lab.begin()
            yield lab
        finally:
            lab.end()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The outcome of the search that nothing happens to."""
    site = make_site(tmp_path_factory.mktemp("reference"))
    running = site.run(2)
    assert running.ends() == 0
    outcome = site.outcome()
    close_site(site)
    return outcome


class SlurmSite(Site):
    """A run directory whose workers Slurm starts."""

    lab: SlurmLab
    step_s: str = STEP_S

    def command(self, *arguments: str) -> Running:
        running = self.start(*arguments, PBTNAS_TEST_STEP_S=self.step_s)
        assert running.ends() == 0, running.said()
        return running

    def launch(self, workers: int, *more: str) -> str:
        """Launch the coordinator on svc and workers of one core each; what was said."""
        self.environment["SLURM_CONF"] = self.lab.environment["SLURM_CONF"]
        command = ("launch", "slurm", str(self.config), str(self.run_dir), "--gpus", "0")
        options = ("--workers", str(workers), "--task", TASK, "--coordinator-sbatch=partition=svc")
        return self.command(*command, *options, *self._scratch(), *more).said()

    def log(self, name: str) -> str:
        path = self.run_dir / paths.LAUNCH / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> str:
        return "\n".join(p.read_text() for p in sorted((self.run_dir / "launch").glob("*.log")))

    def until_trained(self, results: int) -> None:
        """Wait for so many results."""
        found = lambda: len(list(self.run_dir.glob("generations/*/results/*.json")))  # noqa: E731
        wait_until(lambda: found() >= results, f"{results} results:\n{self.logs()}")

    def until_said(self, log: str, words: str) -> None:
        wait_until(lambda: words in self.log(log), f"{words!r} in {log}:\n{self.logs()}")

    def until_over(self) -> None:
        """Wait until Slurm has no job left, which only the end of the run makes true."""
        wait_until(self.lab.ended, "all jobs to end")
        assert self.has(paths.FINAL), self.logs()

    def pids_of(self, job: str) -> list[int]:
        """The processes of a task: those of Slurm's job of that number."""
        mark = f"SLURM_ARRAY_TASK_ID={job}\0".encode()
        return [
            pid
            for pid in self.processes()
            if mark in Path(f"/proc/{pid}/environ").read_bytes()
            and b"worker\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]


@pytest.fixture
def site(tmp_path: Path, slurm: SlurmLab) -> Iterator[SlurmSite]:
    """A run that nobody has started; afterwards Slurm has no jobs."""
    made = make_site(tmp_path / "site")
    made.config.write_text(CONFIG.replace("grace_s: 20", "grace_s: 5"))
    site = SlurmSite(made.directory, made.run_dir, made.environment)
    site.lab = slurm
    try:
        yield site
        site.check()
    finally:
        slurm.call("scancel", f"--user={os.environ.get('USER', 'root')}")
        wait_until(slurm.ended, "all jobs to end", 90)
        close_site(site)


def tell(record_property: Any, what: str, since_s: float) -> None:
    """A time for the table of docs/clusters.md, in the file of `--junitxml`."""
    record_property(what, f"{time.monotonic() - since_s:.1f} s")


def test_the_last_task_takes_no_other_with_it(
    site: SlurmSite, reference: Any, record_property: Any
) -> None:
    """SLURM_JOB_ID of the last task is the number of the whole array: only it is queued again."""
    site.launch(3)
    for task in range(3):
        site.until_said(f"worker-{task}", "training")
    since_s = time.monotonic()
    for pid in site.pids_of("2"):
        os.kill(pid, signal.SIGUSR1)
    site.until_said("worker-2", "is queued again")
    tell(record_property, "from the signal to being queued again", since_s)
    site.until_over()

    assert site.outcome() == reference
    assert [site.log(f"worker-{task}").count("working on") for task in (0, 1)] == [1, 1]


def test_what_was_cancelled_does_not_come_back(
    site: SlurmSite, reference: Any, record_property: Any
) -> None:
    """`launch stop` leaves nothing pending, and jobs handed back; the same launch goes on."""
    site.launch(4)
    site.until_trained(2)
    since_s = time.monotonic()
    site.command("launch", "stop", str(site.run_dir))
    wait_until(site.lab.ended, "all jobs to end", 60)
    tell(record_property, "from `launch stop` to no job", since_s)
    handed_back = [name for name in range(4) if "handed back" in site.log(f"worker-{name}")]
    assert handed_back and "is queued again" not in site.logs()

    assert "4 submitted, 0 there already" in site.launch(4)
    site.until_over()
    assert site.outcome() == reference


def test_stop_now_waits_for_nobody(site: SlurmSite, reference: Any, record_property: Any) -> None:
    """Killed workers hand nothing back, and the search ends the same."""
    site.launch(4)
    site.until_trained(1)
    since_s = time.monotonic()
    site.command("launch", "stop", "--now", str(site.run_dir))
    wait_until(site.lab.ended, "all jobs to end", 60)
    tell(record_property, "from `launch stop --now` to no job", since_s)
    assert "handed back" not in site.logs()

    site.launch(2)
    site.until_over()
    assert site.outcome() == reference


def test_preempted_workers_and_coordinator_come_back(
    site: SlurmSite, reference: Any, record_property: Any
) -> None:
    """Jobs of a partition with priority take all nodes; Slurm queues ours again afterwards."""
    site.step_s = "1.0"
    site.launch(4)
    site.until_trained(1)
    since_s = time.monotonic()
    for partition, nodes in (("high", "2"), ("svchigh", "1")):
        wrap = ("--exclusive", "--nodes", nodes, "--output=/dev/null", "--wrap", "sleep 1")
        site.lab.call("sbatch", "--partition", partition, "--chdir=/", *wrap)
    wait_until(lambda: "PREEMPTION" in site.log("coordinator"), f"preemption:\n{site.logs()}")
    site.until_said("worker-0", "handed back")
    tell(record_property, "from preemption to the hand-back", since_s)
    wait_until(lambda: site.log("worker-0").count("working on") == 2, f"again:\n{site.logs()}")
    tell(record_property, "from preemption to the next start", since_s)
    site.until_over()

    assert site.outcome() == reference


def test_a_node_that_dies_is_replaced(
    site: SlurmSite, reference: Any, record_property: Any
) -> None:
    """Its daemon and workers are killed; Slurm queues their tasks again on the other node."""
    site.step_s = "1.0"
    site.launch(2)  # both on n1, which has two cores
    for task in range(2):
        site.until_said(f"worker-{task}", "training")
    since_s = time.monotonic()
    site.lab.fail_node("n1")
    try:
        wait_until(
            lambda: (
                any(site.log(f"worker-{t}").count("working on") == 2 for t in range(2))
                or site.has(paths.FINAL)
            ),
            f"a second start:\n{site.logs()}",
        )
        tell(record_property, "from the death of the node to the next start", since_s)
    finally:
        site.lab.start_node("n1")
    site.until_over()

    assert site.outcome() == reference


def test_an_array_larger_than_the_cluster(site: SlurmSite, reference: Any) -> None:
    """Four tasks find a place; the others see a finished run, and none stays pending."""
    site.launch(6)
    site.until_trained(1)
    listed = site.command("launch", "list", str(site.run_dir)).said()
    assert listed.count("RUNNING") == 5 and listed.count("PENDING") == 2, listed
    assert (
        "2 submitted, 6 there already"
        in site.command("launch", "scale", "8", str(site.run_dir)).said()
    )
    assert (
        "0 submitted, 3 there already"
        in site.command("launch", "scale", "3", str(site.run_dir)).said()
    )
    site.until_over()

    assert site.outcome() == reference
    assert not site.log("worker-7")


def test_the_time_limit_queues_each_task_again(
    site: SlurmSite, reference: Any, record_property: Any
) -> None:
    """A worker hands back and queues its own task again, with its log appended; the run ends."""
    site.step_s = "1.0"  # the search takes longer than the time
    site.launch(2, "--time", "2", "--coordinator-sbatch=time=30")
    for worker in ("worker-0", "worker-1"):
        site.until_said(worker, "is queued again")
    since_s = time.monotonic()
    wait_until(lambda: site.log("worker-0").count("working on") == 2, f"again:\n{site.logs()}")
    tell(record_property, "from the hand-back to the next start", since_s)
    site.until_over()

    assert site.outcome() == reference
    assert "TIME LIMIT" not in site.logs(), "Slurm ended it, and not the worker itself"


def test_a_full_disk_is_waited_for(
    site: SlurmSite, small_disk: Path, reference: Any, record_property: Any
) -> None:
    """Also where the logs of Slurm lie on it, which then lack lines: no job ends, and the search
    goes on once there is room."""
    site.run_dir = small_disk / "run"
    site.launch(2)
    site.until_trained(3)
    fill(small_disk)
    done = len(list(site.run_dir.glob("generations/*/results/*.json")))
    wait_until(lambda: "disk" in site.command("status", str(site.run_dir)).said(), "told")
    assert site.lab.states() == ["RUNNING"] * 3, site.logs()
    (small_disk / ".filler").unlink()
    since_s = time.monotonic()
    site.until_trained(done + 1)
    tell(record_property, "from room on the disk to the next result", since_s)
    site.until_over()

    assert site.outcome() == reference
    assert "is queued again" not in site.logs()
