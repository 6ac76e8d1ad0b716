"""Processes that are killed, stopped and signalled at random moments, on a disk with faults."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pbtnas.records import paths
from tests.faults.lab import Lab, stop
from tests.faults.rules import Rule
from tests.system.site import GENERATIONS, MEMBERS, Running

pytestmark = pytest.mark.faults

SLOW = {"PBTNAS_TEST_STEP_S": "0.1"}
LEASE_S = 3.0


class Storm:
    """Keeps a coordinator and two workers alive while something happens to them.

    Args:
        lab: where they work.
        rng: chooses victims and moments.
        apart: what stands in front of the second worker's command.
    """

    def __init__(self, lab: Lab, rng: random.Random, apart: Sequence[str] = ()) -> None:
        self.lab = lab
        self.rng = rng
        self.happened = 0
        self.codes: list[int] = []
        self._roles: list[Callable[[], Running]] = [
            lab.coordinator,
            lambda: lab.worker("a", **SLOW),
            lambda: lab.worker("b", prefix=apart, **SLOW),
        ]
        self.running = [start() for start in self._roles]

    def until_the_end(self, strike: Callable[[], bool], times: int) -> None:
        """Strike so many times, replacing who ends, until the run is over.

        `strike` returns whether it found somebody to strike.
        """
        next_s = time.monotonic() + self.rng.uniform(2, 5)
        while any(running.process.poll() != 0 for running in self.running):
            assert self.lab.left_s() > 1, self.lab.tails()
            time.sleep(0.05)
            self._replace()
            over = self.lab.site.has(paths.FINAL) or self.happened == times
            if not over and time.monotonic() > next_s:
                self.happened += strike()
                next_s = time.monotonic() + self.rng.uniform(1, 3)

    def victims(self) -> list[int]:
        """One of all processes; none if there is none."""
        pids = self.lab.site.processes()
        return [self.rng.choice(pids)] if pids else []

    def _replace(self) -> None:
        for index, running in enumerate(self.running):
            code = running.process.poll()
            if code is not None and code != 0:
                self.codes.append(code)
                self.running[index] = self._roles[index]()


@pytest.mark.parametrize("seed", range(3))
def test_kills(lab: Lab, reference: dict[str, Any], seed: int, record_property: Any) -> None:
    """Coordinator, workers and training processes die at random; the outcome stays."""
    lab.serve()
    storm = Storm(lab, random.Random(seed))

    def strike() -> bool:
        return stop(storm.victims(), signal.SIGKILL)

    storm.until_the_end(strike, 10)

    lab.holds(reference)
    record_property("done", {"SIGKILL": storm.happened})


@pytest.mark.parametrize("seed", range(2))
def test_kills_on_two_machines(
    lab: Lab, reference: dict[str, Any], seed: int, record_property: Any
) -> None:
    """The same where nobody can see that the other's processes are dead, and leases expire."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("a process-id namespace of its own needs root and unshare")
    lab.serve()
    apart = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    storm = Storm(lab, random.Random(seed), apart)

    def strike() -> bool:
        return stop(storm.victims(), signal.SIGKILL)

    storm.until_the_end(strike, 8)

    lab.holds(reference)
    record_property("done", {"SIGKILL": storm.happened})


@pytest.mark.parametrize("seed", range(2))
def test_stops(lab: Lab, reference: dict[str, Any], seed: int, record_property: Any) -> None:
    """A process that stands still for twice the lease and then goes on harms nobody, and the time
    is not counted against its job."""
    lab.serve()
    storm = Storm(lab, random.Random(seed))

    def strike() -> bool:
        victims = storm.victims()
        stop(victims, signal.SIGSTOP)
        time.sleep(2 * LEASE_S)
        return stop(victims, signal.SIGCONT)

    storm.until_the_end(strike, 4)

    lab.holds(reference)
    record_property("done", {"SIGSTOP": storm.happened})


@pytest.mark.parametrize("seed", range(2))
def test_a_suspended_machine(
    lab: Lab, reference: dict[str, Any], seed: int, record_property: Any
) -> None:
    """Everything stands still for longer than the lease and `hang_s`, and goes on."""
    lab.serve()
    (lab.site.directory / "config.yaml").write_text(
        lab.site.config.read_text().replace("hang_s: 60", "hang_s: 10, attempts: 1")
    )
    storm = Storm(lab, random.Random(seed))

    def strike() -> bool:
        victims = lab.site.processes()
        stop(victims, signal.SIGSTOP)
        time.sleep(12)
        return stop(victims, signal.SIGCONT)

    storm.until_the_end(strike, 3)

    lab.holds(reference)
    record_property("done", {"SIGSTOP to all": storm.happened})


@pytest.mark.parametrize("seed", range(2))
def test_stop_signals_to_groups_twice(
    lab: Lab, reference: dict[str, Any], seed: int, record_property: Any
) -> None:
    """A worker and its training process are asked to stop, twice within two seconds, as batch
    systems do it: one hand-back with code 75, and a snapshot if a job was in hand."""
    lab.serve()
    storm = Storm(lab, random.Random(seed))

    def strike() -> bool:
        # Python itself has no handlers yet when it has just begun.
        ready = [worker for worker in storm.running[1:] if "working on" in worker.said()]
        if not ready:
            return False
        running = storm.rng.choice(ready)
        number = storm.rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
        stop(lab.family(running), number)
        time.sleep(storm.rng.uniform(0.1, 1.9))
        return stop(lab.family(running), number) or True

    storm.until_the_end(strike, 6)

    lab.holds(reference)
    assert set(storm.codes) == {75}, (storm.codes, lab.tails())
    ends = [end for g in range(GENERATIONS) for m in range(MEMBERS) for end in lab.site.ends(g, m)]
    assert {end["class"] for end in ends} == {"released"}, ends
    record_property("done", {"signals twice": storm.happened})


@pytest.mark.parametrize("seed", range(3))
def test_everything_at_once(
    lab: Lab, reference: dict[str, Any], seed: int, record_property: Any
) -> None:
    """Kills, stops and signals, on a disk that is slow, fails and flips bits, with clients that
    remember absent names."""
    lab.seed = seed
    lab.serve(absent_s=5.0, listing_s=5.0)
    lab.plant(
        Rule("link", "^/run/", error="EIO", done=True, chance=0.05),
        Rule("rename", "^/run/", error="EIO", done=True, chance=0.05),
        Rule("write", "^/run/", error="ENOSPC", chance=0.02),
        Rule("read", "^/run/generations", error="EIO", chance=0.01),
        Rule("read", r"^/run/generations.*(safetensors|json)$", flip=60, chance=0.01),
        Rule("fsync", "^/run/", delay_s=0.5, chance=0.02),
    )
    storm = Storm(lab, random.Random(seed))

    def strike() -> bool:
        victims = storm.victims()
        number = storm.rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
        struck = stop(victims, number)
        if number == signal.SIGSTOP:
            time.sleep(LEASE_S * storm.rng.uniform(0.5, 2))
            stop(victims, signal.SIGCONT)
        return struck

    storm.until_the_end(strike, 8)

    lab.holds(reference)
    record_property("done", {"signals": storm.happened})
