"""The end of a study, recorded as its coordinator records it."""

from __future__ import annotations

from collections.abc import Mapping

from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.store.identity import new_nonce
from pbtnas.store.posix import PosixStore
from pbtnas.store.study_directory import Study


def end_study(study: Study, runs: Mapping[str, str]) -> None:
    """Say how each run ended, by label."""
    record = Record("ended", study.id, {"runs": dict(runs)}, {}, new_nonce())
    with PosixStore(study.root, "test") as store:
        store.put(paths.STUDY_ENDED, encode(record, paths.STUDY_ENDED))
