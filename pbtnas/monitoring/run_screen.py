"""Shows the state of a run on one screen: at most 24 lines of 100 columns or more, plain text.

On a narrower one there are more lines, for no fact is cut.

`pbtnas.monitoring.progress` gathers it; here it becomes text, or JSON for programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pbtnas.analysis.history.front import FrontSoFar
from pbtnas.analysis.history.run import TopMember
from pbtnas.monitoring.asked import facts as asked_facts
from pbtnas.monitoring.processes import Seen
from pbtnas.monitoring.progress import Status, status
from pbtnas.monitoring.text import (
    COLUMNS,
    INDENT,
    NARROWEST,
    Sheet,
    bar,
    choices,
    clipped,
    entries,
    joined,
    packed,
    printable,
    span,
    whole,
    wrapped,
)
from pbtnas.records import paths

__all__ = ["Status", "render", "status", "to_json"]

LINES, ENDED_LINES = 24, 4
LEAST = 4  # lines for workers
WORKER_LINES, FAILED_LINES, TROUBLE_LINES, PROBLEM_LINES = 7, 3, 3, 2
NAME = 56  # columns of a worker's name: the longest that pbtnas makes
BESIDE = 24  # columns that are enough for what it does, beside its name


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON, for programs: the fields of `Status`, durations in seconds."""
    return asdict(status)


def render(status: Status, columns: int = COLUMNS) -> str:
    """The status as text for people, without a newline at its end, on so many columns."""
    sheet = Sheet(columns)
    head, trouble = _head(status, sheet), trouble_lines(status, sheet)
    asked = asked_of(status, sheet)
    if len(head) + len(asked) + len(trouble) <= sheet.most(LINES) - LEAST:
        head += asked
    # The last words of workers that ended with the run would only mislead.
    if status.over:
        lines = [*head, *trouble]
    else:
        room = max(2, sheet.most(LINES) - len(head) - len(trouble) - 3)
        workers = worker_lines(status, sheet, min(room, sheet.most(WORKER_LINES)))
        lines = [*head, "", *workers, *trouble]
    note = sheet.sentences("note", status.notes[-1:], 1)
    return "\n".join([*lines, *(note if len(lines) < LINES else [])])


def progress_line(status: Status, width: int) -> str:
    """The most important of it in one line: whole facts, as many as there is room for."""
    members = status.members
    facts = [
        f"generation {generation_of(status)}",
        f"{members.done} of {members.all} members done",
        f"best {best_of(status.best_ever)}",
        _left(status),
        f"live workers: {sum(worker.live for worker in status.workers)}",
    ]
    return joined(facts, width)


def _left(status: Status) -> str:
    if status.over:
        return state_of(status)
    return "time left unknown" if status.left_s is None else f"about {span(status.left_s)} left"


def _head(status: Status, sheet: Sheet) -> list[str]:
    members = status.members
    lines = [
        *sheet.facts("run", [status.run or "?", state_of(status)], "   "),
        *sheet.facts("search", _search(status)),
        *sheet.facts(
            "generation", [generation_of(status), bar(status.progress), *time_of(status)], "  "
        ),
        *sheet.facts(
            "members",
            [
                f"{members.done} of {members.all} done",
                f"{members.in_work} in work",
                f"{members.put_back} put back",
                f"{members.pending} pending",
            ],
        ),
        *sheet.facts(
            "best",
            [best_of(status.best_ever), f"last complete generation: {best_of(status.best_last)}"],
            "; ",
        ),
    ]
    if status.front is not None:
        best, front = front_of(status.front)
        lines += [*sheet.facts("objectives", best), *sheet.facts("front", [front])]
    if status.hypervolume is not None:
        found = status.hypervolume
        lines += sheet.facts("hypervolume", [f"{found.volume:.6g} against {found.against}"])
    if status.options:
        lines += sheet.facts("options", _options(status, sheet))
    if status.fingerprint is not None:
        lines += sheet.facts("fingerprint", [status.fingerprint])
    ended = [status.ended] if status.over and status.ended else []
    return [*lines, *sheet.sentences("ended", ended, ENDED_LINES)]


def front_of(front: FrontSoFar) -> tuple[list[str], str]:
    """The best of each objective, and how many members nobody dominates."""
    best = [f"{name} {value:.6g}" for name, value in front.best.items()]
    if front.unmet:
        unmet = ", ".join(front.unmet)
        return best or ["nobody is within all bounds"], f"nobody meets {unmet}"
    if front.size is None:
        return best or ["nobody yet"], "with one objective there is one best"
    return best or ["nobody yet"], f"{front.size} kept that no other dominates"


def asked_of(status: Status, sheet: Sheet) -> list[str]:
    """What operators have asked of the run and holds; nothing where that is nothing."""
    told = asked_facts(status.controls, status.pinned)
    return sheet.facts("asked", told, "; ") if told else []


def _options(status: Status, sheet: Sheet) -> list[str]:
    """All options of the best member, or none where they have no room in one wide line."""
    facts = [choices({name: option}, "") for name, option in status.options.items()]
    if len(", ".join(facts)) <= max(COLUMNS - INDENT, sheet.width):
        return facts
    return [f"{len(facts)} variables of the best member: pbtnas show RUN"]


def _search(status: Status) -> list[str]:
    what = f"{status.algorithm} on {status.task}"
    on = "" if status.processor is None else f"begun on {status.processor}"
    return [what, f"seed {or_unknown(status.seed)}", on]


def state_of(status: Status) -> str:
    if status.paused:
        return "paused"
    return "ended without a usable member" if status.state == "failed" else status.state


def generation_of(status: Status) -> str:
    """How many generations are complete, which is the number of the one in work."""
    if status.generation is None:
        return "none yet"
    complete = status.generation + (status.state in ("finished", "cancelled"))
    return f"{complete} of {or_unknown(status.generations)}"


def time_of(status: Status) -> list[str]:
    if status.elapsed_s is None:
        return []
    elapsed = span(status.elapsed_s)
    active = elapsed if status.active_s is None else span(status.active_s)
    told = elapsed if active == elapsed else f"{active} active in {elapsed}"
    if status.over:
        return [told if active != elapsed else f"{told} in all"]
    left = f", about {span(status.left_s)} left" if status.left_s is not None else ""
    return [f"{told} so far{left}" if active == elapsed else f"{told}{left}"]


def best_of(best: TopMember | None) -> str:
    if best is None:
        return "none yet"
    name = paths.member_name(best.member)
    return f"{best.score:.6g} ({name} in generation {best.generation})"


def worker_lines(status: Status, sheet: Sheet, most: int) -> list[str]:
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
    hint = "when they were last seen is a hint, by the times of files" if seen else ""
    return [*sheet.facts("workers", [title, hint], "; "), *seen_lines(seen, most, sheet.columns)]


def seen_lines(processes: Sequence[Seen], most: int, columns: int = COLUMNS) -> list[str]:
    """A line or more for each process: its name, what it does, and when it was last seen."""
    columns = max(NARROWEST, columns)
    names = [printable(seen.name) for seen in processes]
    width = min(max(map(len, names), default=0), NAME)
    beside = columns - width - 4
    if beside < BESIDE:  # what it does has lines of its own
        items = [
            [*(f"  {part}" for part in wrapped(name, columns - 2)), *_indented(4, seen, columns)]
            for name, seen in zip(names, processes, strict=True)
        ]
        return whole(items, most, columns)
    items = []
    for name, seen in zip(names, processes, strict=True):
        first, *rest = _indented(width + 4, seen, columns)
        items.append([f"  {clipped(name, NAME):{width}}{first[width + 2 :]}", *rest])
    return whole(items, most, columns)


def _indented(indent: int, seen: Seen, columns: int) -> list[str]:
    facts = [seen.doing or "?", f"{seen.steps} steps" if seen.steps else ""]
    told = packed(filter(None, [*facts, f"{span(seen.changed_s)} ago"]), columns - indent)
    return [" " * indent + line for line in told]


def trouble_lines(status: Status, sheet: Sheet) -> list[str]:
    """Failures, troubles and damage: a title each, and the first lines."""
    lines = []
    counts = ", ".join(f"{count} {kind}" for kind, count in status.failures.items())
    failed = [
        f"generation {f.generation} {paths.member_name(f.member)}: {f.kind}: {f.line}"
        for f in status.failed
    ]
    if counts or failed:
        given_up = f"members recorded as failed: {status.failed_in_all}" if failed else ""
        lines += sheet.facts("failures", [counts or "none", given_up], "; ")
        width = max(NARROWEST, sheet.columns) - 2
        lines += [f"  {line}" for line in entries(failed, sheet.most(FAILED_LINES), width)]
    lines += sheet.sentences("trouble", status.trouble, TROUBLE_LINES)
    lines += sheet.sentences("damaged", status.problems, PROBLEM_LINES)
    return lines


def or_unknown(value: int | None) -> str:
    return "?" if value is None else str(value)
