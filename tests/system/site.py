"""Real processes on a real run directory, with the tiny task that breaks when told to."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pbtnas.records import paths
from pbtnas.records.envelope import decode
from pbtnas.records.schema import Manifest, Result, Selected
from pbtnas.search.seeding import derive

TASK = f"{Path(__file__).with_name('faulty_task.py')}:FaultyTask"
MEMBERS, GENERATIONS, SEED = 6, 4, 5
CONFIG = f"""\
task: {{name: FaultyTask}}
run: {{seed: {SEED}}}
search: {{population: {MEMBERS}, generations: {GENERATIONS}, epochs: 2, tau: 0.34}}
engine: {{lease_s: 3, beat_s: 0.2, poll_s: 0.1, hang_s: 60, snapshot_s: 0, grace_s: 20}}
"""
PATIENCE_S = 400.0  # for anything at all; only a test that fails waits so long


def other_task(directory: Path) -> str:
    """The task after somebody has changed its search space, as `--task` takes it."""
    text = Path(__file__).with_name("faulty_task.py").read_text()
    (directory / "other_task.py").write_text(text.replace('("relu", "tanh")', '("tanh", "relu")'))
    return f"{directory / 'other_task.py'}:FaultyTask"


def wait_until(true: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """What `true` returns as soon as that is true; fails the test when it never is."""
    until_s = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until_s, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.02)
    return found


@dataclass
class Running:
    """A pbtnas process in a session of its own, and all that it has said."""

    process: subprocess.Popen[bytes]
    log: Path

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def until_it_says(self, pattern: str) -> re.Match[str]:
        """Wait for the words; they must come before the process ends."""

        def look() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.said())
            assert found or not ended, f"ended without saying {pattern!r}:\n{self.said()}"
            return found

        found: re.Match[str] = wait_until(look, f"{pattern!r} in:\n{self.said()}")
        return found

    def ends(self) -> int:
        """Wait for its end; the exit code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running:\n{self.said()}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to this process alone, as the out-of-memory killer does it."""
        self.process.kill()
        self.process.wait()


@dataclass
class Site:
    """One run directory, its configuration, and the processes a test starts on it."""

    directory: Path
    run_dir: Path
    environment: dict[str, str]
    started: list[Running] = field(default_factory=list)

    @property
    def config(self) -> Path:
        return self.directory / "config.yaml"

    # -- processes -----------------------------------------------------------------------------

    def start(self, *arguments: str, prefix: Sequence[str] = (), **environment: str) -> Running:
        log = self.directory / f"said-{len(self.started)}.txt"
        command = [*prefix, sys.executable, "-m", "pbtnas", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.environment, **environment},
                start_new_session=True,
            )
        self.started.append(Running(process, log))
        return self.started[-1]

    def coordinator(self, *more: str, **options: Any) -> Running:
        command = ("coordinator", str(self.config), str(self.run_dir), "--task", TASK)
        return self.start(*command, *self._scratch(), *more, **options)

    def worker(self, *more: str, **options: Any) -> Running:
        command = ("worker", str(self.run_dir), "--device", "cpu", "--task", TASK)
        return self.start(*command, *self._scratch(), *more, **options)

    def run(self, workers: int, *more: str, **options: Any) -> Running:
        command = ("run", str(self.config), str(self.run_dir), "--workers", str(workers))
        device = ("--device", "cpu", "--task", TASK)
        return self.start(*command, *device, *self._scratch(), *more, **options)

    def _scratch(self) -> tuple[str, str]:
        return "--scratch", str(self.directory / "scratch")

    def processes(self) -> list[int]:
        """Every living process of this site: their command lines name the run directory."""
        mark = f"{self.directory}/".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command, stat = path.read_bytes(), path.with_name("stat").read_text()
            except OSError:
                continue  # it has just ended
            if mark in command and stat.rpartition(")")[2].split()[0] not in "ZX":
                found.append(int(path.parent.name))
        return found

    def training_processes(self) -> list[int]:
        return [
            pid
            for pid in self.processes()
            if b"pbtnas.training" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def until(self, true: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
        """`wait_until`, but a process that broke down is told at once."""

        def look() -> Any:
            self.check()
            return true()

        return wait_until(look, what, seconds)

    def check(self) -> None:
        """No process may end in an exception that nobody expected."""
        for running in self.started:
            assert "Traceback (most recent call last)" not in running.said(), running.said()

    # -- faults --------------------------------------------------------------------------------

    def plan(self, generation: int, member: int, *faults: str) -> None:
        """What goes wrong in the next attempts at a job, one after the other."""
        faulty = Path(self.environment["PBTNAS_TEST_FAULTS"])
        faulty.mkdir(exist_ok=True)
        seed = derive(SEED, "job", generation, member)
        (faulty / str(seed)).write_text("\n".join(faults))

    # -- what the run directory says -------------------------------------------------------------

    def record(self, name: str, kind: str) -> Any:
        path = self.run_dir / name
        return decode(path.read_bytes(), name, kind=kind)

    def has(self, name: str) -> bool:
        return (self.run_dir / name).exists()

    def manifest(self, generation: int) -> Manifest:
        return Manifest.from_json(self.record(paths.manifest(generation), "manifest").core)

    def selected(self, generation: int) -> Selected:
        return Selected.from_json(self.record(paths.selection(generation), "selection").core)

    def ends(self, generation: int, member: int) -> list[Any]:
        """The end records of a job's attempts, in their order."""
        slot = self.run_dir / paths.job_slot(generation, member)
        found = sorted(slot.parent.glob(f"{slot.name}.*.end.json"))
        return [self.record(str(path.relative_to(self.run_dir)), "end").core for path in found]

    def claims(self, generation: int, member: int) -> int:
        slot = self.run_dir / paths.job_slot(generation, member)
        return sum("end" not in path.name for path in slot.parent.glob(f"{slot.name}.*.json"))

    def outcome(self) -> dict[str, Any]:
        """All that must not depend on who worked, when, or how often something died."""
        final = self.record(paths.FINAL, "final").core
        selections = [self.selected(g) for g in range(GENERATIONS)]
        return {
            "fingerprint": final["fingerprint"],
            "best": final["best_ever"],
            "checkpoints": {
                f"g{s.generation} m{r.member}": r.checkpoint for s in selections for r in s.results
            },
            "births": [birth for s in selections for birth in s.births],
            "results": {
                f"g{g} m{m}": self.result(g, m) for g in range(GENERATIONS) for m in range(MEMBERS)
            },
        }

    def result(self, generation: int, member: int) -> Result:
        return Result.from_json(self.record(paths.result(generation, member), "result").core)

    def litter(self) -> list[str]:
        """Private files that were left behind."""
        return [str(p.relative_to(self.run_dir)) for p in self.run_dir.rglob(".tmp-*")]


def make_site(directory: Path, run_dir: Path | None = None) -> Site:
    directory.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PBTNAS_TEST_FAULTS": str(directory / "faults"),
        "PYTHONWARNINGS": "error",
    }
    site = Site(directory, run_dir or directory / "run", environment)
    site.config.write_text(CONFIG)
    return site


def close_site(site: Site) -> None:
    """Kill what a test has left, and insist that nothing else is left."""
    for running in site.started:
        if running.process.poll() is None:
            running.kill()
    try:
        # What was killed takes its training process along.
        wait_until(lambda: not site.processes(), "all processes to end", 60)
        site.check()
    finally:
        for pid in site.processes():
            os.kill(pid, signal.SIGKILL)
