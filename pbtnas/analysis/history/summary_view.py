"""Writes the summary of a run as the content of its view, and reads it from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pbtnas.analysis.history.account import Account
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.front_summary import FrontSummary
from pbtnas.analysis.history.generation import TopMember
from pbtnas.analysis.history.summary import Failed, Summary
from pbtnas.records import paths
from pbtnas.records.sealed import seal, unseal

FORMAT = 1  # to be raised with whatever changes what a summary holds or how it is made


def to_view(summary: Summary, *, run: str, lease_s: float) -> bytes:
    """The content of `summary.json`; the summary has to have a selection."""
    core = {
        "format": FORMAT,
        "run": run,
        "lease_s": lease_s,
        "generations": summary.generations,
        "selection": summary.selection,
        "best": _top_to_json(summary.best),
        "architecture": summary.architecture,
        "best_last": _top_to_json(summary.best_last),
        "failures": dict(summary.failures),
        "failed": [[f.generation, f.member, f.kind, f.line] for f in summary.failed],
        "failed_in_all": summary.failed_in_all,
        "holders": {name: dict(holder) for name, holder in summary.holders.items()},
        "opened": summary.opened,
        "active": summary.active,
        "account": vars(summary.account),
        "front": summary.front.to_json(),
        "doubtful": summary.doubtful,
    }
    return seal(core)


def from_view(data: bytes, *, run: str, lease_s: float | None = None) -> Summary | None:
    """The summary that was written; None if it is torn, of another version or of another run, or
    counts as work what another lease would not (None: any lease)."""
    core = unseal(data)
    if core is None or core.get("format") != FORMAT or core["run"] != run:
        return None
    return _summary(core) if lease_s in (None, core["lease_s"]) else None


def stored_summary(
    files: RecordFiles, *, run: str, lease_s: float | None = None, generations: int | None = None
) -> Summary:
    """The summary of the first generations that the run directory holds, of at most as many as
    there are, if that is given; an empty one if it holds none that fits the chain of its records,
    which are then read from the first one on."""
    data = files.view(paths.SUMMARY)
    summary = None if data is None else from_view(data, run=run, lease_s=lease_s)
    if summary is None or (generations is not None and summary.generations > generations):
        return Summary()
    selection = files.read(paths.selection(summary.generations - 1), "selection")
    fits = selection is not None and selection.digest == summary.selection
    return summary if fits else Summary()


def _summary(core: Mapping[str, Any]) -> Summary:
    architecture = core["architecture"]
    return Summary(
        generations=core["generations"],
        selection=core["selection"],
        best=_top(core["best"]),
        architecture=None if architecture is None else tuple(architecture),
        best_last=_top(core["best_last"]),
        failures=core["failures"],
        failed=tuple(Failed(*row) for row in core["failed"]),
        failed_in_all=core["failed_in_all"],
        holders=core["holders"],
        opened=tuple(core["opened"]),
        active=tuple((begin, end) for begin, end in core["active"]),
        account=Account(**core["account"]),
        front=FrontSummary.from_json(core["front"]),
        doubtful=tuple(core["doubtful"]),
    )


def _top_to_json(best: TopMember | None) -> list[Any] | None:
    return None if best is None else [best.generation, best.member, best.score]


def _top(data: list[Any] | None) -> TopMember | None:
    return None if data is None else TopMember(*data)
