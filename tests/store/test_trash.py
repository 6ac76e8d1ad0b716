"""Emptying the trash on the side."""

from __future__ import annotations

import logging
import os
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


def wait(discarded: Deletion) -> None:
    """Wait until what was asked for is done."""
    assert discarded._thread is not None
    discarded._thread.join(timeout=300)
    assert not discarded._thread.is_alive()


def test_what_was_asked_for_goes_and_no_more(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait or finish for it; generations from the named one on keep their files,
    and emptied directories go too."""
    monkeypatch.setattr(deletion, "PAUSE_S", 0.0)
    discarded = Deletion(root)
    for before in (1, 2):
        discarded.ask(before)
        wait(discarded)

    assert left(root) == ["0002/a", "0002/b", "0002/c"]
    assert [path.name for path in (root / "trash").iterdir()] == ["0002"]


def test_a_finished_run_leaves_no_trash(root: Path) -> None:
    """Whatever was asked for, and by whom: there is no later generation to do it."""
    (root / paths.trash(1) / ".tmp-record").mkdir()
    (root / paths.trash(1) / ".tmp-record" / paths.INSIDE).write_bytes(b"{}")
    Deletion(root).finish()

    assert list((root / "trash").iterdir()) == []


def test_closing_leaves_the_rest_to_the_next_coordinator(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop does not wait for a long trash, and asking once more deletes the rest."""
    monkeypatch.setattr(deletion, "PAUSE_S", 600.0)
    monkeypatch.setattr(deletion, "SHORTEST_S", 6000.0)
    first = Deletion(root)
    first.ask(2)
    first.close()
    assert len(left(root)) >= 8

    monkeypatch.setattr(deletion, "PAUSE_S", 0.0)
    second = Deletion(root)
    second.ask(2)
    wait(second)
    assert left(root) == ["0002/a", "0002/b", "0002/c"]


def test_files_are_spread_over_a_generation_and_not_over_more(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few files have their pauses; many are gone before the next generation's come, however
    many they are."""
    pauses: list[float] = []

    class Never:
        """Nobody closes; and the time of each wait passes."""

        def wait(self, seconds: float) -> bool:
            pauses.append(seconds)
            clock[0] += seconds
            return False

    clock = [0.0]
    monkeypatch.setattr(deletion.time, "monotonic", lambda: clock[0])

    def spread(generation_s: float, files: int) -> float:
        discarded = Deletion(root)
        discarded._closing = Never()  # type: ignore[assignment]
        discarded.ask(0)
        wait(discarded)
        for number in range(files):
            (root / paths.trash(0) / f"more-{number:03d}").touch()
        clock[0] += generation_s
        pauses.clear()
        discarded.ask(1)
        wait(discarded)
        assert not (root / paths.trash(0)).exists()
        (root / paths.trash(0)).mkdir()
        return sum(pauses)

    assert spread(3600.0, 20) == pytest.approx(23 * deletion.PAUSE_S)
    assert spread(20.0, 600) == pytest.approx(20.0)
    assert spread(1.0, 600) == pytest.approx(deletion.SHORTEST_S)


def test_a_file_that_cannot_be_deleted_stops_no_other(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and tried again a generation later."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(deletion, "PAUSE_S", 0.0)
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "a":
            raise PermissionError(1, os.strerror(1))
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    discarded = Deletion(root)
    discarded.ask(1)
    wait(discarded)
    assert left(root)[0] == "0000/a" and len(left(root)) == 7
    assert f"{root / paths.trash(0) / 'a'}: cannot be deleted (Operation not permitted)" in (
        caplog.text
    )

    monkeypatch.undo()
    discarded.ask(1)
    wait(discarded)
    assert left(root)[0] == "0001/a"


def test_a_missing_trash_is_an_empty_one(tmp_path: Path) -> None:
    """A directory that went away under the coordinator raises nothing."""
    discarded = Deletion(tmp_path)
    discarded.ask(3)
    discarded.finish()

    assert list(tmp_path.iterdir()) == []
