"""Lists all members of a generation, and all workers of a run, as data."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import Generation, read_generation
from pbtnas.analysis.history.run import History
from pbtnas.monitoring.lives import Lives, options_of
from pbtnas.monitoring.processes import Seen
from pbtnas.monitoring.progress import detailed
from pbtnas.records import paths
from pbtnas.records.schema import NO_FAILURE
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import NotARun

RECENT = 5  # newest generations, in which attempts and failures of workers are counted


@dataclass(frozen=True)
class MemberLine:
    """A member in one generation.

    Args:
        generation: Generation.
        member: Slot.
        state: Outcome: ok, diverged or failed; before that: pending, in work or put back.
        score: Score; None unless ok.
        metrics: Further numbers.
        age: Generations since it was created or born, this one included.
        parents: Base and donor, slots of the generation before its birth; () if it was created.
        worker: Who trained it, or does; "" if nobody yet.
        seconds: Seconds that training and scoring took; None if unknown.
        options: Option of every variable, by name; index of the option, by position, where the
            run does not record its space; {} if no record tells.
    """

    generation: int
    member: int
    state: str
    score: float | None
    metrics: Mapping[str, float]
    age: int
    parents: tuple[int, ...]
    worker: str
    seconds: float | None
    options: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def member_lines(run_dir: Path, generation: int | None = None) -> list[MemberLine]:
    """The members of the newest generation, or of another one, by slot.

    Raises `NotARun` where there is no such generation, and what `progress.status` raises.
    """
    found = detailed(run_dir, now=time.time())
    if found.current is None:
        return []
    count = found.current.number + 1
    if generation is not None and generation >= count:
        raise NotARun(f"{run_dir}: has {count} generations, counted from 0")
    with open_files(run_dir) as reader:
        files = RecordFiles(reader, found.status.run or None)
        history, _ = History.beginning(files)
        read, states = found.current, found.states
        if generation not in (None, read.number):
            assert generation is not None
            read, states = read_generation(files, generation, True, ()), {}
        lives = Lives(files)
        members = sorted(read.jobs.keys() | read.results.keys())
        return [_member(history, lives, read, member, states.get(member)) for member in members]


def _member(
    history: History, lives: Lives, read: Generation, member: int, state: str | None
) -> MemberLine:
    reported, job = read.results.get(member), read.jobs.get(member)
    attempts = read.attempts.get(member, ())
    found = lives.latest_birth(read.number, member)
    born, birth = found or (0, None)
    meta = {} if reported is None else reported.meta
    holder = attempts[-1].holder if attempts and attempts[-1].ended == "open" else {}
    return MemberLine(
        generation=read.number,
        member=member,
        state=(state or "pending") if reported is None else reported.result.outcome,
        score=None if reported is None else reported.result.score,
        metrics={} if reported is None else reported.result.metrics,
        age=read.number - born + 1,
        parents=() if birth is None else tuple(dict.fromkeys((birth.base, birth.donor))),
        worker=str(meta.get("worker", holder.get("worker", ""))),
        seconds=meta.get("wall_s"),
        options={} if job is None else options_of(history, job.architecture),
    )


@dataclass(frozen=True)
class WorkerLine:
    """A worker of a run.

    Args:
        seen: What its heartbeat says.
        host: Machine.
        device: Device of its latest result; "" if unknown.
        attempts: Jobs that it has claimed in the newest generations.
        failures: Attempts of those that failed.
    """

    seen: Seen
    host: str
    device: str
    attempts: int
    failures: int

    @property
    def state(self) -> str:
        """Whether it lives, has left, or is silent."""
        return "live" if self.seen.live else "gone" if self.seen.left else "silent"

    def to_json(self) -> dict[str, Any]:
        about = {key: value for key, value in asdict(self).items() if key != "seen"}
        return {**asdict(self.seen), "state": self.state, **about}


def worker_rows(run_dir: Path) -> list[WorkerLine]:
    """All workers that ever wrote a heartbeat here, the most recent first.

    Raises what `progress.status` raises.
    """
    found = detailed(run_dir, now=time.time())
    recent = [] if found.current is None else [found.current]
    with open_files(run_dir) as reader:
        files = RecordFiles(reader, found.status.run or None)
        newest = recent[0].number if recent else 0
        for number in range(newest - 1, max(-1, newest - RECENT), -1):
            recent.append(read_generation(files, number, True, ()))
    return worker_lines(found.status.workers, recent)


def worker_lines(workers: Iterable[Seen], recent: Iterable[Generation]) -> list[WorkerLine]:
    """The same workers with what they did in the newest generations, the newest of these first."""
    attempts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    devices: dict[str, str] = {}
    for read in recent:
        for claim in read.claims:
            name = str(claim.holder.get("worker"))
            attempts[name] += 1
            failures[name] += claim.ended not in (*NO_FAILURE, "result", "open")
        for reported in read.results.values():
            if "device" in reported.meta:
                devices.setdefault(str(reported.meta.get("worker")), str(reported.meta["device"]))
    return [
        WorkerLine(
            seen,
            paths.host_of(seen.name),
            devices.get(seen.name, ""),
            attempts[seen.name],
            failures[seen.name],
        )
        for seen in workers
    ]
