"""What waiting and claiming cost, by counts, and how soon the job of a dead worker is taken."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import pytest

from benchmarks.growth import claims, reads_a_second
from pbtnas.protocol.attempts import Halt, Poll, Progress, Start, Trained
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.operations import (
    Dead,
    Now,
    Say,
    Sleep,
    Stopping,
    WriteHeartbeat,
)
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records.schema import Result
from tests.simulation.processes import new_nonce
from tests.simulation.search import SEARCH
from tests.simulation.store import STORAGE, SimulatedStore

RUN, LEASE_S, BEAT_S, POLL_S = "run0", 60.0, 5.0, 1.0


def claims_of(name: str) -> Claims:
    return Claims(RUN, {"worker": name}, lease_s=LEASE_S, new_nonce=new_nonce(name))


def worker(name: str) -> Any:
    return Worker(RUN, name, claims_of(name), Pace(BEAT_S, POLL_S, attempts=3)).work()


@pytest.mark.parametrize(("population", "in_work"), [(24, 8), (24, 0), (120, 60)])
def test_an_idle_worker_reads_three_times_a_second(population: int, in_work: int) -> None:
    """Listings counted too, and however many jobs are in work elsewhere: a thousand workers that
    wait must not keep the file server from those that work."""
    assert reads_a_second(population, in_work) <= 3.0


def test_a_claim_costs_as_much_among_many_as_among_few() -> None:
    """What a worker reads for a claim, and when a generation begins, does not grow with the
    population: it lists once for many claims, and the manifest says who trained what."""
    (_, each, first), (_, each_of_many, first_of_many) = claims(24), claims(400)

    assert each_of_many == each <= 2
    assert first_of_many == first <= 8


@dataclass
class Process:
    """A process of the story: its protocol, and when it goes on."""

    life: Any
    wake_s: float
    dies: bool = False
    reply: Any = None
    attempt: Any = None
    started: int = 0


def taken_after(*, workers: int) -> float:
    """Seconds from a worker's last sign of life until another starts its job; all operations take
    no time, and nobody can know that a process is dead."""
    store = SimulatedStore(random.Random(0))
    claims = claims_of("c")
    coordinator = Coordinator(
        RUN, replace(SEARCH, population=8), claims, beat_s=BEAT_S, poll_s=POLL_S
    )
    story = [Process(coordinator.coordinate(), 0.0), Process(worker("w0-1-w-x"), 0.3, dies=True)]
    story += [Process(worker(f"w{i}-1-w-x"), 3.0 + i / 7) for i in range(1, workers + 1)]
    died_s, lost = None, None
    while True:
        process = min(story, key=lambda p: p.wake_s)
        store.now = now_s = process.wake_s
        operation = process.life.send(process.reply)
        process.reply = None
        match operation:
            case Now():
                process.reply = now_s
            case Sleep(seconds):
                process.wake_s += seconds
            case Stopping() | Dead():
                process.reply = False
            case Start(attempt):
                process.attempt = attempt
                if lost is not None and attempt.job == lost:
                    return now_s - died_s
            case Poll(seconds):
                process.wake_s += seconds
                job = process.attempt.job
                diverged = Trained(Result(job.member, "diverged", None, {}, None), None, {})
                process.reply = Progress(1) if process.dies else diverged
            case Say() | Halt():
                pass
            case _ if type(operation) in STORAGE:
                process.reply = store.execute(story.index(process), operation)
        if process.dies and isinstance(operation, WriteHeartbeat) and now_s > 20:
            died_s, lost = now_s, process.attempt.job
            story.remove(process)
        assert now_s < 1000, "nobody takes it"


@pytest.mark.parametrize("workers", [1, 6])
def test_the_job_of_a_dead_worker_is_taken_after_the_lease(workers: int) -> None:
    """Within two seconds more, though no idle worker reads the heartbeats of the others."""
    seconds = taken_after(workers=workers)

    assert LEASE_S <= seconds <= LEASE_S + 2
