"""Snapshots in the middle of a job: whole or not there, and the generators with them."""

from __future__ import annotations

import errno
import os
import random
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from pbtnas.checkpoints.files import CorruptCheckpoint
from pbtnas.state import State
from pbtnas.training import snapshots
from tests.store.witness import Witness

HASH = "xxh3-128"


def a_state(value: float) -> State:
    return State(
        live={"layer.weight": torch.full((3, 2), value)},
        optimizer={"layer.weight/momentum": torch.ones(3, 2)},
        extra={"counts": torch.arange(4)},
        info={"epoch": 3},
    )


def save(directory: Path, value: float, done: int, *, trained: bool = False) -> None:
    snapshots.save(
        directory, a_state(value), done=done, trained=trained, device="cpu", algorithm=HASH
    )


def draws() -> tuple[float, float, float, float]:
    """From each global generator; the numpy one both plain and normal, which keeps a spare."""
    legacy = np.random  # what libraries draw from
    return (
        random.gauss(0, 1),
        float(legacy.random()),  # noqa: NPY002
        float(legacy.standard_normal()),  # noqa: NPY002
        float(torch.rand(())),
    )


def test_state_steps_and_generators_come_back(tmp_path: Path) -> None:
    """Going on from a snapshot draws the numbers that would have been drawn."""
    draws()
    save(tmp_path / "m00.001", 2.5, 40, trained=True)
    expected = [draws() for _ in range(3)]
    found = snapshots.newest([tmp_path / "m00.001"], algorithm=HASH)
    assert found is not None
    path, digest, done = found
    snapshot = snapshots.load(path, digest, device="cpu", algorithm=HASH)

    assert [draws() for _ in range(3)] == expected
    assert (snapshot.done, snapshot.trained, done) == (40, True, 40)
    kept, original = snapshot.state, a_state(2.5)
    assert kept.info == original.info
    assert kept.extra.keys() == original.extra.keys()
    assert torch.equal(kept.live["layer.weight"], original.live["layer.weight"])


def test_the_newest_of_several_attempts_counts(tmp_path: Path) -> None:
    """Most steps win, whichever attempt they are of; missing directories have none."""
    save(tmp_path / "m00.001", 1.0, 30)
    save(tmp_path / "m00.002", 2.0, 20)
    directories = [tmp_path / f"m00.{number:03d}" for number in (1, 2, 3)]

    found = snapshots.newest(directories, algorithm=HASH)

    assert found is not None
    assert (found[0].parent.name, found[2]) == ("m00.001", 30)
    assert snapshots.newest([tmp_path / "missing"], algorithm=HASH) is None


def test_snapshots_of_earlier_attempts_go_too(tmp_path: Path) -> None:
    """A worker that is killed after each of its snapshots does not fill the disk; one that lives
    although its claim is over, and is further, keeps its own."""
    earlier = [tmp_path / f"m00.{number:03d}" for number in (1, 2)]
    save(earlier[0], 1.0, 30)
    save(earlier[1], 1.0, 60)
    snapshots.save(
        tmp_path / "m00.003",
        a_state(2.0),
        done=40,
        trained=False,
        device="cpu",
        algorithm=HASH,
        earlier=earlier,
    )

    assert sorted(path.name[9:18] for path in tmp_path.rglob("snapshot-*")) == [
        "000000040",
        "000000060",
    ]


def test_a_snapshot_that_somebody_tidied_away_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that had been silent for too long gives up, and is not held responsible."""
    monkeypatch.setattr(
        snapshots, "write", lambda path, *_, **__: path.unlink(missing_ok=True) or "ab"
    )

    with pytest.raises(snapshots.Superseded):
        save(tmp_path / "m00.001", 1.0, 30)
    assert not list((tmp_path / "m00.001").iterdir())


def test_an_attempt_keeps_one_snapshot(tmp_path: Path) -> None:
    """The older goes when the newer is durable, and saving the same again keeps it."""
    save(tmp_path, 1.0, 10)
    save(tmp_path, 2.0, 20)
    save(tmp_path, 2.0, 20)

    (left,) = tmp_path.iterdir()
    assert left.name.startswith("snapshot-000000020-")


def test_a_snapshot_is_durable_before_the_older_one_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content before its name, and its name before the other is deleted: a power cut costs
    one of them at most."""
    save(tmp_path / "a", 1.0, 10)
    (old,) = (tmp_path / "a").iterdir()
    witness = Witness(monkeypatch, tmp_path)
    save(tmp_path / "a", 2.0, 20)

    (new,) = (tmp_path / "a").iterdir()
    assert witness.events == [
        "sync a/.tmp",
        f"name a/{new.name}",
        "sync a",
        f"delete a/{old.name}",
    ]


def test_a_failed_save_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs the new snapshot only, and leaves no private file."""
    save(tmp_path, 1.0, 10)

    def fail(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, 2.0, 20)

    (left,) = tmp_path.iterdir()
    assert left.name.startswith("snapshot-000000010-")


def test_a_file_system_that_cannot_sync_directories_takes_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it takes records: what it refuses, it does by itself with every rename."""
    fsync = os.fsync

    def refuse(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", refuse)
    save(tmp_path / "m00.001", 2.5, 40)

    assert snapshots.newest([tmp_path / "m00.001"], algorithm=HASH) is not None


@pytest.mark.parametrize("place", [0, 9, -1])
def test_a_damaged_snapshot_is_noticed(tmp_path: Path, place: int) -> None:
    """Wherever a bit flips, and when it is cut."""
    save(tmp_path, 1.0, 10)
    (path,) = tmp_path.iterdir()
    found = snapshots.newest([tmp_path], algorithm=HASH)
    assert found is not None
    data = bytearray(path.read_bytes())
    data[place] ^= 1

    for damaged in (data, data[:-3], b""):
        path.write_bytes(damaged)
        with pytest.raises(CorruptCheckpoint):
            snapshots.load(path, found[1], device="cpu", algorithm=HASH)


def test_other_files_are_no_snapshots(tmp_path: Path) -> None:
    """Private files and foreign names are not looked at."""
    for name in (".tmp-1", "snapshot-1-ff.safetensors", "snapshot-000000001-xyz.safetensors"):
        (tmp_path / name).write_bytes(b"")

    assert snapshots.newest([tmp_path], algorithm=HASH) is None
