"""Adds to what is known of a member what only the page shows: pictures, log, roots of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.run import History
from pbtnas.analysis.plots.evolution import Evolution, layer_roots
from pbtnas.dashboard.pictures import pictures_of
from pbtnas.monitoring.one_member import OneMember, known_member
from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.store.opening import open_files

LINES = 200  # of a log, the last ones


def member_data(
    history: History, evolution: Evolution | None, generation: int, member: int
) -> dict[str, Any] | None:
    """What is known of a member, as JSON data; None where nobody was."""
    if generation >= len(history.generations):
        return None
    with open_files(history.root) as reader:
        files = RecordFiles(reader, history.run or None)
        found = known_member(files, history, generation, member)
        if found is None:
            return None
        told = found.to_json()
        told["about"] = {key: value for key, value in found.about.items() if _short(value)}
        told["roots"] = _roots(evolution, found)
        told["log"] = _log(files, found)
        told["pictures"] = pictures_of(reader, found.checkpoint)
        told["evaluation"] = _evaluation(files, found)
        told["problems"] = files.problems
        return told


def _short(value: Any) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) < LINES


def _roots(evolution: Evolution | None, found: OneMember) -> Sequence[tuple[int, int]]:
    """Generation and slot in which each variable began; nothing before a selection tells."""
    if evolution is None or found.generation >= len(evolution.generations):
        return ()
    return layer_roots(evolution, found.generation, found.member)


def _log(files: RecordFiles, found: OneMember) -> dict[str, Any]:
    """The last lines that the newest attempt with a log has written."""
    for attempt in reversed(found.attempts):
        number = attempt["number"]
        try:
            content = files.bytes(paths.attempt_log(found.generation, found.member, number))
        except UnreadableRecord as error:
            files.problems.append(str(error))
            continue
        if content:
            lines = content.decode(errors="replace").splitlines()
            shown = lines[-LINES:]
            return {"attempt": number, "lines": shown, "before": len(lines) - len(shown)}
    return {"attempt": None, "lines": [], "before": 0}


def _evaluation(files: RecordFiles, found: OneMember) -> Mapping[str, Any] | None:
    """The final evaluation of its network; None if there is none."""
    if found.checkpoint is None:
        return None
    record = files.read(paths.evaluation(found.checkpoint), "evaluation")
    return None if record is None else {"score": record.core["score"], **record.core["metrics"]}
