"""The storage operations on a real directory, and what happens when it misbehaves."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pbtnas.protocol.operations import (
    Discard,
    Get,
    Has,
    List,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Replace,
    Sync,
    Unreadable,
    WriteHeartbeat,
)
from pbtnas.records import paths
from pbtnas.store.posix import PosixStore, Primitive
from pbtnas.store.trash import Deletion
from tests.system.site import wait_until

WRITERS, NAMES = 16, 50
PRIMITIVES: tuple[Primitive, ...] = ("link", "directory")


@pytest.fixture(params=PRIMITIVES)
def primitive(request: pytest.FixtureRequest) -> Primitive:
    found: Primitive = request.param
    return found


@pytest.fixture
def store(tmp_path: Path, primitive: Primitive) -> Iterator[PosixStore]:
    made = PosixStore(tmp_path, "me", primitive=primitive)
    yield made
    made.close()


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


# -- one winner ----------------------------------------------------------------------------------


def _race(root: Path, writer: int, primitive: Primitive, start: Any, wins: Any) -> None:
    store = PosixStore(root, f"w{writer}", primitive=primitive)
    start.wait()
    won = []
    for name in range(NAMES):
        reply = store.execute(Put(f"slot{name}", b"%d of %d" % (name, writer), durable=False))
        if reply is Published.WON:
            won.append(name)
        assert reply is not Published.ERROR
    wins.put((writer, won))


def test_every_name_has_exactly_one_winner(tmp_path: Path, primitive: Primitive) -> None:
    """Sixteen processes race for every name; one wins it, and its bytes are what stays."""
    spawn = multiprocessing.get_context("fork")
    start, wins = spawn.Barrier(WRITERS), spawn.Queue()
    processes = [
        spawn.Process(target=_race, args=(tmp_path, writer, primitive, start, wins))
        for writer in range(WRITERS)
    ]
    for process in processes:
        process.start()
    won = dict(wins.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()

    assert sorted(name for names in won.values() for name in names) == list(range(NAMES))
    reader = PosixStore(tmp_path, "reader")
    for writer, names in won.items():
        for name in names:
            assert reader.get(f"slot{name}") == b"%d of %d" % (name, writer)
    reader.close()
    assert len(list(tmp_path.iterdir())) == NAMES, "no private file is left"


def test_a_record_is_never_replaced(store: PosixStore, tmp_path: Path) -> None:
    """The second publish is told that it lost, and what is there stays."""
    assert store.execute(Put("a", b"first")) is Published.WON
    assert store.execute(Put("a", b"second")) is Published.LOST
    assert store.execute(Get("a")) == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_lost_reply_is_recognised_by_the_inode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that worked but was answered "exists", as NFS does on a repeat, counts as won."""
    store = PosixStore(tmp_path, "me")
    link = os.link

    def repeated(*args: Any, **kwargs: Any) -> None:
        link(*args, **kwargs)
        raise FileExistsError(errno.EEXIST, "File exists")

    monkeypatch.setattr(os, "link", repeated)

    assert store.execute(Put("a", b"mine")) is Published.WON
    assert store.execute(Put("a", b"again")) is Published.LOST
    store.close()


def test_a_lost_reply_of_a_rename_is_recognised_by_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rename that worked but was answered "no such file" is an error first, and won when it is
    tried again: the nonce in the record tells."""
    store = PosixStore(tmp_path, "me", primitive="directory")
    rename = os.rename

    def repeated(*args: Any, **kwargs: Any) -> None:
        rename(*args, **kwargs)
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "rename", repeated)
    assert store.execute(Put("a", b"mine")) is Published.ERROR
    monkeypatch.undo()

    assert store.execute(Put("a", b"mine")) is Published.WON
    assert store.execute(Put("a", b"theirs")) is Published.LOST
    store.close()


# -- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.ESTALE])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_an_error_leaves_nothing_and_is_not_a_lost_race(
    store: PosixStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Disk full or broken, noticed at write or fsync: ERROR, no trace, said once each way."""
    said: list[str] = []
    store.trouble = said.append

    def fail(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, fail)
    assert store.execute(Put("a", b"data")) is Published.ERROR
    monkeypatch.undo()
    assert everything(tmp_path) == []
    assert said == [f"{tmp_path / 'a'}: {os.strerror(number)}"]

    assert store.execute(Put("a", b"data")) is Published.WON
    assert said[1:] == [""]


def test_a_directory_that_cannot_be_listed_seems_empty_and_is_told(
    store: PosixStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing is a hint: an I/O error while listing ends nobody.  The trouble is over with the
    next listing that works, not with a publish, which has no part in it."""
    said: list[str] = []
    store.trouble = said.append
    assert store.execute(Put("a", b"data")) is Published.WON

    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "scandir", fail)
    assert store.execute(List(".")) == set()
    monkeypatch.undo()
    assert len(said) == 1 and os.strerror(errno.EIO) in said[0]

    store.execute(Put("b", b"data"))
    assert len(said) == 1
    assert store.execute(List(".")) == {"a", "b"}
    assert said[1:] == [""]


def test_a_checkpoint_is_durable_before_anybody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When making its name durable failed, the repeat does that, though the file has moved."""
    store = PosixStore(tmp_path, "me")
    (tmp_path / ".source").write_bytes(b"weights")
    sync, synced = store._sync, []

    def fail(directory: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def note(directory: str) -> None:
        synced.append(directory)
        sync(directory)

    monkeypatch.setattr(store, "_sync", fail)
    assert store.execute(PutBlob(".source", "weights")) is Published.ERROR
    assert store.execute(PutBlob(".source", "weights")) is Published.ERROR
    monkeypatch.setattr(store, "_sync", note)
    assert store.execute(PutBlob(".source", "weights")) is Published.LOST
    assert synced == [""]
    store.close()


def test_a_checkpoint_that_was_not_written_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel tells once that it could not write: to ask it again proves nothing, so the bytes
    are given to it again before they are believed to be on the disk."""
    (tmp_path / ".source").write_bytes(b"weights")
    fsync, pwrite = os.fsync, os.pwrite
    written: list[bytes] = []

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def note(fd: int, data: bytes, at: int) -> int:
        written.append(data)
        return pwrite(fd, data, at)

    monkeypatch.setattr(os, "pwrite", note)
    with PosixStore(tmp_path, "me") as store:
        monkeypatch.setattr(os, "fsync", fail)
        assert store.execute(PutBlob(".source", "weights")) is Published.ERROR
        assert not written
        assert store.execute(PutBlob(".source", "weights")) is Published.ERROR
        monkeypatch.setattr(os, "fsync", fsync)
        assert store.execute(PutBlob(".source", "weights")) is Published.WON

    assert written == [b"weights"] * 2
    assert (tmp_path / "weights").read_bytes() == b"weights"


def test_short_writes_are_completed(
    store: PosixStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that takes three bytes at a time still publishes all of them."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, bytes(data)[:3]))

    assert store.execute(Put("a", b"0123456789")) is Published.WON
    assert store.execute(Get("a")) == b"0123456789"


def test_an_error_after_the_name_appeared_never_publishes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory could not be made durable: ERROR, and the repeat changes nothing."""
    store = PosixStore(tmp_path, "me")
    sync: Callable[[str], None] = store._sync

    def fail(directory: str) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(store, "_sync", fail)
    assert store.execute(Put("a", b"data")) is Published.ERROR
    monkeypatch.setattr(store, "_sync", sync)
    assert store.execute(Put("a", b"data")) is Published.LOST
    assert store.execute(Get("a")) == b"data"
    store.close()


def test_missing_hard_links_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wrong primitive is an error that points to `pbtnas doctor`, never a lost race."""
    store = PosixStore(tmp_path, "me")
    said: list[str] = []
    store.trouble = said.append

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", fail)

    assert store.execute(Put("a", b"data")) is Published.ERROR
    assert "pbtnas doctor" in said[0]
    store.close()


# -- directories ---------------------------------------------------------------------------------


def test_a_publish_never_makes_directories(store: PosixStore, tmp_path: Path) -> None:
    """A process that slept for long cannot bring a collected generation back."""
    (tmp_path / ".source").write_bytes(b"weights")

    for operation in (
        Put("generations/0007/results/m00.json", b"late"),
        Sync("generations/0007"),
    ):
        assert store.execute(operation) is Published.ERROR
    store.execute(WriteHeartbeat("generations/0007/claims/m00.001.beat", b"beat"))
    store.execute(Replace("views/HEAD", b"7"))
    blob = PutBlob(".source", "generations/0007/checkpoints/00.safetensors")
    assert store.execute(blob) is Published.ERROR
    assert everything(tmp_path) == [".source"]


def test_nothing_is_written_into_another_directory_at_the_same_path(
    store: PosixStore, tmp_path: Path, primitive: Primitive
) -> None:
    """The directory is held open: moved away, it is still the one; its old place stays empty."""
    root = tmp_path / "run"
    root.mkdir()
    pinned = PosixStore(root, "me", primitive=primitive)
    root.rename(tmp_path / "moved")
    root.mkdir()

    assert pinned.execute(Put("a", b"data")) is Published.WON
    pinned.execute(WriteHeartbeat("b", b"beat"))
    pinned.execute(Replace("HEAD", b"1"))
    (tmp_path / "moved" / "generations").mkdir()
    assert pinned.execute(MakeGeneration(0)) is Published.WON
    assert everything(root) == []
    assert pinned.execute(Get("a")) == b"data"
    pinned.close()


def test_symlinks_are_not_followed(store: PosixStore, tmp_path: Path) -> None:
    """A link planted in the directory leads nowhere: not read, not written, not replaced."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    (tmp_path / "link").symlink_to(outside)

    assert isinstance(store.execute(Get("link")), Unreadable)
    assert store.execute(Has("link")) is False
    store.execute(WriteHeartbeat("link", b"beat"))
    assert store.execute(Put("link", b"data")) is not Published.WON
    assert outside.read_bytes() == b"secret"


def test_making_a_generation_twice_is_harmless(store: PosixStore, tmp_path: Path) -> None:
    """Two coordinators may both make it."""
    (tmp_path / "generations").mkdir()

    assert store.execute(MakeGeneration(3)) is Published.WON
    assert store.execute(MakeGeneration(3)) is Published.WON
    made = {path.name for path in (tmp_path / paths.generation(3)).iterdir()}
    assert made == set(paths.GENERATION_DIRECTORIES)


def test_what_is_no_directory_makes_room_for_one(store: PosixStore, tmp_path: Path) -> None:
    """A file or a loop of links in its place is put aside; a link to a directory is used."""
    generation = tmp_path / paths.generation(3)
    generation.mkdir(parents=True)
    (generation / "results").write_text("x")
    (generation / "claims").symlink_to("claims")
    (generation / "births").symlink_to(tmp_path)

    assert store.execute(MakeGeneration(3)) is Published.WON
    assert (generation / "results").is_dir() and (generation / "claims").is_dir()
    assert (generation / "births").is_symlink()
    assert len(list(generation.glob("*.corrupt-*"))) == 2


# -- heartbeats, hints, reading --------------------------------------------------------------------


def test_a_heartbeat_is_overwritten_in_place(store: PosixStore, tmp_path: Path) -> None:
    """The same file, of the same length: it needs no space and no new name."""
    store.execute(WriteHeartbeat("b", b"0001"))
    with (tmp_path / "b").open("rb") as held:
        store.execute(WriteHeartbeat("b", b"0002"))
        assert held.read() == b"0002"

    assert store.execute(ReadHeartbeat("b")) == b"0002"


def test_a_failed_heartbeat_is_only_lost(store: PosixStore, tmp_path: Path) -> None:
    """It replies nothing and raises nothing."""
    assert store.execute(WriteHeartbeat("missing/b", b"0001")) is None
    assert everything(tmp_path) == []


def test_a_view_is_replaced_in_one_step(store: PosixStore, tmp_path: Path) -> None:
    """A hint is the old one or the new one, and an error leaves the old one."""
    store.execute(Replace("HEAD", b"1"))
    store.execute(Replace("HEAD", b"2"))

    assert store.execute(Get("HEAD")) == b"2"
    assert everything(tmp_path) == ["HEAD"]


def test_absent_things_are_absent(store: PosixStore) -> None:
    """Reading, listing and putting aside what is not there is no error."""
    assert store.execute(Get("a")) is None
    assert store.execute(ReadHeartbeat("a/b/c")) is None
    assert store.execute(Has("a")) is False
    assert store.execute(List("a")) == set()
    store.execute(Quarantine("a"))
    store.execute(Discard(4, frozenset()))


def test_quarantine_opens_the_slot_and_keeps_the_evidence(
    store: PosixStore, tmp_path: Path
) -> None:
    """A damaged record is put aside under a name of its own, as often as needed."""
    for content in (b"bad", b"bad again"):
        assert store.execute(Put("a.json", content)) is Published.WON
        store.execute(Quarantine("a.json"))
        assert store.execute(Get("a.json")) is None
    assert store.execute(Put("a.json", b"good")) is Published.WON
    assert sum(".corrupt-" in path.name for path in tmp_path.iterdir()) == 2


# -- checkpoints and garbage -----------------------------------------------------------------------


def test_a_checkpoint_moves_from_its_private_name_to_its_digest(
    store: PosixStore, tmp_path: Path
) -> None:
    """One file before, one after; a damaged one of that name is replaced by a good one."""
    (tmp_path / "checkpoints").mkdir()
    for content in (b"damaged", b"good"):
        (tmp_path / ".tmp-weights").write_bytes(content)
        blob = PutBlob(".tmp-weights", "checkpoints/00ff.safetensors")
        assert store.execute(blob) is Published.WON

    assert everything(tmp_path) == ["checkpoints", "checkpoints/00ff.safetensors"]
    assert (tmp_path / "checkpoints/00ff.safetensors").read_bytes() == b"good"


@pytest.mark.parametrize("names", [1, 2])
def test_only_a_second_name_of_a_checkpoint_is_deleted(
    store: PosixStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: int
) -> None:
    """After each rename, to delete what it has moved away would ask a file server in vain; where
    both names were of one file, a rename does nothing, and the private one goes."""
    (tmp_path / ".tmp-w-m01").write_bytes(b"weights")
    if names == 2:
        os.link(tmp_path / ".tmp-w-m01", tmp_path / "digest.safetensors")
    unlink, unlinked = os.unlink, []

    def note(name: str, **where: Any) -> None:
        unlinked.append(name)
        unlink(name, **where)

    monkeypatch.setattr(os, "unlink", note)
    reply = store.execute(PutBlob(".tmp-w-m01", "digest.safetensors"))

    assert reply is Published.WON
    assert unlinked == ([".tmp-w-m01"] if names == 2 else [])
    assert [path.name for path in tmp_path.glob("*w-m01*")] == []


def test_a_checkpoint_whose_file_is_gone_was_decided_by_others(store: PosixStore) -> None:
    """Its generation was collected: nothing to publish, and nothing to wait for."""
    assert store.execute(PutBlob(".tmp-gone", "00ff.safetensors")) is Published.LOST


def test_garbage_goes_to_the_trash_and_later_away(store: PosixStore, tmp_path: Path) -> None:
    """What is kept stays, what is old moves, and is deleted a generation later."""
    (tmp_path / "generations").mkdir()
    (tmp_path / "trash").mkdir()
    store.execute(MakeGeneration(0))
    directory = tmp_path / paths.checkpoints(0)
    for digest in ("aa", "bb", "cc"):
        (directory / f"{digest}.safetensors").write_bytes(b"weights")
    attempt = tmp_path / paths.attempt(0, 3, 1)
    attempt.mkdir()
    (attempt / "snapshot-000000003-dd.safetensors").write_bytes(b"weights")
    (attempt / "log.jsonl").write_text("{}")

    for _ in range(2):  # two coordinators may tidy at once
        store.execute(Discard(0, frozenset({"bb"})))
    assert [path.name for path in directory.iterdir()] == ["bb.safetensors"]
    assert [path.name for path in attempt.iterdir()] == ["log.jsonl"]
    assert len(list((tmp_path / paths.trash(0)).iterdir())) == 3
    deletion = Deletion(tmp_path)
    deletion.ask(0)
    assert len(list((tmp_path / paths.trash(0)).iterdir())) == 3
    deletion.close()
    later = Deletion(tmp_path)
    later.ask(1)
    wait_until(lambda: not (tmp_path / paths.trash(0)).exists(), "the trash to go")
    later.close()


def test_private_files_go_with_their_generation(store: PosixStore, tmp_path: Path) -> None:
    """Whoever was killed, and wherever it wrote; snapshots that were put aside go too, records
    that were put aside stay.  Where checkpoints are kept, the rest goes all the same."""
    for name in ("generations", "trash"):
        (tmp_path / name).mkdir()
    store.execute(MakeGeneration(0))
    home, attempt = tmp_path / paths.generation(0), tmp_path / paths.attempt(0, 3, 1)
    attempt.mkdir()
    places = [home, attempt, *(home / name for name in ("claims", "results", "births"))]
    for place in (*places, home / "checkpoints"):
        (place / ".tmp-killed-1").write_bytes(b"half")
    (home / "births/.tmp-killed-2").mkdir()
    (home / "births/.tmp-killed-2" / paths.INSIDE).write_bytes(b"half")
    (home / "checkpoints/ab.safetensors").write_bytes(b"weights")
    (attempt / "snapshot-000000003-dd.safetensors.corrupt-me-1").write_bytes(b"weights")
    (home / "results/m03.json.corrupt-me-1").write_bytes(b"record")
    left = [str(path.relative_to(home)) for path in home.rglob("*.*") if path.name[0] != "."]
    store.execute(Discard(0, None))

    left.remove("attempts/m03.001/snapshot-000000003-dd.safetensors.corrupt-me-1")
    assert sorted(str(path.relative_to(home)) for path in home.rglob("*.*")) == sorted(left)
    Deletion(tmp_path).finish()
    assert everything(tmp_path / "trash") == []


def test_a_store_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that changes the current directory does not lead its coordinator astray."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    with PosixStore(Path("run"), "w1") as opened:
        monkeypatch.chdir("/")

        assert opened.root == tmp_path / "run"


def test_an_operation_that_is_none_is_a_bug(store: PosixStore) -> None:
    """Whatever the store does not know fails loudly."""
    with pytest.raises(AssertionError, match="not a storage operation"):
        store.execute("rm -rf")
