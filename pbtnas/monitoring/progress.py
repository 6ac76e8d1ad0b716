"""Gathers the state of a run as data: progress, best members, workers, failures.

Made from the records of the run directory, which are true, and from heartbeats and the times of
files, which are hints: another machine's clock may be wrong, a network disk may lag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pbtnas.analysis.fronts.measured import FrontVolume, Measured, check_several, front_volume
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.front import FrontSoFar, front_so_far
from pbtnas.analysis.history.front_summary import FrontSummary
from pbtnas.analysis.history.generation import Generation, TopMember, read_generation
from pbtnas.analysis.history.run import History
from pbtnas.analysis.history.spans import spans_of_claims
from pbtnas.analysis.history.summary import Failed, Summary
from pbtnas.analysis.history.summary_view import stored_summary
from pbtnas.monitoring.asked import Asked, Pinned, asked, pinned
from pbtnas.monitoring.durations import active_at, elapsed_s, left_s, pauses
from pbtnas.monitoring.processes import Look, Seen
from pbtnas.records import paths
from pbtnas.records.causes import cause, nobody_left
from pbtnas.records.controls import by
from pbtnas.records.heartbeat import IDLE, PAUSED
from pbtnas.records.members import unreported
from pbtnas.store.opening import open_files
from pbtnas.store.run_directory import check_format

LEASE_S = 60.0  # where the configuration cannot be read


@dataclass(frozen=True)
class Members:
    """Numbers of members of the generation in work, by state.

    Args:
        done: Members with a result.
        in_work: Members claimed by a worker whose heartbeat moves.
        put_back: Members claimed before and free again: handed back, failed once, or silent.
        pending: Members not claimed yet.
    """

    done: int
    in_work: int
    put_back: int
    pending: int

    @property
    def all(self) -> int:
        return self.done + self.in_work + self.put_back + self.pending


State = Literal["new", "running", "finished", "failed", "cancelled"]


@dataclass(frozen=True)
class Status:
    """The state of a run, as the screen shows it.  Durations are in seconds, None while unknown.

    Args:
        run: Id of the run.
        task: Name of the task.
        algorithm: Name of the algorithm.
        seed: Seed of the run.
        state: State: new (no generation yet), running, finished, cancelled by an operator, or
            failed: no member of the generation has a score, so the run has ended without a usable
            one.
        generation: Generation in work, counted from 0; None for a new run.
        generations: Generations of the whole run; None if the configuration cannot be read.
        progress: Share of the run that is done, 0 to 1.
        members: Members of the generation in work, by state.
        best_ever: Best member so far.
        best_last: Best member of the last complete generation.
        coordinator: Newest coordinator.
        workers: Workers, the most recently seen first.
        failures: Counts of failed attempts and diverged members, by class.
        failed: Members recorded as failed, the latest first; of very many, the latest.
        trouble: Sentences on what workers wait for and which processes are missing.
        ended: Sentence on why a failed or cancelled run ended; "" for others.
        elapsed_s: Seconds since the first generation was opened; a hint.
        active_s: The same without pauses, in which nobody trained or coordinated; a hint.
        left_s: Seconds until the run is done, estimated from its generations; a hint.
        fingerprint: Fingerprint of a finished run.
        problems: Sentences on records that are damaged or missing.
        options: Options of the best member so far, by variable; empty where none are recorded.
        processor: Processor that the run was started with, and its instructions; None likewise.
        code: The code of the task and the versions of what it rests on; None if not recorded.
        front: Best of each objective and size of the front; None where there is only the score.
        failed_in_all: How many members are recorded as failed.
        hypervolume: Hypervolume of all members, and against what; None where no two objectives or
            no members are to be measured.
        paused: Whether operators have paused the run.
        notes: What operators have noted, the latest last.
        controls: All that operators have asked, in its order.
        pinned: Members whose checkpoints are kept because operators have asked for it.
    """

    run: str
    task: str
    algorithm: str
    seed: int | None
    state: State
    generation: int | None
    generations: int | None
    progress: float
    members: Members
    best_ever: TopMember | None
    best_last: TopMember | None
    coordinator: Seen | None
    workers: tuple[Seen, ...]
    failures: Mapping[str, int]
    failed: tuple[Failed, ...]
    trouble: tuple[str, ...]
    ended: str
    elapsed_s: float | None
    active_s: float | None
    left_s: float | None
    fingerprint: str | None
    problems: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    processor: str | None = None
    code: Mapping[str, Any] | None = None
    front: FrontSoFar | None = None
    failed_in_all: int = 0
    hypervolume: FrontVolume | None = None
    paused: bool = False
    notes: tuple[str, ...] = ()
    controls: tuple[Asked, ...] = ()
    pinned: tuple[Pinned, ...] = ()

    @property
    def finished(self) -> bool:
        return self.state == "finished"

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("finished", "failed", "cancelled")


@dataclass(frozen=True)
class Detailed:
    """A status, and what of the generation in work it was counted from.

    Args:
        status: Status of the run.
        current: Generation in work; None for a new run.
        states: State of each of its members: done, in work, put back or pending.
    """

    status: Status
    current: Generation | None
    states: Mapping[int, str]


def status(run_dir: Path, *, now: float, reference_point: str | None = None) -> Status:
    """The state of a run at `now`, in seconds since the epoch as file times are.

    The hypervolume is against the reference point, if one is given.  Raises `NotARun` and
    `ForeignRecord` as `History.read` does, and `BadReference`.
    """
    return detailed(run_dir, now=now, reference_point=reference_point).status


def detailed(run_dir: Path, *, now: float, reference_point: str | None = None) -> Detailed:
    """The same with the generation in work, which is read only once."""
    check_format(run_dir)
    with open_files(run_dir) as reader:
        files = RecordFiles(reader)
        history, count = History.beginning(files)
        check_several(history, reference_point)
        lease_s = float(_section(history, "engine").get("lease_s", LEASE_S))
        summary, current = _summed(files, history, count, lease_s)
        with Look(run_dir, now, lease_s, summary.holders) as look:
            states = {} if current is None else _states(look, current)
            seen = _status(history, files, summary, current, states, look, now, lease_s)
        seen = _steered(seen, history)
    seen = replace(seen, hypervolume=_hypervolume(history, summary.front, reference_point))
    return Detailed(seen, current, states)


def _steered(status: Status, history: History) -> Status:
    """The status with what operators have asked of the run."""
    steering = history.steering
    cancelled = steering.of("cancel")[:1]
    paused = steering.paused and not (status.over or cancelled)
    held = (f"paused {by(steering.of('pause')[-1])}; `pbtnas resume` goes on",) if paused else ()
    if cancelled and not status.over:
        held = (f"cancelled {by(cancelled[0])}; the coordinator is to end it",)
    ended = status.ended
    if status.state == "cancelled":
        ended = " ".join(["cancelled", *map(by, cancelled)])
    return replace(
        status,
        trouble=(*held, *status.trouble),
        ended=ended,
        paused=paused,
        workers=tuple(map(_paused, status.workers)) if paused else status.workers,
        notes=tuple(str(control.core["text"]) for control in steering.of("note")),
        controls=asked(
            steering,
            _section(history, "search").get("generations"),
            over=status.over,
            working=[worker.name for worker in status.workers if not worker.left],
        ),
        pinned=pinned(steering),
    )


def _paused(worker: Seen) -> Seen:
    """A worker of a paused run: there is work for it, once the run is resumed."""
    return replace(worker, doing=PAUSED) if worker.doing == IDLE else worker


def _summed(
    files: RecordFiles, history: History, count: int, lease_s: float
) -> tuple[Summary, Generation | None]:
    """The summary of all generations, and the newest of them.

    Of those that the coordinator has summed up, no record is read again but those that were
    damaged or missing then: whether they still are.
    """
    summary = stored_summary(files, run=history.run, lease_s=lease_s, generations=count)
    for number in summary.doubtful:
        read_generation(files, number, True, ())
    before: Generation | None = None
    for number in range(summary.generations, count):
        earlier = () if before is None else (before,)
        generation = read_generation(files, number, history.over(number, count), earlier)
        summary = summary.after(
            generation, before, files=files, objectives=history.objectives, lease_s=lease_s
        )
        files.forget_names()
        before = generation
    return summary, before


def _hypervolume(
    history: History, front: FrontSummary, reference_point: str | None
) -> FrontVolume | None:
    if not history.objectives.several or front.archive is None or not front.archive.unbeaten:
        return None
    name = history.root.name
    run = Measured(name, history.objectives, (front.first,), (front.archive,), reported=True)
    return front_volume(run, reference_point)


def _status(
    history: History,
    files: RecordFiles,
    summary: Summary,
    current: Generation | None,
    states: Mapping[int, str],
    look: Look,
    now: float,
    lease_s: float,
) -> Status:
    finished = history.final is not None
    cancelled = history.final is not None and history.final.cancelled
    ended = "" if finished or current is None else _ended(history, current)
    over = finished or bool(ended)
    members = _members(states, history) if current else Members(0, 0, 0, 0)
    total = history.length
    workers = look.workers()
    coordinator = look.holder(history.terms)
    until = now
    if over:
        until = (history.end and look.time(history.end)) or _last_result(look, current) or now
    spans = [*summary.active, *spans_of_claims(files, history.terms)]
    active = active_at(pauses(spans, until, lease_s))
    began = [None if at is None else active(at) for at in summary.opened]
    state: State = "failed" if ended else "running" if current else "new"
    if finished:
        state = "cancelled" if cancelled else "finished"
    to_open = None if total is None else total - (summary.generations - len(began))
    return Status(
        run=history.run,
        task=str(_section(history, "task").get("name", history.about.get("task", "?"))),
        algorithm=str(_section(history, "search").get("algorithm", "?")),
        seed=history.about.get("seed"),
        state=state,
        generation=current.number if current else None,
        generations=total,
        progress=1.0 if state == "finished" else _progress(current, members, total),
        members=members,
        best_ever=summary.best,
        best_last=summary.best_last,
        coordinator=coordinator,
        workers=workers,
        failures=summary.failures,
        failed=summary.failed,
        failed_in_all=summary.failed_in_all,
        trouble=() if over else _trouble(workers, coordinator, lease_s, begun=bool(current)),
        ended=ended,
        elapsed_s=elapsed_s(summary.opened, until),
        active_s=elapsed_s(began, active(until)),
        left_s=0.0 if over else left_s(began, active(now), to_open, _later_over_first(history)),
        fingerprint=history.final.fingerprint if history.final else None,
        problems=tuple(dict.fromkeys(files.problems)),
        options=_options(history, summary),
        processor=None if history.processor is None else str(history.processor),
        code=history.codes.summary(),
        front=front_so_far(history.objectives, summary.front),
    )


def _options(history: History, summary: Summary) -> Mapping[str, Any]:
    if summary.architecture is None or history.space is None:
        return {}
    return history.space.decode(summary.architecture)


def _ended(history: History, current: Generation) -> str:
    """Why nobody can go on after this generation; "" if somebody can."""
    if not current.is_hopeless(history.objectives):
        return ""
    results = [current.results[member] for member in current.jobs]
    said = unreported(history.objectives, [reported.result for reported in results])
    if current.number == 0 and said:
        return said  # as the coordinator has said, which ended by it
    causes = (cause(reported.result, reported.meta) for reported in results)
    return nobody_left(current.number, causes)


def _last_result(look: Look, current: Generation | None) -> float | None:
    if current is None:
        return None
    names = (paths.result(current.number, m, r.retry) for m, r in current.results.items())
    times = map(look.time, names)
    return max((at for at in times if at is not None), default=None)


def _section(history: History, name: str) -> Mapping[str, Any]:
    section: Mapping[str, Any] = history.config.get(name, {})
    return section


def _states(look: Look, current: Generation) -> dict[int, str]:
    states = {}
    for member in current.jobs or current.attempts:
        attempts = current.attempts.get(member, ())
        states[member] = "pending"
        if member in current.results:
            states[member] = "done"
        elif attempts:
            holder = look.holder(attempts)
            held = attempts[-1].ended == "open" and holder is not None and holder.live
            states[member] = "in work" if held else "put back"
    return states


def _members(states: Mapping[int, str], history: History) -> Members:
    alive = len(states) or int(_section(history, "search").get("population", 0))
    counts = Counter(states.values())
    done, in_work, put_back = (counts[state] for state in ("done", "in work", "put back"))
    return Members(done, in_work, put_back, alive - done - in_work - put_back)


def _progress(current: Generation | None, members: Members, total: int | None) -> float:
    if current is None or not total:
        return 0.0
    return min(1.0, (current.number + members.done / max(1, members.all)) / total)


def _trouble(
    workers: Sequence[Seen], coordinator: Seen | None, lease_s: float, *, begun: bool
) -> tuple[str, ...]:
    trouble = [f"{w.name} is {w.doing}" for w in workers if w.live and w.waiting_for]
    if not begun:  # a coordinator that still prepares the task shows no sign of life
        return tuple(trouble)
    if coordinator is None or not coordinator.live:
        gone = coordinator is not None and coordinator.left
        when = "now" if gone else f"in the last {lease_s:g} s"
        trouble.append(f"no coordinator {when}; `pbtnas coordinator` starts one")
    if not any(worker.live for worker in workers):
        when = "now" if all(worker.left for worker in workers) else f"in the last {lease_s:g} s"
        trouble.append(f"no worker {when}; `pbtnas worker` starts one")
    return tuple(trouble)


def _later_over_first(history: History) -> float:
    """Epochs of a later generation for each epoch of the first."""
    search = _section(history, "search")
    epochs, first = search.get("epochs"), search.get("first_epochs")
    return epochs / first if epochs and first else 1.0
