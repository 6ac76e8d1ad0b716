"""A study's directory: made once, adopted by whoever comes later, and refused to strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.store.run_directory import NotARun, open_run
from pbtnas.store.study_directory import create_study, is_study, open_study
from tests.study.ended import end_study

RUNS = [{"name": "a", "seed": 3, "config": {"task": {"name": "digits"}}}]


def test_the_first_to_make_a_study_decides_what_it_is(tmp_path: Path) -> None:
    """Whoever comes later gets what is there, and compares it with what he wants."""
    root = tmp_path / "new" / "study"
    first = create_study(root, RUNS, pbtnas="1")
    second = create_study(root, [{**RUNS[0], "seed": 4}], pbtnas="2")

    assert first == second == open_study(root)
    (run,) = first.runs
    assert (run.name, run.seed, run.label) == ("a", 3, "a-s3")
    assert run.root == root / "runs" / "a-s3"
    assert run.config == RUNS[0]["config"]


def test_how_a_study_ended_is_said_once(tmp_path: Path) -> None:
    """None before the end; afterwards what was said first."""
    study = create_study(tmp_path / "study", RUNS, pbtnas="1")
    before = study.ended()
    end_study(study, {"a-s3": "fingerprint"})
    end_study(study, {"a-s3": "another"})

    assert before is None
    assert open_study(study.root).ended() == {"a-s3": "fingerprint"}


def test_a_directory_with_something_else_is_refused(tmp_path: Path) -> None:
    """A run's directory, or any other, does not become a study; nothing is written to it."""
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(NotARun, match=r"has no study\.json, but for example 'thesis\.txt'"):
        create_study(tmp_path, RUNS, pbtnas="1")

    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert not is_study(tmp_path)
    with pytest.raises(NotARun, match=r"it has no study\.json"):
        open_study(tmp_path)


def test_where_a_run_is_wanted_a_study_names_its_own(tmp_path: Path) -> None:
    """Commands for runs say where those of a study are, not that something is lacking."""
    study = create_study(tmp_path / "study", RUNS, pbtnas="1")

    with pytest.raises(NotARun, match=r"a study, not a run; name one of its runs, .*study/runs$"):
        open_run(study.root)


def test_a_damaged_study_is_noticed(tmp_path: Path) -> None:
    """Its record is checked like any other."""
    study = create_study(tmp_path / "study", RUNS, pbtnas="1")
    record = study.root / paths.STUDY
    record.write_bytes(record.read_bytes().replace(b'"seed":3', b'"seed":4'))

    with pytest.raises(CorruptRecord, match=r"study\.json: not an intact record"):
        open_study(study.root)
