"""Examines the directory of a study, and each run in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import Record
from pbtnas.records.kinds import STUDY_KINDS
from pbtnas.records.names import Name
from pbtnas.store.fsck.chain import SENSELESS
from pbtnas.store.fsck.examination import Examination, Fault
from pbtnas.store.fsck.run import check
from pbtnas.store.opening import beside, open_files
from pbtnas.store.run_directory import NotARun

SAME = "written again by `pbtnas study` with the same file"


def check_study(root: Path) -> list[Fault]:
    """Everything wrong with a study's directory and its runs, by name; `Fault.name` begins
    there.  Raises `ForeignRecord` when one of the runs is of another version."""
    with open_files(root) as files:
        x = Examination(files, STUDY_KINDS)
        study = x.record(paths.STUDY, "study", SAME)
        x.run = None if study is None else study.run
        ended = x.record(paths.STUDY_ENDED, "ended", SAME)
        if not x.there(paths.STUDY):
            x.missing(paths.STUDY, SAME)
        planned = _planned(x, study)
        begun = set(files.names(paths.STUDY_RUNS))
        runs = {label: _run(root, label) for label in sorted(begun) if label[0] != "."}
        for label, faults in runs.items():
            for fault in faults:
                x.note(fault)
            if planned is not None and label not in planned:
                x.notice(Fault(_of(label), "unknown; the study has no such run"))
            elif planned is not None:
                _compare(x, label, planned[label])
        if ended is not None:
            _ended(x, ended, None if planned is None else set(planned), set(runs))
        return x.faults()


def _of(label: str, name: str = "") -> Name:
    return Name(f"{paths.STUDY_RUNS}/{label}/{name}".rstrip("/"))


def _planned(x: Examination, study: Record | None) -> Mapping[str, Any] | None:
    """The configurations of the study's runs, by label; None if they are unknown."""
    if study is None:
        return None
    try:
        return {
            paths.study_run(run["name"], run["seed"]).rpartition("/")[2]: run["config"]
            for run in study.core["runs"]
        }
    except SENSELESS:
        x.damaged(paths.STUDY, f"not what a study holds; {SAME}")
        return None


def _run(root: Path, label: str) -> list[Fault]:
    try:
        return [replace(f, name=_of(label, f.name)) for f in check(beside(root, _of(label)))]
    except NotARun:
        return []  # not begun yet


def _record(x: Examination, label: str, name: Name, kind: str) -> Record | None:
    """A record of a run that nothing was found wrong with."""
    if x.at_fault(_of(label, name)):
        return None
    try:
        with open_files(beside(x.files.root, _of(label))) as files:
            return files.record(name, kind)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _compare(x: Examination, label: str, planned: Mapping[str, Any]) -> None:
    """Note it if a run was begun with another configuration than the study plans for it."""
    record = _record(x, label, paths.CONFIG, "config")
    if record is None:
        return
    sections = (planned.keys() | record.core.keys()) - {"engine"}
    if any(planned.get(section) != record.core.get(section) for section in sections):
        x.damaged(paths.STUDY, f"plans another configuration for {label} than that of its run")


def _ended(x: Examination, ended: Record, planned: set[str] | None, begun: set[str]) -> None:
    """The end of a study has to agree with the ends of its runs."""
    runs = ended.core.get("runs")
    if not isinstance(runs, Mapping) or (planned is not None and planned != runs.keys()):
        right = isinstance(runs, Mapping) and runs.keys() == begun
        wrong = paths.STUDY if right else paths.STUDY_ENDED
        x.damaged(wrong, f"not of the runs of this study; {SAME}")
        return
    for label, outcome in runs.items():
        final = _of(label, paths.FINAL)
        if " " in outcome:
            continue  # a sentence: its search could not go on
        record = _record(x, label, paths.FINAL, "final")
        if record is None:
            what = f"to be put aside: {final} is to be published again first; {SAME}"
            x.damaged(paths.STUDY_ENDED, what)
        elif record.core["fingerprint"] != outcome:
            x.damaged(paths.STUDY_ENDED, f"tells of another end than {final}; {SAME}")
