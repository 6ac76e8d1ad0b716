"""Episodes as files: recorded in memory, published whole, memory-mapped when read.

An episode of T transitions has T + 1 observations, each stored once and unstacked: observation
t + 1 is what action t led to.  Its file is a safetensors file named

    NUMBER-LENGTH-TOKEN.safetensors          e.g. 00000042-000500-9f3a61c2.safetensors

with its age (files of higher number are newer), its T, and a random token that keeps two
writers apart.  A directory listing is therefore an index, and no file is ever changed.

Files are not flushed to the disk one by one: a dying process never tears one, a dying machine
may, and `open_episode` says so.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from pbtnas.checkpoints import header as headers
from pbtnas.errors import PbtnasError

Array = NDArray[Any]

_NAME = re.compile(r"(\d{8,})-(\d{6,})-([0-9a-f]{8})\.safetensors")
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""Names of files being written; a living writer holds a lock on its own."""
_DTYPES: dict[str, np.dtype[Any]] = {"U8": np.dtype(np.uint8), "F32": np.dtype(np.float32)}

_PART_BYTES = 256 * 1024


class TornEpisode(PbtnasError):
    """A file that is not a whole episode; the message says what is wrong with it."""


@dataclass(frozen=True)
class Episode:
    """The transitions of one episode.

    Args:
        observations: [T + 1, ...], uint8 frames (C, H, W) or float32 features (n,).
        actions: [T, A] float32.
        rewards: [T] float32.
        discounts: [T] float32, the environment's: 0 after an action that ended the task, 1
            after one that merely met the time limit.
    """

    observations: Array
    actions: Array
    rewards: Array
    discounts: Array

    def __len__(self) -> int:
        """T, the number of transitions."""
        return len(self.rewards)


class EpisodeName(NamedTuple):
    """A file name taken apart; sorts by age."""

    number: int
    length: int
    file: str


class Recorder:
    """Collects one episode after another, without an allocation per step.

    Args:
        shape: shape of one unstacked observation.
        dtype: uint8 or float32.
        actions: A, the length of an action.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, actions: int) -> None:
        self._observations: Array = np.empty((1024, *shape), dtype)
        self._numbers: Array = np.empty((1024, actions + 2), np.float32)
        self._length = -1

    def start(self, observation: Array) -> None:
        """Begin an episode, forgetting an unfinished one."""
        self._length = 0
        self._observations[0] = observation

    def step(self, action: Array, reward: float, discount: float, observation: Array) -> None:
        """Add one transition: an action and its result."""
        assert self._length >= 0, "no episode was started"
        t = self._length
        if t + 2 > len(self._observations):
            self._observations = np.concatenate([self._observations, self._observations])
            self._numbers = np.concatenate([self._numbers, self._numbers])
        numbers = self._numbers[t]
        numbers[:-2] = action
        numbers[-2] = reward
        numbers[-1] = discount
        self._observations[t + 1] = observation
        self._length = t + 1

    def episode(self) -> Episode:
        """The episode so far; a view that the next `start` overwrites."""
        assert self._length >= 0, "no episode was started"
        numbers = self._numbers[: self._length]
        return Episode(
            observations=self._observations[: self._length + 1],
            actions=numbers[:, :-2],
            rewards=numbers[:, -2],
            discounts=numbers[:, -1],
        )

    def resume(self, episode: Episode) -> None:
        """Go on with an unfinished episode, as `episode` gave it before a snapshot."""
        self.start(episode.observations[0])
        steps = zip(episode.actions, episode.rewards, episode.discounts, strict=True)
        for t, (action, reward, discount) in enumerate(steps):
            self.step(action, reward, discount, episode.observations[t + 1])


def parse_name(file: str) -> EpisodeName | None:
    """Number and length of an episode file, or None for any other file."""
    match = _NAME.fullmatch(file)
    return EpisodeName(int(match[1]), int(match[2]), file) if match else None


def write_episode(directory: Path, number: int, episode: Episode) -> str:
    """Publish an episode and return its file name; other processes see it whole or not at all.

    Raises `OSError` when the disk is full; nothing is left behind then.
    """
    header, tensors = _layout(episode)
    fd, temporary = _temporary(directory)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(header)
            for tensor in tensors:
                # In parts that stay in the processor's cache (one large write can take four times
                # as long) and end where pages of the file do.
                data = tensor.reshape(-1).view(np.uint8)
                begin = 0
                while begin < len(data):
                    end = begin + _PART_BYTES - file.tell() % _PART_BYTES
                    file.write(data[begin:end].data)
                    begin = end
            file.flush()
            name = f"{number:08d}-{len(episode):06d}-{secrets.token_hex(4)}.safetensors"
            # Renamed while the lock is held, so that no one takes it for a dead writer's.
            temporary.rename(directory / name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return name


def open_episode(path: Path) -> Episode:
    """Map an episode: observations stay in the file, all else is copied to memory.

    Raises `TornEpisode` for a file that is not a whole episode, `FileNotFoundError` for one that
    was evicted meanwhile.
    """
    # Not `np.memmap`: it keeps a file descriptor for every mapping, and a million transitions
    # are two thousand files, more than a process may have open by default.
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 8:
            raise TornEpisode(f"{size} bytes are no episode")
        # By descriptor, because the name may be gone by now.
        name_now = f"/dev/fd/{file.fileno()}"
        mapped = torch.from_file(name_now, shared=False, size=size, dtype=torch.uint8).numpy()
    mapped.flags.writeable = False
    arrays = _tensors(mapped)
    name = parse_name(path.name)
    length = len(arrays["rewards"])
    if name is not None and name.length != length:
        raise TornEpisode(f"it has {length} transitions, not {name.length}")
    if len(arrays["observations"]) != length + 1:
        raise TornEpisode(f"{len(arrays['observations'])} observations for {length} transitions")
    return Episode(
        observations=arrays["observations"],
        actions=arrays["actions"].copy(),
        rewards=arrays["rewards"].copy(),
        discounts=arrays["discounts"].copy(),
    )


def episode_bytes(length: int, shape: tuple[int, ...], dtype: DTypeLike, actions: int) -> int:
    """Size of the file of an episode, its header (about 300 bytes) rounded up to 512."""
    observation = math.prod(shape) * np.dtype(dtype).itemsize
    return 512 + (length + 1) * observation + length * 4 * (actions + 2)


def _layout(episode: Episode) -> tuple[bytes, list[Array]]:
    tensors = {
        "actions": np.ascontiguousarray(episode.actions, np.float32),
        "rewards": np.ascontiguousarray(episode.rewards, np.float32),
        "discounts": np.ascontiguousarray(episode.discounts, np.float32),
        "observations": np.ascontiguousarray(episode.observations),
    }
    codes = {dtype: code for code, dtype in _DTYPES.items()}
    entries = headers.lay_out({name: (codes[t.dtype], t.shape) for name, t in tensors.items()})
    return headers.encode(entries, {}), [tensors[name] for name in entries]


def _tensors(mapped: Array) -> dict[str, Array]:
    try:
        header = headers.parse(mapped.data, len(mapped))
        found = {}
        for name in ("actions", "rewards", "discounts", "observations"):
            entry = header.entries[name]
            data = mapped[header.size + entry.begin : header.size + entry.end]
            found[name] = data.view(_DTYPES[entry.dtype]).reshape(entry.shape)
    except (KeyError, ValueError) as error:
        raise TornEpisode(f"not a whole episode: {error}") from error
    return found


def _temporary(directory: Path) -> tuple[int, Path]:
    """A new file of our own, locked for as long as it is open."""
    while True:
        path = directory / f".{secrets.token_hex(8)}.tmp"
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, path
        os.close(fd)  # somebody cleaned up between our open and our lock
