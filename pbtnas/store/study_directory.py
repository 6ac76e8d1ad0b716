"""A study's directory: which runs it holds, and how it ended.

    STUDY/
      study.json          the runs with their resolved configurations         record: study
      runs/NAME-sSEED/    ordinary run directories
      workers/            what the training processes of its workers printed
      ended.json          the study is over                                   record: ended
      study.lock          for a quick answer on one machine; decides nothing

Both records are write-once; their envelope is that of a run's records, `run` being the study's id.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.names import Name
from pbtnas.store.identity import new_identifier, new_nonce
from pbtnas.store.opening import open_files, open_store
from pbtnas.store.run_directory import NotARun, best_primitive, make_directory


@dataclass(frozen=True)
class StudyRun:
    """One run of a study.

    Args:
        name: The name of the algorithm or variant.
        seed: The seed of the run.
        root: Its run directory, which need not exist yet.
        config: The resolved configuration, as JSON.
        options: All options of its task, those at their defaults included; None for a study made
            before they were recorded.
    """

    name: str
    seed: int
    root: Path
    config: Mapping[str, Any]
    options: Mapping[str, Any] | None = None

    @property
    def label(self) -> str:
        """Name and seed, as its directory is called."""
        return self.root.name

    def has(self, name: Name) -> bool:
        """Whether a record of that name is published in the run, which need not exist yet."""
        return _has(self.root, name)


@dataclass(frozen=True)
class Study:
    """What a study's directory says.

    Args:
        id: The id, unique to the study.
        root: The directory of the study.
        runs: The runs, seed by seed, for each seed in the order of the study's file.
    """

    id: str
    root: Path
    runs: tuple[StudyRun, ...]

    def ended(self) -> Mapping[str, str] | None:
        """How each run ended, by label: its fingerprint, or a sentence; None before the end."""
        with open_files(self.root) as files:
            record = files.record(paths.STUDY_ENDED, "ended", self.id)
        return None if record is None else record.core["runs"]


def is_study(root: Path) -> bool:
    """Whether this directory holds a study, rather than a run."""
    return _has(root, paths.STUDY)


def holds_study(root: Path) -> bool:
    """Whether this directory is a study's, even if it has lost the record that says so."""
    made = all(_has(root, name) for name in paths.STUDY_DIRECTORIES)
    return is_study(root) or _has(root, paths.STUDY_ENDED) or made


def create_study(root: Path, runs: Sequence[Mapping[str, Any]], *, pbtnas: str) -> Study:
    """Make a study's directory, or open the study that is there, whatever its runs.

    Args:
        root: The study directory, created with its parents if missing.
        runs: {"name", "seed", "config", "options"} each.
        pbtnas: The version that makes it.

    Raises `NotARun` when the directory holds something else, `OSError` when it cannot be
    written.
    """
    if not is_study(root):
        make_directory(root)
        unexpected = [entry.name for entry in root.iterdir() if not entry.name.startswith(".")]
        if unexpected and not holds_study(root):
            raise NotARun(
                f"{root}: not the directory of a study: it has no {paths.STUDY}, but for example "
                f"{min(unexpected)!r}; give a new or empty directory"
            )
        core = {"runs": list(runs), "pbtnas": pbtnas}
        _put(root, paths.STUDY, Record("study", _identifier(root), core, {}, new_nonce()))
    for name in paths.STUDY_DIRECTORIES:
        make_directory(root / name)
    return open_study(root)


def _identifier(root: Path) -> str:
    """The id of a new study, or of the one whose first record was lost and whose last was not."""
    with open_files(root) as files:
        ended = files.record(paths.STUDY_ENDED, "ended")
    return new_identifier() if ended is None else ended.run


def open_study(root: Path) -> Study:
    """The study in a directory.

    Raises `NotARun` when there is none, `RecordError` when its record is damaged, unreadable or
    too new.
    """
    record = None
    with suppress(FileNotFoundError, NotADirectoryError), open_files(root) as files:
        record = files.record(paths.STUDY, "study")
    if record is None:
        raise NotARun(f"{root}: not the directory of a study: it has no {paths.STUDY}")
    runs = tuple(
        StudyRun(
            r["name"],
            r["seed"],
            root / paths.study_run(r["name"], r["seed"]),
            r["config"],
            r.get("options"),
        )
        for r in record.core["runs"]
    )
    return Study(record.run, root, runs)


def _has(root: Path, name: Name) -> bool:
    try:
        with open_files(root) as files:
            return files.published(name)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _put(root: Path, name: Name, record: Record) -> None:
    writer = f"study-{os.urandom(4).hex()}"
    with open_store(root, writer, primitive=best_primitive(root)) as store:
        store.put(name, encode(record, name))
