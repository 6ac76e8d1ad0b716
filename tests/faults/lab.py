"""A run directory on a faulty disk that two clients have mounted, and what has to hold in the end.

The client `a` has the coordinator and the first worker, the client `b` the second worker.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pbtnas.records import paths
from tests.faults.rules import Rule, write_rules
from tests.system.site import GENERATIONS, TASK, Running, Site, wait_until

CLIENTS = ("a", "b")
LIMIT_S = float(os.environ.get("PBTNAS_FAULTS_LIMIT_S", "600"))
"""For a whole case; only one that fails takes so long."""


@dataclass
class FaultySite(Site):
    """A site whose disk is served by processes that are not the run's."""

    def processes(self) -> list[int]:
        return [pid for pid in super().processes() if b"faulty_disk" not in command_line(pid)]


def command_line(pid: int) -> bytes:
    """Of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@dataclass
class Lab:
    """One run directory behind two mounts.

    Args:
        site: its configuration and records; `site.run_dir` is behind the mounts, without faults.
        seed: of all that is random in the case.
    """

    site: FaultySite
    seed: int = 0
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)
    until_s: float = field(default_factory=lambda: time.monotonic() + LIMIT_S)

    @property
    def rules(self) -> Path:
        return self.site.directory / "rules"

    def mount(self, client: str) -> Path:
        return self.site.directory / "mounts" / client

    # -- the disk ------------------------------------------------------------------------------

    def serve(self, *, absent_s: float = 0.0, listing_s: float = 0.0) -> None:
        """Mount the directory for both clients."""
        back = self.site.run_dir.parent
        back.mkdir(parents=True, exist_ok=True)
        for number, client in enumerate(CLIENTS):
            mount = self.mount(client)
            mount.mkdir(parents=True)
            command = [sys.executable, "-m", "tests.faults.faulty_disk"]
            command += [str(back), str(mount), str(self.rules), "--seed", str(self.seed + number)]
            command += ["--absent-s", str(absent_s), "--listing-s", str(listing_s)]
            with (self.site.directory / f"server-{client}.txt").open("wb") as log:
                self.servers.append(subprocess.Popen(command, stdout=log, stderr=log))
            wait_until(mount.is_mount, f"{mount} to be mounted", 60)

    def close(self) -> None:
        for client in CLIENTS:
            command = ["fusermount3", "-u", "-z", str(self.mount(client))]
            subprocess.run(command, check=False, capture_output=True)
        for server in self.servers:
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def plant(self, *rules: Rule) -> None:
        """What goes wrong from now on, and nothing else."""
        write_rules(self.rules, *rules)

    def struck(self) -> Counter[str]:
        """How often which fault has struck."""
        log = self.rules.with_suffix(".log")
        lines = map(json.loads, log.read_text().splitlines()) if log.exists() else ()
        return Counter(f"{line['op']} {line['kind']}" for line in lines)

    # -- processes -----------------------------------------------------------------------------

    def coordinator(self, *more: str, **environment: str) -> Running:
        run = str(self.mount("a") / "run")
        command = ("coordinator", str(self.site.config), run, "--task", TASK)
        return self.site.start(*command, *self._scratch(), *more, **environment)

    def worker(
        self, client: str = "a", *more: str, prefix: Sequence[str] = (), **environment: str
    ) -> Running:
        command = ("worker", str(self.mount(client) / "run"), "--device", "cpu", "--task", TASK)
        return self.site.start(*command, *self._scratch(), *more, prefix=prefix, **environment)

    def everybody(self, *engine: str, step_s: float = 0.02) -> list[Running]:
        """A coordinator and two workers; `engine` overrides keys of the section `engine`."""
        sets = [word for key in engine for word in ("--set", f"engine.{key}")]
        environment = {"PBTNAS_TEST_STEP_S": str(step_s)}
        coordinator = self.coordinator(*sets)
        return [coordinator, *(self.worker(client, **environment) for client in CLIENTS)]

    def _scratch(self) -> tuple[str, str]:
        return "--scratch", str(self.site.directory / "scratch")

    def family(self, running: Running) -> list[int]:
        """A process and its training process, as a group or a batch system signals them."""
        pids = [running.process.pid]
        for pid in self.site.processes():
            try:
                parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == running.process.pid:
                pids.append(pid)
        return pids

    # -- the end -------------------------------------------------------------------------------

    def left_s(self) -> float:
        """Seconds until the case has taken too long."""
        return max(1.0, self.until_s - time.monotonic())

    def end(self, processes: Sequence[Running]) -> list[int]:
        """Wait for all of them; their exit codes."""
        codes = []
        for running in processes:
            try:
                codes.append(running.process.wait(self.left_s()))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"still running:\n{self.tails()}") from None
        return codes

    def tails(self) -> str:
        """The last words of every process."""
        texts = [
            f"{' '.join(map(str, running.process.args[3:5]))} ({running.process.poll()}): "
            + "\n    ".join(running.said().splitlines()[-6:])
            for running in self.site.started[-6:]
        ]
        return "\n".join(texts)

    def holds(self, reference: dict[str, Any]) -> None:
        """The outcome is that of an undisturbed run, and nothing is left that should not be."""
        self.plant()
        self.site.check()
        assert self.site.outcome() == reference, self.tails()
        wait_until(lambda: not self.site.processes(), "all processes to end", 30)
        assert not self.locked(), "a lock outlives its process"
        assert not self.litter(), f"left behind: {self.litter()}"

    def locked(self) -> bool:
        """Whether somebody still holds the coordinator's lock."""
        for client in CLIENTS:
            lock = self.mount(client) / "run" / paths.COORDINATOR_LOCK
            with lock.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return True
        return False

    def litter(self) -> list[str]:
        """Private files of generations that were collected."""
        old = [self.site.run_dir / paths.generation(g) for g in range(GENERATIONS - 3)]
        return [str(path) for directory in old for path in directory.rglob(".tmp-*")]


def stop(pids: Sequence[int], number: signal.Signals) -> bool:
    """Send a signal to those that still live; whether somebody does."""
    sent = False
    for pid in pids:
        try:
            os.kill(pid, number)
            sent = True
        except ProcessLookupError:
            continue
    return sent
