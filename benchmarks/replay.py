"""How fast the replay buffer stores and samples, against the least that any buffer must do.

    python benchmarks/replay.py [--transitions 100000] [--directory DIR]

Batches of 256 pairs (observation and next observation) of three stacked 84 x 84 x 3 frames, one
thread.  The floor is one array that holds nothing but frames: to store is to copy a frame into
it, to sample is `numpy.take`.  Floor and buffer take turns, so that a busy machine disturbs both
alike; medians of processor time are printed, which on an idle machine is all the time there is.
Of storing an episode the least time is printed too: other processes take memory and caches.
100,000 transitions need 2.2 GB of disk, as much page cache, and once more of memory for the floor.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pbtnas.rl.episodes import Array, Recorder
from pbtnas.rl.replay import Replay

FRAME, ACTIONS, EPISODE, BATCH, STACK, NSTEP = (3, 84, 84), 6, 500, 256, 3, 3


def fill(replay: Replay, frames: Array) -> list[tuple[float, float]]:
    """Store all frames in episodes of 500 steps, and in an array; seconds of a step in each."""
    recorder = Recorder(ACTIONS)
    action = np.zeros(ACTIONS, np.float32)
    array = np.zeros((4 * EPISODE, *FRAME), np.uint8)
    spent = []
    for start in range(0, len(frames), EPISODE):
        began = time.process_time()
        recorder.start(frames[start])
        for t in range(start, start + EPISODE):
            recorder.step(action, 1.0, 1.0, frames[t])
        replay.add(recorder.episode())
        between = time.process_time()
        for t in range(start, start + EPISODE):
            array[t % len(array)] = frames[t]
        spent.append((between - began, time.process_time() - between))
    return [(ours / EPISODE, floor / EPISODE) for ours, floor in spent]


def plain_sample(frames: Array, rng: np.random.Generator) -> Callable[[], object]:
    """Sampling pairs of stacks from one array of frames, and nothing else."""
    rows = frames.reshape(len(frames), -1)
    window = np.concatenate([np.arange(STACK), np.arange(NSTEP, NSTEP + STACK)])
    out = np.empty((BATCH, 2 * STACK, rows.shape[1]), np.uint8)

    def sample() -> object:
        first = rng.integers(0, len(rows) - NSTEP - STACK, BATCH)
        return np.take(rows, first[:, None] + window, axis=0, out=out, mode="clip")

    return sample


def rate(sample: Callable[[], object], batches: int) -> float:
    """Samples per second."""
    began = time.process_time()
    for _ in range(batches):
        sample()
    return BATCH * batches / (time.process_time() - began)


def main() -> None:
    """Fill a buffer, time it, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--transitions", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, help="where to put the buffer")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    transitions = arguments.transitions // EPISODE * EPISODE
    frames = np.empty((transitions, *FRAME), np.uint8)
    frames[:] = rng.integers(0, 256, FRAME, dtype=np.uint8)

    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        replay = Replay(
            Path(directory), capacity=transitions, stack=STACK, nstep=NSTEP, discount=0.99
        )
        spent = zip(*fill(replay, frames), strict=True)
        stored, copied = ([seconds * 1e6 for seconds in column] for column in spent)
        size = sum(path.stat().st_size for path in Path(directory).iterdir())
        batch = replay.sample(BATCH, rng)
        plain = plain_sample(frames, rng)
        ours = [lambda: replay.sample(BATCH, rng, out=batch), plain]
        for sample in ours:  # once through everything, so that all pages are mapped
            rate(sample, transitions // BATCH)
        rounds = [[rate(sample, 20) for sample in ours] for _ in range(25)]

    ratio = statistics.median(a / b for a, b in rounds)
    sampled, floor = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"load                 {os.getloadavg()[0]:12.1f}")
    print(f"transitions          {transitions:12,}")
    print(f"bytes a transition   {size / transitions:12,.0f}")
    for name, of in (("median", statistics.median), ("least", min)):
        print(f"store, us, {name:10}{of(stored):12.1f}   floor {of(copied):.1f}")
    print(f"samples a second     {sampled:12,.0f}   floor {floor:,.0f}   ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
