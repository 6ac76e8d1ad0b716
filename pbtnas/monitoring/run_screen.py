"""Shows the state of a run on one screen: at most 24 lines of 100 columns, plain text.

`pbtnas.monitoring.progress` gathers it; here it becomes text, or JSON for programs.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pbtnas.analysis.history.run import TopMember
from pbtnas.monitoring.progress import Seen, Status, status
from pbtnas.monitoring.text import COLUMNS, bar, capped, clipped, span, titled
from pbtnas.records import paths

__all__ = ["Status", "render", "status", "to_json"]

WORKER_LINES, FAILED_LINES, TROUBLE_LINES, PROBLEM_LINES = 8, 3, 3, 2


def to_json(status: Status) -> dict[str, Any]:
    """The status as JSON, for programs: the fields of `Status`, durations in seconds."""
    return asdict(status)


def render(status: Status) -> str:
    """The status as text for people, without a newline at its end."""
    # The last words of workers that ended with the run would only mislead.
    workers = [] if status.finished else ["", *_workers(status)]
    lines = [*_head(status), *workers, *_trouble(status)]
    return "\n".join(clipped(line, COLUMNS) for line in lines)


def _head(status: Status) -> list[str]:
    members = status.members
    lines = [
        f"run         {status.run or '?'}   {status.state}",
        f"search      {status.algorithm} on {status.task}, seed {_or_unknown(status.seed)}",
        f"generation  {_generation(status)}  {bar(status.progress)}  {_time(status)}",
        f"members     {members.done} of {members.all} done, {members.in_work} in work, "
        f"{members.put_back} put back, {members.pending} pending",
        f"best        {_best(status.best_ever)}; last complete generation: "
        f"{_best(status.best_last)}",
    ]
    if status.fingerprint is not None:
        lines.append(f"fingerprint {status.fingerprint}")
    return lines


def _generation(status: Status) -> str:
    if status.generation is None:
        return "none yet"
    return f"{status.generation} of {_or_unknown(status.generations)}"


def _time(status: Status) -> str:
    elapsed = f"{span(status.elapsed_s)} so far" if status.elapsed_s is not None else ""
    if status.finished:
        return elapsed.replace(" so far", " in all")
    left = f"about {span(status.left_s)} left" if status.left_s is not None else ""
    return ", ".join(filter(None, (elapsed, left)))


def _best(best: TopMember | None) -> str:
    if best is None:
        return "none yet"
    name = paths.member_name(best.member)
    return f"{best.score:.6g} ({name} in generation {best.generation})"


def _workers(status: Status) -> list[str]:
    """Live processes, and the number of others: every restart leaves one behind."""
    live = [worker for worker in status.workers if worker.live]
    gone = len(status.workers) - len(live)
    coordinator = [status.coordinator] if status.coordinator and status.coordinator.live else []
    table = [_seen(seen) for seen in [*coordinator, *live]]
    title = f"workers     {len(live)} live"
    if gone:
        title += f", {gone} gone or silent"
    if table:
        title += "; when they were last seen is a hint, by the times of files"
    return [title, *capped(table, WORKER_LINES)]


def _seen(seen: Seen) -> str:
    steps = f", {seen.steps} steps" if seen.steps else ""
    doing = clipped((seen.doing or "?") + steps, 44)
    return f"  {clipped(seen.name, 34):34}  {doing:44}  {span(seen.changed_s)} ago"


def _trouble(status: Status) -> list[str]:
    """Failures, troubles and damage: a title each, and the first lines."""
    lines = []
    counts = ", ".join(f"{count} {kind}" for kind, count in status.failures.items())
    failed = [
        f"generation {f.generation} {paths.member_name(f.member)}: {f.kind}: {f.line}"
        for f in status.failed
    ]
    if counts or failed:
        given_up = f"; members recorded as failed: {len(failed)}" if failed else ""
        lines.append(f"failures    {counts or 'none'}{given_up}")
        lines += capped([f"  {line}" for line in failed], FAILED_LINES)
    lines += titled("trouble", capped(status.trouble, TROUBLE_LINES))
    lines += titled("damaged", capped(status.problems, PROBLEM_LINES))
    return lines


def _or_unknown(value: int | None) -> str:
    return "?" if value is None else str(value)
