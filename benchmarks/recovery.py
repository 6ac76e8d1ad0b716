"""How long a run goes on without a process that was killed.

    OMP_NUM_THREADS=1 python benchmarks/recovery.py [--kills 30] [--lease 10]

Two jobs, three workers: two train, one waits.  Printed are p50, p99 and the longest of so many
kills, in seconds from SIGKILL until

    worker, one machine         the waiting worker has claimed the job of a worker that trained:
                                it sees in /proc that the holder is dead
    worker, two machines        the same, where it cannot see that and waits for the lease to
                                expire: every worker has a process-id namespace of its own
    coordinator, one machine    a coordinator that is started at the same moment has taken the
                                next term; so it is mostly the time that Python, torch and the
                                task take to start
    coordinator, two machines   the same from another process-id namespace

A worker that was killed is replaced before the next kill.  Namespaces need root and `unshare`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

from processes import PATIENCE_S, busy, family

from pbtnas.records import paths

TASK = f"{Path(__file__).with_name('long_task.py')}:LongTask"
JOBS, WORKERS = 2, 3
APART = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""In front of a command: as if it ran on a machine of its own."""


@dataclass
class Run:
    """A run of two long jobs.

    Args:
        directory: of the run, its configuration and what everybody says.
        apart: whether every process is on a machine of its own.
        lease_s: after which a silent holder counts as gone.
    """

    directory: Path
    apart: bool
    lease_s: float
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.directory / "run"

    def start(self, command: str, *more: str) -> subprocess.Popen[bytes]:
        line = [*APART] if self.apart else []
        line += [sys.executable, "-m", "pbtnas", command, *more, str(self.root), "--task", TASK]
        line += ["--scratch", str(self.directory)]
        with (self.directory / "said.txt").open("ab") as said:
            return subprocess.Popen(line, stdout=said, stderr=said)

    def coordinator(self) -> subprocess.Popen[bytes]:
        config = self.directory / "config.yaml"
        config.write_text(
            "task: {name: LongTask}\n"
            f"search: {{population: {JOBS}, generations: 1, epochs: 1}}\n"
            f"engine: {{lease_s: {self.lease_s}, beat_s: {self.lease_s / 10}}}\n"
        )
        return self.start("coordinator", str(config))

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("worker", "--device", "cpu")

    # -- what is on disk -----------------------------------------------------------------------

    def claims(self, job: int) -> int:
        """How many attempts at a job there were."""
        return len(list((self.root / paths.claims(0)).glob(f"m{job:02d}.[0-9][0-9][0-9].json")))

    def terms(self) -> int:
        return len(list(self.root.glob("coordinator/term.[0-9][0-9][0-9].json")))

    def holder(self, job: int) -> subprocess.Popen[bytes] | None:
        """The process that has a job in hand and has sent a heartbeat for it."""
        slot = self.root / paths.claims(0) / f"m{job:02d}.{self.claims(job):03d}"
        try:
            claim = json.loads(slot.with_suffix(f"{slot.suffix}.json").read_text())
        except FileNotFoundError:
            return None
        if not slot.with_suffix(f"{slot.suffix}.beat").exists():
            return None
        holder = claim["core"]["holder"]
        for worker in self.workers:
            if (holder["pid_namespace"], holder["pid"]) in map(identity, family(worker.pid)):
                return worker
        return None

    def idle(self) -> bool:
        """Whether a living worker waits for work."""
        beats = (self.root / paths.WORKERS).glob("*.beat")
        now_s = time.time()
        return any(
            b"waiting for work" in beat.read_bytes() and now_s - beat.stat().st_mtime < self.lease_s
            for beat in beats
        )


def identity(pid: int) -> tuple[str, int]:
    """Namespace of a process, and its id there, as a claim has them."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        namespace = Path(f"/proc/{pid}/ns/pid").readlink().name
    except OSError:
        return "", 0  # it has ended
    return namespace, int(status.partition("NSpid:")[2].splitlines()[0].split()[-1])


def until(true: Callable[[], Any], what: str, pause_s: float = 0.005) -> Any:
    """Wait for something; what was found."""
    until_s = time.monotonic() + PATIENCE_S
    while not (found := true()):
        if time.monotonic() > until_s:
            raise TimeoutError(f"waited {PATIENCE_S:g} s in vain for {what}")
        time.sleep(pause_s)
    return found


def kill(process: subprocess.Popen[bytes]) -> float:
    """SIGKILL to a process, and by `unshare` to the one that it stands for; when that was."""
    now_s = time.monotonic()
    process.kill()
    process.wait()
    return now_s


def worker_kills(run: Run, kills: int, rng: random.Random) -> list[float]:
    """Seconds until the job of a killed worker is claimed by another one."""
    seconds = []
    for _ in range(kills):
        until(run.idle, "a waiting worker", 0.1)
        job = rng.randrange(JOBS)
        victim = until(lambda: run.holder(job), "a worker in a job", 0.1)  # noqa: B023
        time.sleep(rng.uniform(0, run.lease_s / 5))
        before = run.claims(job)
        killed_s = kill(victim)
        until(lambda: run.claims(job) > before, "the next claim")  # noqa: B023
        seconds.append(time.monotonic() - killed_s)
        run.workers.remove(victim)
        run.workers.append(run.worker())
    return seconds


def coordinator_kills(
    run: Run, coordinator: subprocess.Popen[bytes], kills: int, rng: random.Random
) -> list[float]:
    """Seconds until the successor of a killed coordinator has taken a term."""
    seconds = []
    try:
        for _ in range(kills):
            time.sleep(rng.uniform(1, 2))
            before = run.terms()
            killed_s = kill(coordinator)
            coordinator = run.coordinator()
            until(lambda: run.terms() > before, "the next term")  # noqa: B023
            seconds.append(time.monotonic() - killed_s)
    finally:
        kill(coordinator)
    return seconds


def measure(directory: Path, *, apart: bool, kills: int, lease_s: float) -> None:
    """Both kinds of kills on one run; prints a row for each."""
    directory.mkdir()
    run = Run(directory, apart, lease_s)
    rng = random.Random(0)
    coordinator = run.coordinator()
    where = f"two machines (lease {lease_s:g} s)" if apart else "one machine"
    try:
        until(lambda: (run.root / paths.manifest(0)).exists(), "the run to begin")
        run.workers += [run.worker() for _ in range(WORKERS)]
        show(f"worker, {where}", worker_kills(run, kills, rng))
        show(f"coordinator, {where}", coordinator_kills(run, coordinator, kills, rng))
    finally:
        for process in [coordinator, *run.workers]:
            if process.poll() is None:
                kill(process)


def show(what: str, seconds: list[float]) -> None:
    """A row of the table."""
    percentiles = quantiles(seconds, n=100, method="inclusive")
    cells = (percentiles[49], percentiles[98], max(seconds))
    times = " | ".join(f"{cell:.2f}" for cell in cells)
    print(f"| {what} | {len(seconds)} | {times} |", flush=True)


def main() -> None:
    """Measure and print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--lease", type=float, default=10.0, help="seconds")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores; {busy()}\n\n| killed | times | p50 s | p99 s | longest s |")
    print("|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="recovery-") as name:
        for apart in (False, True):
            place = Path(name) / ("apart" if apart else "together")
            measure(place, apart=apart, kills=options.kills, lease_s=options.lease)


if __name__ == "__main__":
    main()
