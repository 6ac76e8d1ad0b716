"""Counts what the runs of a study computed, and what they took over from one another."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pbtnas.analysis.history.account import Account, of_one
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.summary import Summary
from pbtnas.analysis.history.summary_view import stored_summary
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record
from pbtnas.records.names import Name
from pbtnas.records.retries import last_try
from pbtnas.records.schema import Manifest
from pbtnas.store.opening import open_files
from pbtnas.store.reader import RunReader


def account(runs: Iterable[Path]) -> Account:
    """Add up the work in these run directories; those that do not exist yet have none."""
    return sum((_account(root) for root in runs), Account())


def _account(root: Path) -> Account:
    with suppress(FileNotFoundError, NotADirectoryError), open_files(root) as files:
        summary = _summed(files)
        total, generation = summary.account, summary.generations
        while manifest := _read(files, paths.manifest(generation), "manifest"):
            for job in Manifest.from_json(manifest.core).jobs:
                result = _result(files, generation, job.member)
                if result is not None:
                    total += of_one(job.epochs, result.meta)
            generation += 1
        return total
    return Account()


def _summed(files: RunReader) -> Summary:
    """The generations that need not be read again."""
    run = _read(files, paths.RUN, "run")
    return Summary() if run is None else stored_summary(RecordFiles(files, run.run), run=run.run)


def _result(files: RunReader, generation: int, member: int) -> Record | None:
    """The result of a member, or of the last retry of its job."""

    def read(retry: int) -> Record | None:
        return _read(files, paths.result(generation, member, retry), "result")

    return last_try(read)[0]


def _read(files: RunReader, name: Name, kind: str) -> Record | None:
    try:
        return files.record(name, kind)
    except CorruptRecord:
        return None  # as if it were not there: `pbtnas fsck` tells
