"""Files of a study that cannot be read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pbtnas.monitoring import study_screen
from pbtnas.records import paths
from pbtnas.records.envelope import RecordError
from pbtnas.store.study_directory import is_study, open_study
from tests.analysis import made_runs
from tests.unreadable import SORTS, plant

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("sort", SORTS)
def test_without_its_record_there_is_no_study(tmp_path: Path, sort: str) -> None:
    """What names the runs cannot be computed again: one sentence names the file."""
    root = made_runs.study(tmp_path / "study", seeds=[1], populations={"one": 4})
    plant(root / paths.STUDY, sort)

    assert is_study(root)
    with pytest.raises(RecordError, match=r"study.json: cannot be read"):
        open_study(root)


@pytest.mark.parametrize("sort", SORTS)
def test_the_others_are_shown_where_one_run_cannot_be_read(tmp_path: Path, sort: str) -> None:
    """Status names what is broken, and tells of the rest."""
    root = made_runs.study(tmp_path / "study", seeds=[1], populations={"one": 4, "two": 4})
    broken = root / "runs" / "two-s1"
    (broken / paths.FINAL).unlink()
    plant(broken / paths.FORMAT, sort)
    plant(root / paths.STUDY_ENDED, sort)

    seen = study_screen.study_status(open_study(root), now=time.time())

    assert seen.finished == ("one-s1",)
    assert any("FORMAT: cannot be read" in text for text in seen.trouble)
    assert any("ended.json: cannot be read" in text for text in seen.trouble)
    study_screen.render(seen)
