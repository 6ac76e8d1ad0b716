"""Recording episodes and publishing them as files."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from pbtnas.rl.episode_directory import remove_leftovers
from pbtnas.rl.episodes import (
    Episode,
    Recorder,
    TornEpisode,
    episode_bytes,
    open_episode,
    write_episode,
)


def recorded(length: int) -> tuple[Recorder, Episode]:
    """A recorder that saw so many steps."""
    recorder = Recorder(3)
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


def test_single_frames_and_one_array_make_the_same_file(tmp_path: Path) -> None:
    """Frames are recorded one by one, of any layout, and written as if they lay side by side."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (1300, 4, 5, 3), np.uint8).transpose(0, 3, 1, 2)
    recorder = Recorder(2)
    recorder.start(frames[0])
    for frame in frames[1:]:
        recorder.step(rng.normal(size=2), rng.normal(), 1.0, frame)
    single = recorder.episode()
    whole = Episode(np.ascontiguousarray(frames), single.actions, single.rewards, single.discounts)

    one, other = (tmp_path / write_episode(tmp_path, i, e) for i, e in enumerate((single, whole)))

    assert one.read_bytes() == other.read_bytes()
    np.testing.assert_array_equal(load_file(one)["observations"], frames)


def test_what_the_disk_takes_in_pieces_is_written_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call may write less than it was given, and the file is the same."""
    _, episode = recorded(30)
    expected = (tmp_path / write_episode(tmp_path, 0, episode)).read_bytes()
    monkeypatch.setattr(os, "writev", lambda fd, arrays: os.write(fd, arrays[0].tobytes()[:7]))

    assert (tmp_path / write_episode(tmp_path, 1, episode)).read_bytes() == expected


def test_an_unfinished_episode_goes_on() -> None:
    """A recorder resumed from its episode so far records what an undisturbed one does."""
    straight, _ = recorded(3)
    resumed = Recorder(3)
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


def _torn(content: bytes, how: str) -> bytes:
    size = 8 + int.from_bytes(content[:8], "little")
    match how:
        case "cut":
            return content[:-1]
        case "longer":
            return content + b"x"
        case "a hostile length":
            return (1 << 62).to_bytes(8, "little") + content[8:]
        case "no JSON":
            return content[:8] + b"?" * (size - 8) + content[size:]
        case "another tensor":
            return content[:8] + content[8:size].replace(b"rewards", b"rewardz") + content[size:]
        case "another dtype":
            return content[:8] + content[8:size].replace(b"U8", b"I8") + content[size:]
    return b""


@pytest.mark.parametrize(
    "how",
    ["cut", "longer", "a hostile length", "no JSON", "another tensor", "another dtype", "empty"],
)
def test_a_file_that_is_no_whole_episode_is_torn(tmp_path: Path, how: str) -> None:
    """Whatever a dying machine leaves is told from an episode, and never half read."""
    _, episode = recorded(3)
    path = tmp_path / write_episode(tmp_path, 0, episode)
    path.write_bytes(_torn(path.read_bytes(), how))

    with pytest.raises(TornEpisode):
        open_episode(path)


@pytest.mark.parametrize(("shape", "dtype"), [((9, 84, 84), np.uint8), ((24,), np.float32)])
def test_a_file_takes_no_more_than_is_counted_for_it(
    tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    """A buffer's capacity in bytes is kept: the header fits into what is set aside for it."""
    recorder = Recorder(12)
    recorder.start(np.zeros(shape, dtype))
    for _ in range(1000):
        recorder.step(np.zeros(12, np.float32), 0.0, 1.0, np.zeros(shape, dtype))

    path = tmp_path / write_episode(tmp_path, 0, recorder.episode())

    size, counted = path.stat().st_size, episode_bytes(1000, shape, dtype, 12)
    assert counted - 512 < size <= counted


def test_an_episode_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """Its header has no metadata, and its rewards come before its discounts."""
    numbers = np.arange(4, dtype=np.float32)
    entries = {
        "actions": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
        "rewards": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
        "discounts": {"dtype": "F32", "shape": [2], "data_offsets": [16, 24]},
        "observations": {"dtype": "U8", "shape": [3, 1], "data_offsets": [24, 27]},
    }
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    data = numbers.tobytes() + np.ones(2, np.float32).tobytes() + b"abc"
    path = tmp_path / "00000000-000002-9f3a61c2.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)

    episode = open_episode(path)

    assert episode.rewards.tolist() == [2.0, 3.0]
    assert episode.discounts.tolist() == [1.0, 1.0]
    assert episode.observations.tolist() == [[97], [98], [99]]
