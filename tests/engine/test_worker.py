"""What a worker does before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

import pbtnas
from pbtnas.engine import worker
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.worker import wait_for, warn_of_other_version
from pbtnas.store.run_directory import create
from pbtnas.store.study_directory import Study, create_study, is_study


@pytest.mark.parametrize(("version", "warnings"), [(pbtnas.__version__, 0), ("0.0.1", 1)])
def test_another_version_than_the_runs_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, version: str, warnings: int
) -> None:
    """One line with both versions; the same version is not worth a word."""
    about = {"hash": "xxh3-128", "space": "s", "pbtnas": version}

    warn_of_other_version(create(tmp_path / "run", {}, about=about))

    assert [record.levelname for record in caplog.records] == ["WARNING"] * warnings
    if warnings:
        assert f"pbtnas 0.0.1, this is {pbtnas.__version__}" in caplog.text


def test_a_study_that_is_made_while_a_worker_looks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question whether it is a study and the look for a run, it becomes one."""
    made: list[Study] = []

    def before_it_is_made(root: Path) -> bool:
        if made:
            return is_study(root)
        made.append(create_study(root, [], pbtnas="1"))
        return False

    monkeypatch.setattr(worker, "is_study", before_it_is_made)

    assert wait_for(tmp_path / "study", StopRequest(()), patience_s=60.0) == made[0]
