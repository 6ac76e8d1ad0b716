"""Recording episodes and publishing them as files."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pbtnas.rl.episode_directory import remove_leftovers
from pbtnas.rl.episodes import Episode, Recorder, TornEpisode, open_episode, write_episode


def recorded(length: int) -> tuple[Recorder, Episode]:
    """A recorder that saw so many steps."""
    recorder = Recorder((1, 2, 2), np.uint8, 3)
    recorder.start(np.zeros((1, 2, 2), np.uint8))
    for t in range(length):
        frame = np.full((1, 2, 2), (t + 1) % 256, np.uint8)
        recorder.step(np.full(3, t / 7, np.float32), t / 2, 1.0, frame)
    return recorder, recorder.episode()


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 2500])
def test_an_episode_survives_its_file(tmp_path: Path, length: int) -> None:
    """What was recorded is what the file gives, also beyond the recorder's first size."""
    _, episode = recorded(length)

    name = write_episode(tmp_path, 7, episode)
    found = open_episode(tmp_path / name)

    assert name.startswith(f"00000007-{length:06d}-")
    assert len(found) == length
    assert found.rewards.tolist() == [t / 2 for t in range(length)]
    for field in ("observations", "actions", "rewards", "discounts"):
        np.testing.assert_array_equal(getattr(found, field), getattr(episode, field))
    assert not found.observations.flags.writeable


def test_an_episode_file_is_a_safetensors_file(tmp_path: Path) -> None:
    """The format is one that others read."""
    _, episode = recorded(5)

    tensors = load_file(tmp_path / write_episode(tmp_path, 0, episode))

    assert sorted(tensors) == ["actions", "discounts", "observations", "rewards"]
    np.testing.assert_array_equal(tensors["observations"], episode.observations)


def test_an_unfinished_episode_goes_on() -> None:
    """A recorder resumed from its episode so far records what an undisturbed one does."""
    straight, _ = recorded(3)
    resumed = Recorder((1, 2, 2), np.uint8, 3)
    resumed.resume(straight.episode())
    for recorder in (straight, resumed):
        recorder.step(np.ones(3, np.float32), 5.0, 0.0, np.full((1, 2, 2), 9, np.uint8))

    for field in ("observations", "actions", "rewards", "discounts"):
        expected = getattr(straight.episode(), field)
        np.testing.assert_array_equal(getattr(resumed.episode(), field), expected)


def test_mapped_episodes_hold_no_file_descriptor(tmp_path: Path) -> None:
    """A full buffer has more files than a process may have open."""
    _, episode = recorded(3)
    before = len(list(Path("/proc/self/fd").iterdir()))

    kept = [open_episode(tmp_path / write_episode(tmp_path, i, episode)) for i in range(20)]

    assert len(kept) == 20
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk raises OSError, and the directory is as before."""

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    _, episode = recorded(3)

    with pytest.raises(OSError, match="No space left"):
        write_episode(tmp_path, 0, episode)

    assert list(tmp_path.iterdir()) == []


def test_only_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    """A locked temporary file belongs to a living writer; other files are not ours to judge."""
    dead, living = tmp_path / f".{'0' * 16}.tmp", tmp_path / f".{'1' * 16}.tmp"
    foreign = tmp_path / "notes.tmp"
    for path in (dead, living, foreign):
        path.write_bytes(b"x")

    with living.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_leftovers(tmp_path)
        assert sorted(tmp_path.iterdir()) == [living, foreign]

    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == [foreign]


def test_a_file_whose_length_is_not_that_of_its_name_is_torn(tmp_path: Path) -> None:
    """Capacities are counted from names, so a name must not lie."""
    _, episode = recorded(3)
    path = tmp_path / write_episode(tmp_path, 0, episode)
    renamed = path.rename(tmp_path / path.name.replace("-000003-", "-000004-"))

    with pytest.raises(TornEpisode, match="3 transitions, not 4"):
        open_episode(renamed)
