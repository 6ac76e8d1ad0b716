"""The status of a study: what is done, who works where, and what hinders, on one screen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pbtnas.monitoring.study_screen import StudyStatus, render, study_status, to_json
from pbtnas.records import paths
from pbtnas.records.heartbeat import IDLE, busy_with
from pbtnas.store.study_directory import open_study
from tests.analysis.made_runs import beat, search, story, study, write
from tests.study.ended import end_study

NOW = 2_000_000_000.0
RUNS = ("pbt-nas-s1", "random-search-s1", "pbt-nas-s2", "random-search-s2")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of two algorithms and two seeds, one run is finished, two are in work, one is not begun."""
    directory = study(tmp_path / "study", seeds=(1, 2), unbegun=RUNS[1:])
    for label, last in ((RUNS[1], paths.selection(1)), (RUNS[2], paths.result(0, 3))):
        name, seed = label.rsplit("-s", 1)
        whole = story(search(algorithm=name, seed=int(seed)))
        stop = [n for n, _ in whole].index(last) + 1
        write(directory / paths.STUDY_RUNS / label, whole[:stop])
    return directory


def run(root: Path, label: str) -> Path:
    return root / paths.STUDY_RUNS / label


def look(root: Path) -> StudyStatus:
    return study_status(open_study(root), now=NOW)


def test_runs_are_finished_open_or_waiting(root: Path) -> None:
    """Each is counted once, and progress counts network-epochs, not runs."""
    seen = look(root)

    assert (seen.finished, seen.waiting) == (("pbt-nas-s1",), ("random-search-s2",))
    assert [(o.label, o.generation, o.done) for o in seen.open] == [
        ("random-search-s1", 1, 6),
        ("pbt-nas-s2", 0, 4),
    ]
    # Generations of 4, 2, 2 and 2 epochs, six members each.
    assert seen.progress == pytest.approx((60 + 36 + 16) / 240)
    assert "pbt-nas-s2        generation 0 of 4, 4 of 6 members done, best " in render(seen)


def test_a_worker_is_shown_once_and_where_it_works(root: Path) -> None:
    """It beats in all runs that are open; only one of them has work for it."""
    beat(run(root, RUNS[1]), paths.worker("host-7-w"), NOW - 1, phase=busy_with(RUNS[2]))
    beat(run(root, RUNS[2]), paths.worker("host-7-w"), NOW - 3, phase="training g0000 m04")
    beat(run(root, RUNS[1]), paths.worker("host-8-w"), NOW - 2, phase=IDLE)
    beat(run(root, RUNS[2]), paths.worker("host-8-w"), NOW - 9, phase=IDLE)

    seen = look(root)

    assert [(w.name, w.doing, w.changed_s) for w in seen.workers] == [
        ("host-8-w", IDLE, 2.0),
        ("host-7-w", "pbt-nas-s2: training g0000 m04", 3.0),
    ]
    # Jobs of 3 s for 112 of 240 epochs; the rest is shared by two.
    assert seen.left_s == pytest.approx((240 - 112) * seen.account.trained_s / 112 / 2)
    assert "workers     2 live" in render(seen)


def test_who_is_missing_and_what_is_damaged_is_said(root: Path) -> None:
    """With the command that helps."""
    damaged = paths.result(0, 2)
    (run(root, RUNS[2]) / damaged).write_bytes(b"{")

    seen = look(root)

    assert seen.left_s is None
    assert seen.trouble[0].startswith("nobody conducts the study; `pbtnas study`")
    assert seen.trouble[1] == f"nobody works on it; `pbtnas worker {root}` does"
    assert seen.trouble[2].startswith(f"pbt-nas-s2: {damaged}: ")


def test_a_worker_that_waits_for_the_disk_is_a_trouble(root: Path) -> None:
    """Told with the run for which it waits."""
    phase = "waiting: cannot write: No space left on device"
    beat(run(root, RUNS[2]), paths.worker("host-7-w"), NOW - 3, phase=phase)
    beat(run(root, RUNS[2]), paths.beat(paths.TERM, 1), NOW - 4, phase="coordinating")

    assert look(root).trouble == (f"host-7-w: pbt-nas-s2: {phase}",)


def test_a_study_that_is_over_has_no_trouble(root: Path) -> None:
    """Nobody works on it any more, and nobody has to."""
    end_study(open_study(root), {label: "all 6 members failed" for label in RUNS})

    seen = look(root)

    assert seen.over and not seen.trouble and not seen.open
    assert set(seen.failed) == set(RUNS[1:]), "that which has a final record did not fail"
    assert "over" in render(seen) and "live" not in render(seen)
    assert "failed      random-search-s1: all 6 members failed" in render(seen)


def test_any_study_fits_the_screen_and_is_json(tmp_path: Path) -> None:
    """Twenty runs in work and twenty workers are capped at 24 lines of 100 columns."""
    seeds = range(20)
    labels = [f"{'x' * 60}-s{seed}" for seed in seeds]
    root = study(tmp_path / "s", seeds=seeds, populations={"x" * 60: 6}, unbegun=labels)
    for seed, label in zip(seeds, labels, strict=True):
        write(run(root, label), story(search(seed=seed))[:12])
        (run(root, label) / paths.result(0, 0)).write_bytes(b"{")
        beat(run(root, label), paths.worker(f"host-{seed}-w"), NOW, phase="waiting: " + "y" * 90)

    seen = look(root)

    lines = render(seen).split("\n")
    assert len(lines) <= 24 and max(map(len, lines)) <= 100
    assert json.loads(json.dumps(to_json(seen)))["runs"] == 20
