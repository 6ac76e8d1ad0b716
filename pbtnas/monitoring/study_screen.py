"""Shows the state of a study on one screen: progress, open runs, workers, troubles.

Like the status of a run it rests on records, and on heartbeats and times of files, which are hints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pbtnas.analysis.compare.budget import granted_epochs
from pbtnas.analysis.history.account import Account
from pbtnas.analysis.history.run import TopMember
from pbtnas.monitoring.accounting import account
from pbtnas.monitoring.processes import Seen
from pbtnas.monitoring.progress import Status, status
from pbtnas.monitoring.run_screen import seen_lines
from pbtnas.monitoring.text import COLUMNS, Sheet, bar, span
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, RecordError
from pbtnas.store.run_directory import NotARun
from pbtnas.store.study_directory import Study, StudyRun

RUN_LINES, WORKER_LINES, TROUBLE_LINES = 12, 4, 3


@dataclass(frozen=True)
class UnfinishedRun:
    """A run in work.

    Args:
        label: Label of the run.
        generation: Generation in work, from 0; None before the first.
        generations: Generations of the whole run.
        done: Members of that generation with a result.
        members: Members of a generation.
        best_ever: Best member so far.
    """

    label: str
    generation: int | None
    generations: int
    done: int
    members: int
    best_ever: TopMember | None


@dataclass(frozen=True)
class StudyStatus:
    """The state of a study, as the screen shows it.  Durations are in seconds.

    Args:
        id: Id of the study.
        runs: Number of runs.
        finished: Labels of finished runs.
        failed: Labels of runs that could not go on, each with the reason as a sentence.
        waiting: Labels of runs that have not begun.
        open: Runs in work.
        progress: Share of all network-epochs that are done, 0 to 1.
        left_s: Seconds until the study is done at the pace of the live workers; None while unknown.
        workers: Workers of the open runs, the most recently seen first; each as the run it works
            for shows it.
        failures: Counts of failed attempts and diverged members of the open runs, by class.
        trouble: Sentences on what workers wait for, which processes are missing, what is damaged.
        account: Work computed so far, and work saved.
        over: Whether the study has ended.
    """

    id: str
    runs: int
    finished: tuple[str, ...]
    failed: Mapping[str, str]
    waiting: tuple[str, ...]
    open: tuple[UnfinishedRun, ...]
    progress: float
    left_s: float | None
    workers: tuple[Seen, ...]
    failures: Mapping[str, int]
    trouble: tuple[str, ...]
    account: Account
    over: bool


def study_status(study: Study, *, now: float) -> StudyStatus:
    """The state at `now`, in seconds since the epoch as file times are.

    What is broken in one run is a trouble; how the others are is shown nevertheless.
    """
    finished = [run for run in study.runs if run.has(paths.FINAL)]
    begun = [run for run in study.runs if run.has(paths.RUN)]
    broken: dict[str, str] = {}
    ended: Mapping[str, str] = {}
    try:
        ended = study.ended() or {}
    except CorruptRecord as error:
        broken["the study"] = str(error)
    done = {run.label for run in finished}
    labels = [run.label for run in study.runs if run.label not in done]
    failed = {label: ended[label] for label in labels if label in ended}
    opened = [run for run in begun if run.label not in done | failed.keys()]
    seen: dict[str, Status] = {}
    for run in opened:
        try:
            seen[run.label] = status(run.root, now=now)
        except (NotARun, RecordError) as error:
            broken[run.label] = str(error)
    computed = account(run.root for run in begun)
    granted = sum(granted_epochs(run.config["search"]) for run in study.runs)
    workers = _workers(seen)
    over = bool(ended)
    return StudyStatus(
        id=study.id,
        runs=len(study.runs),
        finished=tuple(run.label for run in finished),
        failed=failed,
        waiting=tuple(run.label for run in study.runs if run not in begun),
        open=tuple(_open(run, seen[run.label]) for run in opened if run.label in seen),
        progress=min(1.0, computed.epochs / granted),
        left_s=_left_s(computed, granted, workers),
        workers=workers,
        failures=_failures(seen.values()),
        trouble=() if over else _trouble(study.root, seen, workers, broken),
        account=computed,
        over=over,
    )


def to_json(status: StudyStatus) -> dict[str, Any]:
    """The status as JSON, for programs."""
    return asdict(status)


def render(status: StudyStatus, columns: int = COLUMNS) -> str:
    """The status as text for people, without a newline at its end, on so many columns."""
    sheet = Sheet(columns)
    state = "over" if status.over else f"{len(status.open)} in work, {len(status.waiting)} waiting"
    left = "" if status.over or status.left_s is None else f"about {span(status.left_s)} left"
    finished = f"{len(status.finished)} of {status.runs} runs finished"
    lines = [
        *sheet.facts("study", [status.id, f"{finished}, {state}"], "   "),
        *sheet.facts("progress", [f"{bar(status.progress)} of the network-epochs", left]),
        *sheet.sentences("in work", _open_lines(status.open), RUN_LINES),
        *([] if status.over else worker_lines(status.workers, sheet)),
        *trouble_lines(status, sheet),
        *sheet.facts("computed", str(status.account).split(", ")),
    ]
    return "\n".join(lines)


def trouble_lines(status: StudyStatus, sheet: Sheet) -> list[str]:
    """Failed runs, failed attempts, troubles and damage: a title each, and the first lines."""
    counts = [f"{count} {kind}" for kind, count in status.failures.items()]
    return [
        *sheet.sentences("failed", [f"{k}: {v}" for k, v in status.failed.items()], TROUBLE_LINES),
        *(sheet.facts("failures", counts) if counts else []),
        *sheet.sentences("trouble", status.trouble, TROUBLE_LINES),
    ]


def _open(run: StudyRun, seen: Status) -> UnfinishedRun:
    search = run.config["search"]
    return UnfinishedRun(
        label=run.label,
        generation=seen.generation,
        generations=search["generations"],
        done=seen.members.done,
        members=seen.members.all or search["population"],
        best_ever=seen.best_ever,
    )


def _workers(runs: Mapping[str, Status]) -> tuple[Seen, ...]:
    """Every worker once: as seen in the run that it works for, or else where it was last seen."""
    found: dict[str, tuple[bool, Seen]] = {}
    for label, run in runs.items():
        for worker in run.workers:
            doing = worker.doing if worker.idle_here else f"{label}: {worker.doing}"
            told = (not worker.live or worker.idle_here, replace(worker, doing=doing))
            known = found.get(worker.name)
            if known is None or (told[0], worker.changed_s) < (known[0], known[1].changed_s):
                found[worker.name] = told
    workers = [worker for _, worker in found.values()]
    return tuple(sorted(workers, key=lambda worker: (worker.changed_s, worker.name)))


def _left_s(computed: Account, granted: int, workers: Sequence[Seen]) -> float | None:
    """Seconds left, if the rest takes as long for each epoch as what was done."""
    live = sum(worker.live for worker in workers)
    if not live or not computed.epochs:
        return None
    return max(0, granted - computed.epochs) * computed.trained_s / computed.epochs / live


def _failures(runs: Iterable[Status]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for run in runs:
        counts.update(run.failures)
    return dict(sorted(counts.items()))


def _trouble(
    root: Path, runs: Mapping[str, Status], workers: Sequence[Seen], broken: Mapping[str, str]
) -> tuple[str, ...]:
    trouble = [f"{w.name}: {w.doing}" for w in workers if w.live and w.waiting_for]
    begun = [run for run in runs.values() if run.state == "running"]
    if begun and not any(run.coordinator and run.coordinator.live for run in begun):
        trouble.append("nobody conducts the study; `pbtnas study`, given again, goes on with it")
    if begun and not any(worker.live for worker in workers):
        trouble.append(f"nobody works on it; `pbtnas worker {root}` does")
    trouble += [f"{what}: {sentence}" for what, sentence in broken.items()]
    trouble += [f"{label}: {problem}" for label, run in runs.items() for problem in run.problems]
    return tuple(trouble)


def _open_lines(runs: Sequence[UnfinishedRun]) -> list[str]:
    width = max((len(run.label) for run in runs), default=0)
    return [f"{run.label:{width}}  {_how_far(run)}" for run in runs]


def _how_far(run: UnfinishedRun) -> str:
    if run.generation is None:
        return "not begun"
    best = "" if run.best_ever is None else f", best {run.best_ever.score:.6g}"
    return (
        f"generation {run.generation} of {run.generations}, "
        f"{run.done} of {run.members} members done{best}"
    )


def worker_lines(workers: Sequence[Seen], sheet: Sheet) -> list[str]:
    live = [worker for worker in workers if worker.live]
    lines = seen_lines(live, sheet.most(WORKER_LINES), sheet.columns)
    return [*sheet.facts("workers", [f"{len(live)} live"]), *lines]
