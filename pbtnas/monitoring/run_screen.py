"""Shows the state of a run on one screen: at most 24 lines of 100 columns, plain text.

`pbtnas.monitoring.progress` gathers it; here it becomes text, or JSON for programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pbtnas.analysis.history.front import FrontSoFar
from pbtnas.analysis.history.run import TopMember
from pbtnas.monitoring.processes import Seen
from pbtnas.monitoring.progress import Status, status
from pbtnas.monitoring.text import (
    COLUMNS,
    INDENT,
    bar,
    choices,
    clipped,
    entries,
    joined,
    printable,
    span,
    titled,
    whole,
    wrapped,
)
from pbtnas.records import paths

__all__ = ["Status", "render", "status", "to_json"]

LINES = 24
HEAD_LINES, ENDED_LINES = 1, 4
WORKER_LINES, FAILED_LINES, TROUBLE_LINES, PROBLEM_LINES = 7, 3, 3, 2
NAME = 56  # columns of a worker's name: the longest that pbtnas makes


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON, for programs: the fields of `Status`, durations in seconds."""
    return asdict(status)


def render(status: Status) -> str:
    """The status as text for people, without a newline at its end."""
    # The last words of workers that ended with the run would only mislead.
    workers = [] if status.over else ["", *_workers(status)]
    lines = [*_head(status), *workers, *_trouble(status)]
    note = titled("note", entries(status.notes[-1:], 1))
    return "\n".join([*lines, *(note if len(lines) < LINES else [])])


def progress_line(status: Status, width: int) -> str:
    """The most important of it in one line: whole facts, as many as there is room for."""
    members = status.members
    facts = [
        f"generation {_generation(status)}",
        f"{members.done} of {members.all} members done",
        f"best {_best(status.best_ever)}",
        _left(status),
        f"live workers: {sum(worker.live for worker in status.workers)}",
    ]
    return joined(facts, width)


def _left(status: Status) -> str:
    if status.over:
        return _state(status)
    return "time left unknown" if status.left_s is None else f"about {span(status.left_s)} left"


def _head(status: Status) -> list[str]:
    members = status.members
    lines = [
        f"{status.run or '?'}   {_state(status)}",
        _search(status),
        f"{_generation(status)}  {bar(status.progress)}  {_time(status)}",
        f"{members.done} of {members.all} done, {members.in_work} in work, "
        f"{members.put_back} put back, {members.pending} pending",
        f"{_best(status.best_ever)}; last complete generation: {_best(status.best_last)}",
    ]
    titles = ["run", "search", "generation", "members", "best"]
    if status.front is not None:
        titles, lines = [*titles, "objectives", "front"], [*lines, *_front(status.front)]
    if status.hypervolume is not None:
        found = status.hypervolume
        titles = [*titles, "hypervolume"]
        lines = [*lines, f"{found.volume:.6g} against {found.against}"]
    if status.options:
        titles, lines = [*titles, "options"], [*lines, _options(status)]
    if status.fingerprint is not None:
        titles, lines = [*titles, "fingerprint"], [*lines, status.fingerprint]
    head = [
        line
        for title, text in zip(titles, lines, strict=True)
        for line in titled(title, entries([text], HEAD_LINES))
    ]
    ended = entries([status.ended], ENDED_LINES) if status.over and status.ended else []
    return [*head, *titled("ended", ended)]


def _front(front: FrontSoFar) -> tuple[str, str]:
    """The best of each objective, and how many members nobody dominates."""
    best = ", ".join(f"{name} {value:.6g}" for name, value in front.best.items())
    if front.unmet:
        return best or "nobody is within all bounds", f"nobody meets {', '.join(front.unmet)}"
    if front.size is None:
        return best or "nobody yet", "with one objective there is one best"
    return best or "nobody yet", f"{front.size} kept that no other dominates"


def _options(status: Status) -> str:
    """All options of the best member, or none where they have no room in one line."""
    text = choices(status.options, ", ")
    if len(text) <= COLUMNS - INDENT:
        return text
    return f"{len(status.options)} variables of the best member: pbtnas show RUN"


def _search(status: Status) -> str:
    what = f"{status.algorithm} on {status.task}, seed {_or_unknown(status.seed)}"
    on = [] if status.processor is None else [f"begun on {status.processor}"]
    return joined([what, *on], COLUMNS - INDENT) or what


def _state(status: Status) -> str:
    if status.paused:
        return "paused"
    return "ended without a usable member" if status.state == "failed" else status.state


def _generation(status: Status) -> str:
    """How many generations are complete, which is the number of the one in work."""
    if status.generation is None:
        return "none yet"
    complete = status.generation + 1 if status.finished else status.generation
    return f"{complete} of {_or_unknown(status.generations)}"


def _time(status: Status) -> str:
    if status.elapsed_s is None:
        return ""
    elapsed = span(status.elapsed_s)
    active = elapsed if status.active_s is None else span(status.active_s)
    told = elapsed if active == elapsed else f"{active} active in {elapsed}"
    if status.over:
        return told if active != elapsed else f"{told} in all"
    left = f"about {span(status.left_s)} left" if status.left_s is not None else ""
    return ", ".join(filter(None, (f"{told} so far" if active == elapsed else told, left)))


def _best(best: TopMember | None) -> str:
    if best is None:
        return "none yet"
    name = paths.member_name(best.member)
    return f"{best.score:.6g} ({name} in generation {best.generation})"


def _workers(status: Status) -> list[str]:
    """Live processes, and the numbers of others: every restart leaves one behind."""
    live = [worker for worker in status.workers if worker.live]
    gone = sum(worker.left for worker in status.workers)
    silent = len(status.workers) - len(live) - gone
    coordinator = [status.coordinator] if status.coordinator and status.coordinator.live else []
    title = ", ".join(
        f"{count} {what}"
        for count, what in ((len(live), "live"), (gone, "gone"), (silent, "silent"))
        if count or what == "live"
    )
    seen = [*coordinator, *live]
    if seen:
        title += "; when they were last seen is a hint, by the times of files"
    return [f"workers     {title}", *seen_lines(seen, WORKER_LINES)]


def seen_lines(processes: Sequence[Seen], most: int) -> list[str]:
    """A line or more for each process: its name, what it does, and when it was last seen."""
    names = [printable(seen.name) for seen in processes]
    width = min(max(map(len, names), default=0), NAME)
    table = [
        [f"  {clipped(name, NAME):{width}}  {part}" for part in _doing(seen, COLUMNS - width - 4)]
        for name, seen in zip(names, processes, strict=True)
    ]
    blank = " " * (width + 4)
    lines = [
        [part if i == 0 else blank + part[width + 4 :] for i, part in enumerate(parts)]
        for parts in table
    ]
    return whole(lines, most)


def _doing(seen: Seen, width: int) -> list[str]:
    steps = f", {seen.steps} steps" if seen.steps else ""
    return wrapped(f"{seen.doing or '?'}{steps}, {span(seen.changed_s)} ago", width)


def _trouble(status: Status) -> list[str]:
    """Failures, troubles and damage: a title each, and the first lines."""
    lines = []
    counts = ", ".join(f"{count} {kind}" for kind, count in status.failures.items())
    failed = [
        f"generation {f.generation} {paths.member_name(f.member)}: {f.kind}: {f.line}"
        for f in status.failed
    ]
    if counts or failed:
        given_up = f"; members recorded as failed: {status.failed_in_all}" if failed else ""
        lines += titled("failures", entries([f"{counts or 'none'}{given_up}"], 1))
        lines += [f"  {line}" for line in entries(failed, FAILED_LINES, COLUMNS - 2)]
    lines += titled("trouble", entries(status.trouble, TROUBLE_LINES))
    lines += titled("damaged", entries(status.problems, PROBLEM_LINES))
    return lines


def _or_unknown(value: int | None) -> str:
    return "?" if value is None else str(value)
