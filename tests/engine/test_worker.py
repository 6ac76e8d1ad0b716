"""What a worker says of the run before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

import pbtnas
from pbtnas.engine.worker import warn_of_other_version
from pbtnas.store.run_directory import create


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
