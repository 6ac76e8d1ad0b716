"""Replay buffers as directories of episodes: one member's own, or one shared by a machine.

Both are the same class.  A shared buffer is a directory that many processes add to and sample
from at once: they see each other's episodes at their next `refresh`, need no lock, and any of
them may die at any point.  With a directory of its own, and a Generator, a member's samples are
a function of the episodes it added.

Frames are stored once.  Stacks and n-step returns are made when sampling:

    observations[b]       o(t-K+1) ... o(t)           K stacked frames, the first one repeated
                                                      before the start of the episode
    rewards[b]            r(t) + g d(t) r(t+1) + ...  n terms, g the discount of the agent
    discounts[b]          g^n d(t) ... d(t+n-1)       what the value of the next state counts
    next_observations[b]  o(t+n-K+1) ... o(t+n)

A window of n transitions never reaches over the end of its episode; all windows are equally
likely.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from pbtnas.rl.episode_directory import delete, divide, link, listing, remove_leftovers
from pbtnas.rl.episodes import (
    Array,
    Episode,
    EpisodeName,
    TornEpisode,
    episode_bytes,
    open_episode,
    write_episode,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Samples of a buffer; B samples, K stacked frames.

    Args:
        observations: [B, K * C, H, W] uint8, or [B, K * n] float32.
        actions: [B, A] float32.
        rewards: [B] float32, n-step returns.
        discounts: [B] float32.
        next_observations: like `observations`.
    """

    observations: Array
    actions: Array
    rewards: Array
    discounts: Array
    next_observations: Array


@dataclass(frozen=True)
class Position:
    """The fill level of a member's buffer.

    Args:
        next_number: number of the next episode.
        transitions: number of transitions in the live episodes.
    """

    next_number: int
    transitions: int


@dataclass(frozen=True)
class _Live:
    """An episode that can be sampled, with its window numbers [W, A + 2] side by side."""

    observations: Array
    numbers: Array


class Replay:
    """A directory of episodes, sampled by windows of n transitions.

    Args:
        directory: directory on a disk of this machine; made if missing.
        capacity: transitions to hold.  The oldest episodes beyond it are evicted: not sampled any
            more, and deleted.  The newest episode always stays.
        stack: K, the frames an observation is made of.
        nstep: n.
        discount: g, the agent's discount of one step.
        hold_evicted: leave evicted files where they are, so that `rewind` can go back to where
            the job began.  They go with the directory: `adopt` takes none along.
    """

    def __init__(
        self,
        directory: Path,
        *,
        capacity: int,
        stack: int,
        nstep: int,
        discount: float,
        hold_evicted: bool = False,
    ) -> None:
        if min(capacity, stack, nstep) < 1:
            raise ValueError(
                f"capacity, stack and nstep must be at least 1, not {capacity}, {stack}, {nstep}"
            )
        self.directory = directory
        self.capacity = capacity
        self.stack = stack
        self.nstep = nstep
        self.discount = discount
        self._hold_evicted = hold_evicted
        self._next_number = 0
        self._names: list[EpisodeName] = []
        self._open: dict[str, _Live] = {}
        self._torn: set[str] = set()
        self._order: list[_Live] = []
        self._ends = np.zeros(0, np.int64)
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory)
        self.refresh()

    def __len__(self) -> int:
        """Transitions of the live episodes."""
        return sum(name.length for name in self._names)

    @property
    def windows(self) -> int:
        """The number of different samples; episodes shorter than n have none."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def add(self, episode: Episode) -> None:
        """Publish a finished episode, and take notice of what others did meanwhile."""
        write_episode(self.directory, self._next_number, episode)
        self.refresh()

    def refresh(self) -> None:
        """Take in episodes that others published, let go of evicted ones.

        A torn file is skipped, and said once.
        """
        names = listing(self.directory)
        live, evicted = divide(names, self.capacity)
        if not self._hold_evicted:
            delete(self.directory, evicted)
        self._next_number = max([self._next_number, *(name.number + 1 for name in names)])
        opened: dict[str, _Live] = {}
        for name in live:
            episode = self._open.get(name.file) or self._map(name)
            if episode is not None:
                opened[name.file] = episode
        self._open = opened
        self._names = [name for name in live if name.file in opened]
        self._order = list(opened.values())
        self._ends = np.cumsum([len(episode.numbers) for episode in self._order], dtype=np.int64)

    def sample(self, size: int, rng: np.random.Generator, out: Batch | None = None) -> Batch:
        """Draw windows uniformly, with replacement; consumes `size` integers of `rng`.

        `out` is an earlier batch of the same size to overwrite, which saves allocating (and
        faulting in) some ten megabytes.  Raises `ValueError` while there is no window.
        """
        if not self.windows:
            raise ValueError(f"nothing to sample: no episode of {self.nstep} steps or more")
        window = rng.integers(0, self.windows, size)
        index = np.searchsorted(self._ends, window, side="right")
        chosen = [self._order[i] for i in index.tolist()]
        starts = np.concatenate([np.zeros(1, np.int64), self._ends])[index]
        times = (window - starts).tolist()
        batch = out or self._empty(size)
        frames = self._order[0].observations.shape[1:]
        before = batch.observations.reshape(size, self.stack, *frames)
        after = batch.next_observations.reshape(size, self.stack, *frames)
        numbers = np.empty((size, self._order[0].numbers.shape[1]), np.float32)
        # A row of a stack is one copy of neighbouring frames.  Nothing else costs anything.
        for b, (episode, t) in enumerate(zip(chosen, times, strict=True)):
            numbers[b] = episode.numbers[t]
            _stack(before[b], episode.observations, t)
            _stack(after[b], episode.observations, t + self.nstep)
        batch.actions[:] = numbers[:, :-2]
        batch.rewards[:] = numbers[:, -2]
        batch.discounts[:] = numbers[:, -1]
        return batch

    def position(self) -> Position:
        """The position to keep in a snapshot."""
        return Position(self._next_number, len(self))

    def rewind(self, position: Position) -> int:
        """Forget what came after a position, and return how many transitions are missing.

        None are while evicted files are held, on the machine that recorded them.
        """
        later = [n for n in listing(self.directory) if n.number >= position.next_number]
        delete(self.directory, later)
        self._next_number = position.next_number
        self.refresh()
        return position.transitions - len(self)

    def adopt(self, source: Path, position: Position) -> int:
        """Become another buffer as it was at a position, by hard links; what was here goes.

        Returns how many transitions are missing: all of them where there is no such directory.
        The source may go on being used, and be deleted.
        """
        names = listing(source) if source.is_dir() else []
        live, _ = divide([n for n in names if n.number < position.next_number], self.capacity)
        for name in live:
            with contextlib.suppress(FileNotFoundError):  # evicted meanwhile, thus missing
                link(source / name.file, self.directory / name.file)
        delete(self.directory, [name for name in listing(self.directory) if name not in live])
        return self.rewind(position)

    def _map(self, name: EpisodeName) -> _Live | None:
        if name.file in self._torn:
            return None
        try:
            episode = open_episode(self.directory / name.file)
        except FileNotFoundError:  # evicted by another process since we looked
            return None
        except TornEpisode as error:
            self._torn.add(name.file)
            log.warning("skipping a torn episode, %s: %s", self.directory / name.file, error)
            return None
        returns, discounts = nstep_returns(
            episode.rewards, episode.discounts, self.discount, self.nstep
        )
        actions = episode.actions[: len(returns)]
        numbers = np.concatenate([actions, returns[:, None], discounts[:, None]], axis=1)
        return _Live(np.asarray(episode.observations), numbers)

    def _empty(self, size: int) -> Batch:
        first = self._order[0]
        frame = first.observations.shape[1:]
        shape = (size, self.stack * frame[0], *frame[1:])
        return Batch(
            observations=np.empty(shape, first.observations.dtype),
            actions=np.empty((size, first.numbers.shape[1] - 2), np.float32),
            rewards=np.empty(size, np.float32),
            discounts=np.empty(size, np.float32),
            next_observations=np.empty(shape, first.observations.dtype),
        )


def nstep_returns(
    rewards: Array, discounts: Array, discount: float, nstep: int
) -> tuple[Array, Array]:
    """Returns and bootstrap discounts of all windows of an episode.

    Args:
        rewards: [T] float32.
        discounts: [T] float32, of the environment.
        discount: discount of the agent.
        nstep: n.

    Returns:
        Two float32 arrays [max(T - n + 1, 0)], computed in float64.
    """
    windows = max(len(rewards) - nstep + 1, 0)
    total = np.zeros(windows)
    factor = np.ones(windows)
    for k in range(nstep):
        total += factor * rewards[k : k + windows]
        factor *= discount * discounts[k : k + windows].astype(np.float64)
    return total.astype(np.float32), factor.astype(np.float32)


def disk_bytes(
    capacity: int, episode_length: int, shape: tuple[int, ...], dtype: DTypeLike, actions: int
) -> int:
    """Bytes of disk that a full buffer needs, and of page cache that it can use.

    The episode being published comes on top, once for every writer.  Frames are read through
    the page cache: with less free memory than this, sampling waits for the disk.
    """
    episodes = -(-capacity // episode_length)
    return episodes * episode_bytes(episode_length, shape, dtype, actions)


def memory_bytes(capacity: int, actions: int) -> int:
    """Bytes of memory of a full buffer in every process that samples it: all but the frames."""
    return capacity * 4 * (actions + 2)


def _stack(out: Array, observations: Array, t: int) -> None:
    first = t - len(out) + 1
    if first >= 0:
        out[:] = observations[first : t + 1]
    else:
        out[:-first] = observations[0]
        out[-first:] = observations[: t + 1]
