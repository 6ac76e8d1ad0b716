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
from collections.abc import Sequence
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

_PART_BYTES = 1 << 20  # written at once; ten times as much can take four times as long a byte
_MOST_PIECES = 1024  # of one call, on Linux


class TornEpisode(PbtnasError):
    """A file that is not a whole episode; the message says what is wrong with it."""


@dataclass(frozen=True)
class Episode:
    """The transitions of one episode.

    Args:
        observations: T + 1 of them, uint8 frames (C, H, W) or float32 features (n,): one array
            [T + 1, ...] where the episode was read, single arrays where it was recorded.
        actions: [T, A] float32.
        rewards: [T] float32.
        discounts: [T] float32, the environment's: 0 after an action that ended the task, 1
            after one that merely met the time limit.
    """

    observations: Array | Sequence[Array]
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
    """Collects one episode after another.

    It keeps the observations and actions that it is given, uncopied, until the episode is written:
    whoever gives them must not write to them any more.

    Args:
        actions: A, the length of an action.
    """

    def __init__(self, actions: int) -> None:
        self._size = actions
        self._observations: list[Array] = []
        self._actions: list[Array] = []
        self._rewards: list[float] = []
        self._discounts: list[float] = []

    def start(self, observation: Array) -> None:
        """Begin an episode with an unstacked observation, forgetting an unfinished one."""
        self._observations = [observation]
        self._actions, self._rewards, self._discounts = [], [], []

    def step(self, action: Array, reward: float, discount: float, observation: Array) -> None:
        """Add one transition: an action and its result."""
        assert self._observations, "no episode was started"
        self._actions.append(action)
        self._rewards.append(reward)
        self._discounts.append(discount)
        self._observations.append(observation)

    def episode(self) -> Episode:
        """The episode so far; `step` and `start` leave it as it is."""
        assert self._observations, "no episode was started"
        actions = [np.zeros(0, np.float32), *self._actions]
        return Episode(
            observations=tuple(self._observations),
            actions=np.concatenate(actions, dtype=np.float32).reshape(-1, self._size),
            rewards=np.array(self._rewards, np.float32),
            discounts=np.array(self._discounts, np.float32),
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
    header, arrays = _layout(episode)
    fd, temporary = _temporary(directory)
    try:
        _write(fd, [np.frombuffer(header, np.uint8), *arrays])
        name = f"{number:08d}-{len(episode):06d}-{secrets.token_hex(4)}.safetensors"
        # Renamed while the lock is held, so that no one takes it for a dead writer's.
        temporary.rename(directory / name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
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
    """The header of an episode's file, and the arrays that follow it."""
    frames = [np.ascontiguousarray(frame) for frame in episode.observations]
    numbers = {
        "actions": np.ascontiguousarray(episode.actions, np.float32),
        "rewards": np.ascontiguousarray(episode.rewards, np.float32),
        "discounts": np.ascontiguousarray(episode.discounts, np.float32),
    }
    codes = {dtype: code for code, dtype in _DTYPES.items()}
    tensors = {name: (codes[array.dtype], array.shape) for name, array in numbers.items()}
    tensors["observations"] = codes[frames[0].dtype], (len(frames), *frames[0].shape)
    entries = headers.lay_out(tensors)
    pieces = {name: [array] for name, array in numbers.items()} | {"observations": frames}
    return headers.encode(entries, {}), [array for name in entries for array in pieces[name]]


def _write(fd: int, arrays: list[Array]) -> None:
    """Write the bytes of contiguous arrays to the end of a file.  Raises `OSError`."""
    sizes = [array.nbytes for array in arrays]
    most = min(_MOST_PIECES, max(1, _PART_BYTES // max(sizes)))
    for begin in range(0, len(arrays), most):
        part = [array.data for array in arrays[begin : begin + most]]
        written = os.writev(fd, part)
        if written < sum(sizes[begin : begin + most]):  # the disk is full, as it says if asked
            rest = b"".join(piece.tobytes() for piece in part)[written:]
            while rest:
                rest = rest[os.write(fd, rest) :]


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
