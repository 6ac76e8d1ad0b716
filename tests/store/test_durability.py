"""What is made durable before it has a name, and after: the order a power cut tests."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from pbtnas.protocol.operations import MakeGeneration, Published, Put, PutBlob, Sync
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.store import posix
from pbtnas.store.posix import PosixStore, Primitive
from tests.store.witness import Witness


@pytest.mark.parametrize(
    ("primitive", "order"),
    [
        ("link", ["sync d/.tmp", "name d/a.json", "sync d"]),
        ("directory", ["sync d/.tmp/record", "sync d/.tmp", "name d/a.json", "sync d"]),
    ],
)
def test_a_record_is_durable_before_it_has_its_name_and_its_name_before_the_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, primitive: Primitive, order: list[str]
) -> None:
    """A power cut leaves no name without its content, and no answer without the name; a claim,
    which only saves work, waits for no disk."""
    (tmp_path / "d").mkdir()
    with PosixStore(tmp_path, "me", primitive=primitive) as store:
        witness = Witness(monkeypatch, tmp_path)
        assert store.execute(Put("d/a.json", b"record")) is Published.WON
        told = [e for e in witness.events if e not in ("name d/.tmp", "delete d/.tmp")]
        assert told == order

        witness.events.clear()
        assert store.execute(Put("d/b.json", b"claim", durable=False)) is Published.WON
        assert not [event for event in witness.events if event.startswith("sync")]


def test_names_published_together_are_durable_a_moment_later_after_one_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each content is durable before its name; the names by the time that was promised, as soon as
    somebody syncs the directory, and in any case before the process ends."""
    now = [100.0]
    monkeypatch.setattr(posix.time, "monotonic", lambda: now[0])
    (tmp_path / "d").mkdir()

    def published(store: PosixStore, *leaves: str) -> list[str]:
        for leaf in leaves:
            put = Put(Name(f"d/{leaf}.json"), b"record", grouped=True)
            assert store.execute(put) is Published.WON
        told = [e for e in witness.events if e not in ("name d/.tmp", "delete d/.tmp")]
        witness.events.clear()
        return told

    with PosixStore(tmp_path, "me") as store:
        witness = Witness(monkeypatch, tmp_path)
        each = ["sync d/.tmp", "name d/a.json", "sync d/.tmp", "name d/b.json"]
        assert published(store, "a", "b") == each
        now[0] += posix.GROUP_S
        store.touch()
        assert published(store, "c") == ["sync d", "sync d/.tmp", "name d/c.json"]
        assert store.execute(Sync(Name("d"))) is Published.WON
        assert store.due_s == float("inf")
        published(store, "e")
    assert published(store) == ["sync d"]


def test_names_that_cannot_be_made_durable_are_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is told that they are; a second later they may be."""
    now, broken = [100.0], [OSError(errno.EIO, "Input/output error")]
    told: list[str] = []
    monkeypatch.setattr(posix.time, "monotonic", lambda: now[0])
    sync = posix.sync_directory

    def syncing(fd: int) -> None:
        if broken:
            raise broken.pop()
        sync(fd)

    monkeypatch.setattr(posix, "sync_directory", syncing)
    with PosixStore(tmp_path, "me") as store:
        store.trouble = told.append
        assert store.execute(Put(Name("a.json"), b"record", grouped=True)) is Published.WON
        store.settle()
        assert 0 < store.due_s <= posix.AGAIN_S
        now[0] += posix.AGAIN_S
        store.touch()
        assert store.due_s == float("inf")
    assert told == [f"{tmp_path}: Input/output error", ""]


def test_a_checkpoint_is_durable_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training does not sync what it writes: the publish does, and then its directory."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / ".tmp-w1").write_bytes(b"weights")
    with PosixStore(tmp_path, "me") as store:
        witness = Witness(monkeypatch, tmp_path)
        assert store.execute(PutBlob("d/.tmp-w1", "d/00ff.safetensors")) is Published.WON

    assert witness.events == ["sync d/.tmp", "name d/00ff.safetensors", "sync d"]


def test_the_directories_of_a_generation_are_durable_before_anything_is_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names in the generation, and its own name beside the others."""
    (tmp_path / "generations").mkdir()
    with PosixStore(tmp_path, "me") as store:
        witness = Witness(monkeypatch, tmp_path)
        assert store.execute(MakeGeneration(3)) is Published.WON

    made = [event for event in witness.events if event.startswith("name")]
    assert len(made) == 1 + len(paths.GENERATION_DIRECTORIES)
    assert witness.events[len(made) :] == [f"sync {paths.generation(3)}", "sync generations"]
