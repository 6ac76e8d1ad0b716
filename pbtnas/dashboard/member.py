"""Reads everything that a run knows about one member of one generation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import ClaimHistory, ResultWithMeta, read_attempts
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import Evolution, begins_fresh, layer_roots
from pbtnas.dashboard.pictures import pictures_of
from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.records.schema import Result
from pbtnas.search.births import Birth
from pbtnas.store.reader import RunReader

LINES = 200  # of a log, the last ones


def member_data(
    history: History, evolution: Evolution | None, generation: int, member: int
) -> dict[str, Any] | None:
    """What is known of a member, as JSON data; None where nobody was."""
    if generation >= len(history.generations):
        return None
    here = history.generations[generation]
    if member not in here.jobs.keys() | here.results.keys():
        return None
    with RunReader(history.root) as reader:
        files = RecordFiles(reader, history.run or None)
        reported = _reported(files, history, generation, member)
        attempts = read_attempts(files, paths.job_slot(generation, member), reported)
        result = None if reported is None else reported.result
        meta = dict({} if reported is None else reported.meta)
        line = history.ancestors(generation, member)
        return {
            "generation": generation,
            "member": member,
            "outcome": "" if result is None else result.outcome,
            "score": None if result is None else result.score,
            "metrics": {} if result is None else result.metrics,
            "class": meta.pop("class", ""),
            "traceback": meta.pop("traceback", ""),
            "about": {key: value for key, value in meta.items() if _short(value)},
            "born": _born(files, history, generation, line),
            "architecture": _architecture(history, evolution, generation, member, line),
            "ancestors": _ancestors(history, line),
            "attempts": [_attempt(attempt) for attempt in attempts],
            "log": _log(files, generation, member, attempts),
            "pictures": [] if result is None else pictures_of(reader, result.checkpoint),
            "evaluation": _evaluation(files, result),
            "problems": files.problems,
        }


def _reported(
    files: RecordFiles, history: History, generation: int, member: int
) -> ResultWithMeta | None:
    """The result with its metadata; where its record is lost, the copy in the selection."""
    known = history.generations[generation].results.get(member)
    retry = 0 if known is None else known.retry
    name = paths.result(generation, member, retry)
    record = files.read(name, "result", expected=known is not None)
    if record is None:
        return known
    return ResultWithMeta(Result.from_json(record.core), record.meta, retry)


def _short(value: Any) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) < LINES


def _latest_birth(history: History, line: Sequence[int]) -> tuple[int, Birth] | None:
    """The birth of a member, and the generation that it was born into; None if it was created."""
    for number in range(len(line) - 1, 0, -1):
        born = history.birth(number, line[number])
        if born is not None:
            return number, born.birth
    return None


def _born(
    files: RecordFiles, history: History, generation: int, line: Sequence[int]
) -> dict[str, Any] | None:
    found = _latest_birth(history, line)
    if found is None:
        return None
    number, birth = found
    record = files.read(paths.birth(number - 1, birth.member), "birth")
    return {
        "generation": number,
        "base": birth.base,
        "donor": birth.donor,
        "operator": birth.operator,
        "shrink": birth.shrink,
        "perturb": birth.perturb,
        "origins": {} if record is None else record.meta.get("origins", {}),
    }


def _architecture(
    history: History,
    evolution: Evolution | None,
    generation: int,
    member: int,
    line: Sequence[int],
) -> list[dict[str, Any]]:
    """Each variable with its option, which parent gave it, and where its layer began."""
    architecture = history.architecture(generation, member)
    if architecture is None:
        return []
    variables = tuple(history.space or ())
    born = _latest_birth(history, line)
    reached = evolution is not None and generation < len(evolution.generations)
    roots = layer_roots(evolution, generation, member) if evolution and reached else []
    rows = []
    for i, option in enumerate(architecture):
        known = i < len(variables)
        rows.append(
            {
                "variable": variables[i].name if known else f"variable {i}",
                "option": str(variables[i].options[option]) if known else f"option {option}",
                "layer": known and bool(variables[i].modules),
                "from": "" if born is None else _given_by(born[1], i),
                "root": roots[i] if roots else None,
            }
        )
    return rows


def _given_by(birth: Birth, variable: int) -> str:
    if variable in birth.explored:
        return "moved"
    if variable not in birth.inherited:
        return "base"
    return "fresh" if begins_fresh(birth) else "donor"


def _ancestors(history: History, line: Sequence[int]) -> list[dict[str, Any]]:
    """The ancestors through bases, each with its score after so many epochs of training."""
    found, epochs = [], 0
    for number, slot in enumerate(line):
        generation = history.generations[number]
        job, reported = generation.jobs.get(slot), generation.results.get(slot)
        born = history.birth(number, slot)
        epochs += 0 if job is None else job.epochs
        score = None if reported is None else reported.result.score
        found.append(
            {
                "generation": number,
                "member": slot,
                "epochs": epochs,
                "score": score if score is not None and math.isfinite(score) else None,
                "donor": None if born is None else born.birth.donor,
                "born": born is not None,
            }
        )
    return found


def _attempt(attempt: ClaimHistory) -> dict[str, Any]:
    end: Mapping[str, Any] = attempt.end or {}
    return {
        "number": attempt.number,
        "worker": str(attempt.holder.get("worker", "?")),
        "ended": attempt.ended,
        "text": str(end.get("text", "")),
    }


def _log(
    files: RecordFiles, generation: int, member: int, attempts: Sequence[ClaimHistory]
) -> dict[str, Any]:
    """The last lines that the newest attempt with a log has written."""
    for attempt in reversed(attempts):
        try:
            content = files.bytes(paths.attempt_log(generation, member, attempt.number))
        except UnreadableRecord as error:
            files.problems.append(str(error))
            continue
        if content:
            lines = content.decode(errors="replace").splitlines()
            shown = lines[-LINES:]
            return {"attempt": attempt.number, "lines": shown, "before": len(lines) - len(shown)}
    return {"attempt": None, "lines": [], "before": 0}


def _evaluation(files: RecordFiles, result: Result | None) -> dict[str, Any] | None:
    """The final evaluation of its network; None if there is none."""
    if result is None or result.checkpoint is None:
        return None
    record = files.read(paths.evaluation(result.checkpoint), "evaluation")
    return None if record is None else {"score": record.core["score"], **record.core["metrics"]}
