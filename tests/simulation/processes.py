"""The simulated processes: their names, machines and clocks, and what trains for them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pbtnas.protocol.attempts import Attempt
from pbtnas.records import paths
from pbtnas.store.identity import machine_name
from tests.simulation.store import Entry

MACHINES = 3
HOST = "pod-of-a-long-experiment" * 2


def machine_names(rng: random.Random) -> list[str]:
    """How names of processes tell the machines.

    Their host names agree in the first forty letters; or two of them have the same host name, and
    only the boots of their kernels differ; or two were given the same name by mistake, and are
    one machine to all others.
    """
    kind = rng.choice(["alike", "alike", "equal", "given"])
    if kind == "alike":
        return [machine_name(f"{HOST}-{i}", "the boot of this kernel") for i in range(MACHINES)]
    if kind == "equal":
        return [machine_name(HOST, f"boot {i}") for i in range(MACHINES)]
    return [machine_name("given", None)] * 2 + [machine_name(HOST, "boot")]


def new_nonce(name: str) -> Callable[[], str]:
    """Makes strings that no other process makes."""
    nonces = iter(range(10**9))
    return lambda: f"{name}/{next(nonces)}"


@dataclass
class Clock:
    """The clock of a process: it began anywhere, and runs too fast or too slow.

    Args:
        offset: what it showed when the simulation began.
        rate: its seconds in one second of the simulation.
    """

    offset: float
    rate: float

    def at(self, now: float) -> float:
        return self.offset + self.rate * now

    def stand_still(self, seconds: float) -> None:
        """It did not count for so long, as some clocks do while the machine is suspended."""
        self.offset -= self.rate * seconds


@dataclass
class Training:
    """The simulated training process of a worker, busy with one attempt.

    Args:
        attempt: what it works on.
        until: when the job is done.
        hangs_until: when a job that makes no progress is given up; None while it makes some.
        killed: whether somebody has killed it.
        halted: whether it was asked to stop.
        digits: the sort of machine; another one computes other bits.
    """

    attempt: Attempt
    until: float
    hangs_until: float | None = None
    killed: bool = False
    halted: bool = False
    digits: int = 0


@dataclass
class Actor:
    """A simulated process: its generator, its machine, its clock and its training."""

    name: str
    kind: str
    machine: int
    steps: Any
    clock: Clock
    wake: float
    reply: Any = None
    stopping: bool = False
    error: Exception | None = None  # of what it asked for last
    training: Training | None = None
    unsettled: list[Entry] = field(default_factory=list)  # durable when it goes on
    beat: str = ""

    def __post_init__(self) -> None:
        self.beat = paths.worker(self.name)
