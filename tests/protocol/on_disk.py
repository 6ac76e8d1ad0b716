"""Coordinator and workers on a real directory, in one thread, in which no time passes for real.

The records are those of `tests.analysis.made_runs`; training and mixing are pure functions there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pbtnas.protocol.attempts import Attempt, AttemptFailed, Failure, Poll, Start, Trained
from pbtnas.protocol.children import Mix, Mixed, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import Dead, EmptyTrash, Now, Say, Sleep, Steps, Stopping
from pbtnas.protocol.worker import Pace, Worker
from pbtnas.records import paths
from pbtnas.records.envelope import digest
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from tests.analysis.made_runs import RUN, outcome_of

LEASE_S, BEAT_S, POLL_S, JOB_S = 30.0, 1.0, 0.5, 5.0
LONGEST_S = 5000.0


@dataclass
class Actor:
    """A process that is none."""

    name: str
    steps: Steps[Any]
    store: PosixStore
    wake_s: float = 0.0
    reply: Any = None
    training: Attempt | None = None
    ending: Any = None


@dataclass
class OnDisk:
    """Everybody at work on one run directory.

    Args:
        root: Run directory.
        search: Search of the run.
        stop_at_s: Time at which all are asked to stop.
    """

    root: Path
    search: Search
    stop_at_s: float = float("inf")
    now_s: float = 0.0
    actors: list[Actor] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)

    def coordinator(self) -> Actor:
        claims = self._claims("c")
        coordinator = Coordinator(RUN, self.search, claims, beat_s=BEAT_S, poll_s=POLL_S)
        return self._begin("here-1-c-x", coordinator.coordinate())

    def worker(self, number: int = 1) -> Actor:
        name = f"here-{number}-w-x"
        pace = Pace(BEAT_S, POLL_S, attempts=3)
        return self._begin(name, Worker(RUN, name, self._claims("w"), pace).work())

    def work(self) -> None:
        """Until everybody has ended."""
        while active := [actor for actor in self.actors if actor.ending is None]:
            actor = min(active, key=lambda one: one.wake_s)
            self.now_s = max(self.now_s, actor.wake_s)
            assert self.now_s < LONGEST_S, f"they wait for ever; {self.said[-5:]} {self.trouble}"
            self._until_it_waits(actor)

    def close(self) -> None:
        for actor in self.actors:
            actor.store.close()

    def _claims(self, role: str) -> Claims:
        return Claims(RUN, this_process(role), lease_s=LEASE_S, new_nonce=new_nonce)

    def _begin(self, name: str, steps: Steps[Any]) -> Actor:
        store = PosixStore(self.root, name)
        store.trouble = self.trouble.append
        self.actors.append(Actor(name, steps, store))
        return self.actors[-1]

    def _until_it_waits(self, actor: Actor) -> None:
        actor.wake_s = self.now_s
        while actor.wake_s <= self.now_s:
            try:
                operation = actor.steps.send(actor.reply)
            except StopIteration as stop:
                actor.ending = stop.value
                return
            actor.reply = self._execute(actor, operation)

    def _execute(self, actor: Actor, operation: Any) -> Any:
        match operation:
            case Now():
                return self.now_s
            case Sleep(seconds):
                actor.wake_s = self.now_s + seconds
            case Say(text):
                self.said.append(text)
            case Dead():
                return False
            case Stopping():
                return self.now_s >= self.stop_at_s
            case Start(attempt):
                actor.training = attempt
            case Poll():
                actor.wake_s = self.now_s + JOB_S
                return self._trained(actor)
            case Mix(generation, birth, base, donor):
                parents = (paths.checkpoint(generation, parent) for parent in (base, donor))
                if not all((self.root / parent).exists() for parent in parents):
                    return None
                made = digest([generation, birth.member])
                return Mixed(self._private(actor, generation), made, {})
            case WriteViews() | EmptyTrash():
                pass
            case _:
                return actor.store.execute(operation)
        return None

    def _trained(self, actor: Actor) -> Trained | AttemptFailed:
        assert actor.training is not None
        job = actor.training.job
        result = outcome_of(job)
        if result.outcome == "failed":
            return AttemptFailed(Failure.ERROR, "ValueError: no such layer")
        file = self._private(actor, job.generation) if result.checkpoint else None
        return Trained(result, file, {})

    def _private(self, actor: Actor, generation: int) -> str:
        name = f"{paths.checkpoints(generation)}/.tmp-{actor.name}"
        (self.root / name).write_bytes(b"weights")
        return name


def checkpoints_of(writes: list[tuple[str, bytes]]) -> Iterator[str]:
    """The names of the checkpoints that records of a story speak of."""
    for name, data in writes:
        core = json.loads(data)["core"] if name.endswith(".json") else {}
        generation = name.split("/")[1] if name.startswith("generations/") else ""
        found = {core.get("checkpoint"), core.get("overlay")} - {None}
        if "/results/" in name or "/births/" in name:
            yield from (f"generations/{generation}/checkpoints/{d}.safetensors" for d in found)
