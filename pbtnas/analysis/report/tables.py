"""Tables of a report besides scores: the course of runs, their failures, where they ran."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from pbtnas.analysis.compare.gathering import NamedRun
from pbtnas.analysis.compare.observations import final_evaluation
from pbtnas.analysis.fronts.measured import Measured, front_volume
from pbtnas.analysis.history.generation import Generation
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import NothingToShow
from pbtnas.analysis.tables import Table
from pbtnas.config import outcome
from pbtnas.records.controls import by
from pbtnas.records.paths import member_name
from pbtnas.records.schema import NO_FAILURE, Champion, last_line
from pbtnas.search.space import Variable

LONGEST = 200  # rows of failures; a broken cluster may write thousands
FILES = 12  # of a task's code


def generations_table(history: History) -> Table:
    """A row a generation: scores, who was lost or replaced, and the time it cost."""
    rows = tuple(_generation_row(generation) for generation in history.generations)
    return Table(
        title="Generations",
        columns=(
            "generation",
            "best score",
            "mean score",
            "members",
            "without score",
            "replaced",
            "attempts",
            "job hours",
        ),
        rows=rows,
        notes=(
            "Attempts above the number of members are jobs that were handed back, taken over or "
            "tried again. Job hours are those of published results.",
        ),
    )


def champions_table(history: History, variables: Sequence[Variable]) -> Table:
    """The best members, option by option; raises `NothingToShow` while nobody has a score."""
    found: dict[str, Champion] = {}
    if history.final is not None:
        for title, best in (
            ("best ever", history.final.best_ever),
            ("best at the end", history.final.best_last),
        ):
            if best is not None:
                found[title] = best
    if not found:
        raise NothingToShow("the run has no best member yet")
    told = [*found.values()]
    rows = [
        ("member", *(f"{member_name(b.member)} of generation {b.generation}" for b in told)),
        ("score", *(f"{best.score:.6g}" for best in told)),
        ("checkpoint", *(best.checkpoint for best in told)),
    ]
    finals = [final_evaluation(history, best.checkpoint) or {} for best in told]
    for key in dict.fromkeys(key for final in finals for key in final):
        values = (f"{final[key]:.6g}" if key in final else "" for final in finals)
        rows.append((f"final evaluation: {key}", *values))
    for i, variable in enumerate(variables):
        options = (str(variable.options[best.architecture[i]]) for best in told)
        rows.append((variable.name, *options))
    return Table("The best members", ("", *found), tuple(rows))


def front_table(run: Measured, reference: str | None) -> Table:
    """The members that are kept because no other dominates them, and their hypervolume.

    Raises `BadReference`.
    """
    kept = run.archives[-1].front() if run.archives else ()
    bounds = "; ".join(map(str, run.objectives.each))
    notes = [f"Objectives: {bounds}. `--which front-N` names a member of it."]
    if kept:
        found = front_volume(run, reference)
        notes.append(f"Hypervolume {found.volume:.6g}, against {found.against}.")
    return Table(
        title="What no other member dominates",
        columns=("", "member", *(objective.name for objective in run.objectives.each)),
        rows=tuple(
            (
                f"front-{number}",
                f"{member_name(archived.member.number)} of generation {archived.generation}",
                *(f"{value:.6g}" for value in run.values(archived.member.objectives)),
            )
            for number, archived in enumerate(kept, start=1)
        ),
        notes=tuple(notes),
    )


def failures_table(histories: Iterable[History]) -> Table:
    """Every attempt that did not end with a result, and every member without a score."""
    rows: list[tuple[str | int, ...]] = []
    for history in histories:
        for generation in history.generations:
            rows += [(history.root.name, *row) for row in _failures(generation)]
    cut = f"The first {LONGEST} of {len(rows)}." if len(rows) > LONGEST else ""
    return Table(
        title="What failed, was handed back or was done again",
        columns=("run", "generation", "member", "attempt", "end", "by", "last words"),
        rows=tuple(rows[:LONGEST]),
        notes=tuple(filter(None, (cut, _END_WORDS if rows else "None."))),
    )


def settings_table(history: History) -> Table:
    """Every setting of the run that decides its outcome, and which options are defaults."""
    given = history.config["task"]
    rows = [
        (
            f"{section}.{key}",
            str(value),
            "the task's default" if section == "task" and key not in given else "",
        )
        for section, values in outcome(history.settings).items()
        for key, value in values.items()
    ]
    lacks = "The run does not record the defaults of its task's other options."
    return Table(
        title="What decided the outcome",
        columns=("setting", "value", ""),
        rows=tuple(rows),
        notes=(lacks,) if history.options is None else (),
    )


def code_table(history: History) -> Table:
    """The code of the task that the run was started with, and what was accepted later."""
    rows = []
    for known in history.codes.known:
        code, change = known.code, known.accepted
        told = [f"{name} {file.sha256[:16]}" for name, file in code.files.items()]
        more = [f"and {len(told) - FILES} more files"] if len(told) > FILES else []
        package = [f"{code.package} {code.version}"] if code.package else []
        rows.append(
            (
                f"accepted {change['at']} by {change['by']}" if change else "at the start",
                ", ".join([*package, *told[:FILES], *more]),
                ", ".join(f"{name} {version}" for name, version in code.versions.items()),
            )
        )
    return Table(
        title="The code of the task",
        columns=("", "package, or files with the beginning of their SHA-256", "versions"),
        rows=tuple(rows),
        notes=() if rows else ("The run does not record it.",),
    )


def machines_table(histories: Iterable[History]) -> Table:
    """Versions, processors and devices that made the results, with counts."""
    counts: Counter[tuple[str, ...]] = Counter()
    for history in histories:
        started = str(history.about.get("pbtnas", "?"))
        for generation in history.generations:
            for reported in generation.results.values():
                meta = reported.meta
                told = (str(meta.get(key, "?")) for key in _MADE_BY)
                counts[(str(meta.get("pbtnas", started)), *told)] += 1
    return Table(
        title="Where the results were made",
        columns=("pbtnas", *_MADE_BY, "results"),
        rows=tuple((*place, count) for place, count in sorted(counts.items())),
    )


def runs_table(runs: Iterable[NamedRun]) -> Table:
    """A row a run: how far it is, its best scores, what went wrong, its fingerprint."""
    return Table(
        title="Runs",
        columns=(
            "name",
            "seed",
            "state",
            "best at the end",
            "best ever",
            "architectures",
            "troubles",
            "fingerprint",
        ),
        rows=tuple(_run_row(run) for run in runs),
        notes=(
            "Architectures: how many different ones the last generation has.",
            "Troubles: attempts that failed, and members without a score.",
        ),
    )


_MADE_BY = ("torch", "processor", "cpu_capability", "device", "host")

_END_WORDS = (
    "released: handed back by a worker that was asked to stop; superseded: another attempt was "
    "first, or took over from a silent one; diverged and failed: the member's outcome."
)


def _generation_row(generation: Generation) -> tuple[str | int | float, ...]:
    results = [reported.result for reported in generation.results.values()]
    scores = [r.score for r in results if r.score is not None and math.isfinite(r.score)]
    seconds = sum(float(r.meta.get("wall_s") or 0) for r in generation.results.values())
    return (
        str(generation.number),
        max(scores, default=math.nan),
        sum(scores) / len(scores) if scores else math.nan,
        len(generation.jobs),
        len(results) - len(scores),
        len(generation.births),
        sum(map(len, generation.attempts.values())),
        seconds / 3600,
    )


def _failures(generation: Generation) -> Iterable[tuple[str | int, ...]]:
    number = str(generation.number)
    for attempts in (generation.attempts, generation.repairs):
        for member, tried in sorted(attempts.items()):
            for attempt in tried:
                if attempt.ended not in ("result", "open"):
                    words = str(attempt.end.get("text", "")) if attempt.end else ""
                    who = str(attempt.holder.get("worker", "?"))
                    name = member_name(member)
                    yield number, name, attempt.number, attempt.ended, who, last_line(words)
    for member, reported in sorted(generation.results.items()):
        if reported.result.outcome != "ok":
            who = str(reported.meta.get("worker", "?"))
            words = last_line(str(reported.meta.get("traceback", "")))
            attempt_number = reported.meta.get("attempt") or "–"
            yield number, member_name(member), attempt_number, reported.result.outcome, who, words


def state_of(history: History) -> str:
    """How far a run is, or how it ended, in words."""
    if history.final is not None and not history.final.cancelled:
        return "finished"
    done, total = len(history.generations), history.length
    if history.final is None:
        return f"in generation {done} of {total}"
    asked = " ".join(map(by, history.steering.of("cancel")[:1]))
    return f"cancelled after {done} of {total} generations {asked}".rstrip()


def _run_row(run: NamedRun) -> tuple[str | int | float, ...]:
    history = run.history
    final = history.final
    ever, last = (final.best_ever, final.best_last) if final else (None, None)
    return (
        run.name,
        str(run.seed),
        state_of(history),
        math.nan if last is None else last.score,
        math.nan if ever is None else ever.score,
        len({job.architecture for g in history.generations[-1:] for job in g.jobs.values()}),
        sum(_troubles(generation) for generation in history.generations),
        final.fingerprint if final else "",
    )


def _troubles(generation: Generation) -> int:
    ends = [a.ended for tried in generation.attempts.values() for a in tried]
    bad = sum(end not in (*NO_FAILURE, "result", "open") for end in ends)
    return bad + sum(r.result.outcome != "ok" for r in generation.results.values())
