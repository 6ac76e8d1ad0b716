"""What killed processes leave unfinished, and when it goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pbtnas.records import paths
from pbtnas.store import private_files
from pbtnas.store.private_files import (
    OLD_S,
    clear_earlier_attempts,
    clear_overlays,
    clear_own_attempt,
    clear_soup,
    sweep,
)

OURS, OTHER = "here-1-w-abcdef", "there-2-w-abcdef"
COORDINATOR = "here-3-c-abcdef"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run in whose generation 4 workers and a coordinator were killed at everything they did."""
    for name in (*paths.TOP_DIRECTORIES, "generations/0004"):
        (tmp_path / name).mkdir()
    for name in paths.GENERATION_DIRECTORIES:
        (tmp_path / paths.generation(4) / name).mkdir()
    for member, number in ((7, 1), (7, 2), (17, 1)):
        attempt = tmp_path / paths.attempt(4, member, number)
        attempt.mkdir()
        for leaf in (".tmp-123", "log.jsonl", "snapshot-000000003-ab.safetensors"):
            (attempt / leaf).touch()
    for writer, what in (
        *((OURS, "m07"), (OURS, "m17"), (OTHER, "m07"), (OTHER, "m07-reused"), (OTHER, "m17")),
        *((COORDINATOR, "07"), (COORDINATOR, "117")),
    ):
        (tmp_path / paths.private_checkpoint(4, writer, what)).touch()
    (tmp_path / paths.checkpoint(4, "ab")).touch()
    (tmp_path / paths.PRODUCTS / f".tmp-{OURS}-training-01ab23-1").touch()
    (tmp_path / paths.PRODUCTS / f".tmp-{OTHER}-training-01ab23-1").touch()
    (tmp_path / paths.SOUPS / f".tmp-{OTHER}-best-ever-soup").touch()
    (tmp_path / paths.SOUPS / f".tmp-{OTHER}-best-last-soup").touch()
    return tmp_path


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def private(what: str, writer: str = OTHER) -> str:
    return paths.private_checkpoint(4, writer, what)


def test_an_attempt_clears_up_after_those_before_it(root: Path) -> None:
    """Unfinished snapshots and checkpoints of that job, whoever wrote them, and nothing else."""
    before = files(root)
    clear_earlier_attempts(root, 4, 7, 1)
    assert files(root) == before
    clear_earlier_attempts(root, 4, 7, 2)

    gone = {f"{paths.attempt(4, 7, 1)}/.tmp-123"}
    assert before - files(root) == gone | {
        private("m07", OURS),
        private("m07"),
        private("m07-reused"),
    }


def test_a_worker_clears_up_after_its_training_process(root: Path) -> None:
    """What that one was writing, and nothing of another worker at the same job."""
    before = files(root)
    clear_own_attempt(root, 4, 7, 2, OURS)

    assert before - files(root) == {
        f"{paths.attempt(4, 7, 2)}/.tmp-123",
        private("m07", OURS),
        f"{paths.PRODUCTS}/.tmp-{OURS}-training-01ab23-1",
    }


def test_a_coordinator_clears_up_after_those_before_it(root: Path) -> None:
    """Unfinished children, and no unfinished checkpoint of a worker."""
    before = files(root)
    clear_overlays(root, 4)

    assert before - files(root) == {private("07", COORDINATOR), private("117", COORDINATOR)}


def test_a_soup_is_cleared_of_earlier_attempts_at_it(root: Path) -> None:
    """Another soup may be in work at the same time."""
    before = files(root)
    clear_soup(root, "best-ever-soup")

    assert before - files(root) == {f"{paths.SOUPS}/.tmp-{OTHER}-best-ever-soup"}


def test_what_is_old_goes_from_beside_the_generations(root: Path) -> None:
    """By the clock of the file system, be it a year off; what may be in work stays, and so does
    everything that is not private."""
    (root / paths.HEAD).touch()
    (root / "metrics/.tmp-old").mkdir()  # a record where there are no hard links
    (root / "metrics/.tmp-old" / paths.INSIDE).touch()
    (root / "config/.tmp-young").touch()
    before = files(root)
    now_s = (root / paths.HEAD).stat().st_mtime
    for path in [*root.rglob("*"), root / "metrics/.tmp-old"]:
        if "young" not in path.name:
            os.utime(path, (now_s - OLD_S - 60,) * 2)
    sweep(root)

    gone = before - files(root)
    assert gone == {
        name
        for name in before
        if "/.tmp-" in name and "young" not in name and not name.startswith("generations/")
    }
    assert not (root / "metrics/.tmp-old").exists()


def test_what_cannot_be_cleared_is_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is litter: no attempt fails for it, nor for a directory that is not there."""
    before = files(root)

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, os.strerror(5))

    for call in ("unlink", "touch"):
        monkeypatch.setattr(private_files.Path, call, fail)
    clear_earlier_attempts(root, 4, 7, 2)
    clear_earlier_attempts(root / "missing", 4, 7, 2)
    sweep(root)
    monkeypatch.setattr(private_files.Path, "iterdir", fail)
    clear_overlays(root, 4)

    monkeypatch.undo()
    assert files(root) == before
