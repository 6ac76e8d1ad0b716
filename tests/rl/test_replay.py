"""Sampling against a naive reference, eviction, rewinding and adoption of replay buffers."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pbtnas.rl.episodes import Episode
from pbtnas.rl.replay import Replay, disk_bytes, memory_bytes, nstep_returns

FRAME = (2, 3, 3)


def episode(rng: np.random.Generator, length: int, stamp: int = 0) -> Episode:
    """Random numbers; every frame holds its own step and the episode's stamp."""
    observations = np.empty((length + 1, *FRAME), np.uint8)
    observations[:, 0] = np.arange(length + 1)[:, None, None]
    observations[:, 1] = stamp
    return Episode(
        observations=observations,
        actions=rng.uniform(-1, 1, (length, 2)).astype(np.float32),
        rewards=rng.normal(size=length).astype(np.float32),
        discounts=(rng.random(length) < 0.8).astype(np.float32),
    )


def buffer(directory: Path, **changes: object) -> Replay:
    """A buffer with small settings."""
    arguments: dict[str, object] = {"capacity": 1000, "stack": 3, "nstep": 3, "discount": 0.9}
    return Replay(directory, **(arguments | changes))  # type: ignore[arg-type]


def numbers(directory: Path) -> list[int]:
    """The numbers of the episode files of a directory."""
    return sorted(int(path.name.split("-")[0]) for path in directory.glob("*.safetensors"))


def naive_sample(
    episode: Episode, t: int, stack: int, nstep: int, discount: float
) -> tuple[np.ndarray, np.ndarray, float, float, np.ndarray]:
    """One sample, term by term as the definition says it."""

    def stacked(t: int) -> np.ndarray:
        frames = [episode.observations[max(t - k, 0)] for k in reversed(range(stack))]
        return np.concatenate(frames, axis=0)

    total, factor = 0.0, 1.0
    for k in range(nstep):
        total += factor * float(episode.rewards[t + k])
        factor *= discount * float(episode.discounts[t + k])
    return stacked(t), episode.actions[t], total, factor, stacked(t + nstep)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    stack=st.integers(1, 4),
    nstep=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_samples_equal_the_definition(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: list[int],
    stack: int,
    nstep: int,
    seed: int,
) -> None:
    """Stacks, n-step returns and discounts are those of one window within one episode."""
    rng = np.random.default_rng(seed)
    episodes = [episode(rng, length, stamp) for stamp, length in enumerate(lengths)]
    replay = buffer(tmp_path_factory.mktemp("replay"), stack=stack, nstep=nstep)
    for e in episodes:
        replay.add(e)
    assert replay.windows == sum(max(length - nstep + 1, 0) for length in lengths)
    if not replay.windows:
        with pytest.raises(ValueError, match="nothing to sample"):
            replay.sample(1, rng)
        return

    batch = replay.sample(32, rng)

    for b in range(32):
        step, stamp = batch.observations[b, -2, 0, 0], batch.observations[b, -1, 0, 0]
        expected = naive_sample(episodes[stamp], int(step), stack, nstep, 0.9)
        np.testing.assert_array_equal(batch.observations[b], expected[0])
        np.testing.assert_array_equal(batch.actions[b], expected[1])
        assert batch.rewards[b] == pytest.approx(expected[2], abs=1e-5)
        assert batch.discounts[b] == pytest.approx(expected[3], abs=1e-6)
        np.testing.assert_array_equal(batch.next_observations[b], expected[4])


def test_every_window_is_drawn(tmp_path: Path) -> None:
    """All windows of all episodes are drawn about equally often, the first and last included."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path)
    for stamp, length in enumerate((4, 2, 7)):
        replay.add(episode(rng, length, stamp))

    batch = replay.sample(7000, rng)

    drawn = batch.observations[:, -1, 0, 0].astype(int) * 100 + batch.observations[:, -2, 0, 0]
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [0, 1, 200, 201, 202, 203, 204]
    assert 800 < counts.min() and counts.max() < 1200


def test_samples_are_a_function_of_generator_and_episodes(tmp_path: Path) -> None:
    """A buffer reopened from its files gives the same samples for the same generator."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path)
    for stamp in range(5):
        replay.add(episode(rng, 9, stamp))

    first = replay.sample(64, np.random.default_rng(1))
    again = buffer(tmp_path).sample(64, np.random.default_rng(1), out=replay.sample(64, rng))

    for name in ("observations", "actions", "rewards", "discounts", "next_observations"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


def test_state_features_are_stacked_along_their_only_axis(tmp_path: Path) -> None:
    """float32 vectors use the same format and come out as [B, K * n]."""
    features = np.arange(12, dtype=np.float32).reshape(4, 3)
    zeros = np.zeros(3, np.float32)
    replay = buffer(tmp_path, stack=2, nstep=3)
    replay.add(Episode(features, np.zeros((3, 1), np.float32), zeros, zeros + 1))

    batch = replay.sample(1, np.random.default_rng(0))

    assert batch.observations.tolist() == [[0, 1, 2, 0, 1, 2]]
    assert batch.next_observations.tolist() == [[6, 7, 8, 9, 10, 11]]


def test_the_oldest_episodes_are_evicted(tmp_path: Path) -> None:
    """The buffer keeps the newest episodes that fit, and deletes the files of the others."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path, capacity=20)
    for stamp in range(5):
        replay.add(episode(rng, 8, stamp))

    assert len(replay) == 16
    assert numbers(tmp_path) == [3, 4]
    replay.add(episode(rng, 50))
    assert len(replay) == 50
    assert numbers(tmp_path) == [5]


def test_a_torn_file_is_skipped_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cut, an empty and a foreign file of an episode's name are reported and not sampled."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path)
    for stamp in range(4):
        replay.add(episode(rng, 8, stamp))
    files = sorted(tmp_path.glob("*.safetensors"))
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:-20])
    files[1].write_bytes(b"")
    files[2].write_bytes(b"\xff" * len(whole))

    with caplog.at_level(logging.WARNING):
        replay = buffer(tmp_path)
        replay.refresh()

    assert len(replay) == 8
    assert [record.args[0] for record in caplog.records] == files[:3]
    assert set(replay.sample(64, rng).observations[:, -1, 0, 0]) == {3}


def test_rewinding_restores_the_samples_of_a_snapshot(tmp_path: Path) -> None:
    """What was added after the position is forgotten and what was evicted since comes back."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path, capacity=24, hold_evicted=True)
    for stamp in range(3):
        replay.add(episode(rng, 8, stamp))
    position = replay.position()
    expected = replay.sample(64, np.random.default_rng(1))
    for stamp in range(3, 8):
        replay.add(episode(rng, 8, stamp))
    assert set(replay.sample(64, rng).observations[:, -1, 0, 0]) == {5, 6, 7}

    resumed = buffer(tmp_path, capacity=24, hold_evicted=True)
    missing = resumed.rewind(position)

    assert missing == 0
    assert resumed.position() == position
    found = resumed.sample(64, np.random.default_rng(1))
    np.testing.assert_array_equal(found.observations, expected.observations)


def test_rewinding_tells_what_is_missing(tmp_path: Path) -> None:
    """A position of another machine, or before an eviction, is reported as missing transitions."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path / "a", capacity=16)
    replay.add(episode(rng, 8))
    replay.add(episode(rng, 8))
    position = replay.position()
    replay.add(episode(rng, 8))

    assert numbers(tmp_path / "a") == [1, 2]
    assert replay.rewind(position) == 8
    elsewhere = buffer(tmp_path / "b")
    assert elsewhere.rewind(position) == 16
    elsewhere.refresh()
    assert elsewhere.position().next_number == 2


def test_a_child_adopts_a_buffer_by_hard_links(tmp_path: Path) -> None:
    """Adoption shares the files of the position, drops what was there, and survives the source."""
    rng = np.random.default_rng(0)
    base = buffer(tmp_path / "base", capacity=16)
    for stamp in range(3):
        base.add(episode(rng, 8, stamp))
    position = base.position()
    expected = base.sample(64, np.random.default_rng(1))
    child = buffer(tmp_path / "child", capacity=16)
    child.add(episode(rng, 8, 99))

    assert child.adopt(tmp_path / "base", position) == 0
    inodes = {path.stat().st_ino for path in (tmp_path / "base").iterdir()}
    assert {path.stat().st_ino for path in (tmp_path / "child").iterdir()} == inodes
    base.add(episode(rng, 16, 50))
    found = child.sample(64, np.random.default_rng(1))
    np.testing.assert_array_equal(found.observations, expected.observations)
    assert child.adopt(tmp_path / "nowhere", position) == 16


@given(st.integers(0, 9), st.integers(1, 6), st.floats(0, 1), st.integers(0, 100))
def test_nstep_returns_equal_the_definition(
    length: int, nstep: int, discount: float, seed: int
) -> None:
    """Every window's return and bootstrap discount is the sum and product of its terms."""
    e = episode(np.random.default_rng(seed), length)

    returns, discounts = nstep_returns(e.rewards, e.discounts, discount, nstep)

    assert len(returns) == len(discounts) == max(length - nstep + 1, 0)
    for t in range(len(returns)):
        _, _, total, factor, _ = naive_sample(e, t, 1, nstep, discount)
        assert returns[t] == pytest.approx(total, abs=1e-5)
        assert discounts[t] == pytest.approx(factor, abs=1e-6)


def test_the_disk_estimate_is_that_of_the_files(tmp_path: Path) -> None:
    """The printed estimate covers the real files, and is at most a few hundred bytes off each."""
    rng = np.random.default_rng(0)
    replay = buffer(tmp_path)
    for _ in range(10):
        replay.add(episode(rng, 50))

    found = sum(path.stat().st_size for path in tmp_path.iterdir())

    estimate = disk_bytes(500, 50, FRAME, np.uint8, 2)
    assert found <= estimate <= found + 10 * 300
    assert memory_bytes(500, 2) == 500 * 16


def test_settings_are_checked(tmp_path: Path) -> None:
    """A stack or n of zero is refused with its value."""
    with pytest.raises(ValueError, match="at least 1, not 1000, 0, 3"):
        buffer(tmp_path, stack=0)
