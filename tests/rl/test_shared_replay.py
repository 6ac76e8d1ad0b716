"""One buffer of many processes, some of which die."""

from __future__ import annotations

import logging
import multiprocessing
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from pbtnas.rl.episodes import Episode
from pbtnas.rl.replay import Replay
from tests.rl.test_replay import buffer, episode

CAPACITY = 2000


def add_and_sample(directory: Path, writer: int) -> None:
    """Add to and sample from the buffer until killed; exits on a sample that is not right."""
    rng = np.random.default_rng(writer)
    replay = Replay(directory, capacity=CAPACITY, stack=3, nstep=3, discount=1.0)
    while True:
        length = int(rng.integers(20, 200))
        frames = np.empty((length + 1, 3, 16, 16), np.uint8)
        frames[:] = (np.arange(length + 1) % 256)[:, None, None, None]
        frames[:, 0] = rng.integers(256)  # one number for the whole episode
        ones = np.ones(length, np.float32)
        replay.add(Episode(frames, np.zeros((length, 2), np.float32), ones, ones))
        for _ in range(3):
            batch = replay.sample(64, rng)
            now, later = batch.observations[:, 7, 0, 0], batch.next_observations[:, 7, 0, 0]
            assert ((later.astype(int) - now) % 256 == 3).all(), "not n steps apart"
            stamps = np.concatenate([batch.observations, batch.next_observations], axis=1)[:, ::3]
            assert (stamps == stamps[:, :1, :1, :1]).all(), "frames of two episodes in a sample"
            assert (batch.rewards == 3).all() and (batch.discounts == 1).all()


def test_killed_writers_neither_tear_nor_leak(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While processes are killed at random, another never meets a broken sample; at the end the
    directory holds whole episodes within the capacity, and nothing else."""
    rng = random.Random(0)
    # Forked from a process that has imported everything: starting takes no time.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def start(writer: int) -> BaseProcess:
        process = context.Process(target=add_and_sample, args=(tmp_path, writer), daemon=True)
        process.start()
        return process

    survivor = start(0)
    _wait_for_a_full_buffer(tmp_path, survivor)
    for writer in range(1, 8):
        victim = start(writer)
        time.sleep(rng.uniform(0.02, 0.3))
        assert victim.exitcode is None
        victim.kill()
        victim.join()
        assert survivor.exitcode is None
    survivor.kill()
    survivor.join()

    with caplog.at_level(logging.WARNING):
        replay = Replay(tmp_path, capacity=CAPACITY, stack=3, nstep=3, discount=1.0)

    assert CAPACITY - 200 < len(replay) <= CAPACITY
    assert not caplog.records, "a torn episode"
    assert all(path.suffix == ".safetensors" for path in tmp_path.iterdir())


def _wait_for_a_full_buffer(directory: Path, process: BaseProcess) -> None:
    for _ in range(600):
        if len(list(directory.glob("*.safetensors"))) >= 10:
            return
        assert process.exitcode is None
        time.sleep(0.1)
    raise AssertionError("nothing was written within a minute")


def test_others_episodes_appear_and_evicted_ones_stay_readable_until_refresh(
    tmp_path: Path,
) -> None:
    """A reader keeps what it has mapped until it refreshes, then sees what the writer left."""
    rng = np.random.default_rng(0)
    writer = buffer(tmp_path, capacity=16)
    writer.add(episode(rng, 16, 1))
    reader = buffer(tmp_path, capacity=16)
    writer.add(episode(rng, 16, 2))

    assert set(reader.sample(8, rng).observations[:, -1, 0, 0]) == {1}
    reader.refresh()
    assert set(reader.sample(8, rng).observations[:, -1, 0, 0]) == {2}
