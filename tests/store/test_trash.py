"""Emptying the trash on the side."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.records import paths
from pbtnas.store import trash as deletion
from pbtnas.store.trash import Deletion


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A run directory with three generations of three files in its trash."""
    for generation in range(3):
        directory = tmp_path / paths.trash(generation)
        directory.mkdir(parents=True)
        for name in "abc":
            (directory / name).write_bytes(b"weights")
    return tmp_path


def left(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root / "trash")) for path in root.glob("trash/*/*"))


def test_finishing_deletes_what_was_asked_for_and_no_more(root: Path) -> None:
    """Generations from the named one on keep their files; emptied directories go too."""
    discarded = Deletion(root)
    discarded.ask(1)
    discarded.ask(2)
    discarded.finish()
    assert left(root) == ["0002/a", "0002/b", "0002/c"]
    assert [path.name for path in (root / "trash").iterdir()] == ["0002"]


def test_closing_leaves_the_rest_to_the_next_coordinator(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop does not wait for a long trash, and asking once more deletes the rest."""
    monkeypatch.setattr(deletion, "PAUSE_S", 60.0)
    first = Deletion(root)
    first.ask(2)
    first.close()
    assert len(left(root)) >= 8

    second = Deletion(root)
    second.ask(2)
    second.finish()
    assert left(root) == ["0002/a", "0002/b", "0002/c"]


def test_the_thread_deletes_while_others_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to finish or close for files to go."""
    monkeypatch.setattr(deletion, "PAUSE_S", 0.0)
    discarded = Deletion(root)
    discarded.ask(3)
    assert discarded._thread is not None
    discarded._thread.join(timeout=60)
    assert left(root) == []


def test_a_missing_trash_is_an_empty_one(tmp_path: Path) -> None:
    """A directory that went away under the coordinator raises nothing."""
    discarded = Deletion(tmp_path)
    discarded.ask(3)
    discarded.finish()

    assert list(tmp_path.iterdir()) == []
