"""Snapshots in the middle of a job, from which any worker can go on to the same bits.

A snapshot is a checkpoint file in the private directory of an attempt.  Its name says how many
steps are done and what its digest is, so a torn one is never used.  Besides the state it holds
the global random number generators.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Container, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pbtnas.checkpoints.files import CorruptCheckpoint, read_verified, write
from pbtnas.determinism import global_rngs, restore_global_rngs
from pbtnas.regular_files import BROKEN
from pbtnas.state import Json, State
from pbtnas.store.posix import sync_directory

_NAME = re.compile(r"snapshot-(\d{9})-([0-9a-f]+)\.safetensors")
_OURS = "pbtnas"
_RNG = f"{_OURS}.rng."


@dataclass(frozen=True)
class Snapshot:
    """Where a job was: the state, the steps of the job done, whether training is complete."""

    state: State
    done: int
    trained: bool


class Superseded(Exception):
    """A later attempt at the job has deleted what this one was writing, or its generation is over:
    its claim had expired, though it lives."""


def save(
    directory: Path,
    state: State,
    *,
    done: int,
    trained: bool,
    device: str,
    algorithm: str,
    earlier: Iterable[Path] = (),
) -> Path:
    """Write a snapshot, durable before older ones go: of this attempt, and those with no more
    steps of earlier attempts, which are over.  Returns its file.

    Raises `Superseded` when somebody has deleted it meanwhile; `OSError`, having left the older
    ones, for any other reason.
    """
    directory.mkdir(exist_ok=True)
    older = [path for at in (*earlier, directory) for path, _, steps in _found(at) if steps <= done]
    tensors, python = global_rngs(device)
    extra = {**state.extra, **{_RNG + name: tensor for name, tensor in tensors.items()}}
    note: dict[str, Json] = {"done": done, "trained": trained, "python": python}
    private = directory / f".tmp-{os.getpid()}"
    try:
        digest = write(
            private,
            replace(state, extra=extra, info={**state.info, _OURS: note}),
            algorithm=algorithm,
        )
        final = directory / f"snapshot-{done:09d}-{digest}.safetensors"
        try:
            _make_durable(private)
            private.rename(final)
        except FileNotFoundError as error:
            raise Superseded(str(private)) from error
        _make_durable(directory)
    finally:
        private.unlink(missing_ok=True)
    for path in older:
        if path != final:
            remove(path)
    return final


def newest(
    directories: Iterable[Path], *, algorithm: str, but: Container[Path] = ()
) -> tuple[Path, str, int] | None:
    """The snapshot with the most steps among several attempts, by name: path, digest, steps.

    Those in `but` are passed over.
    """
    found = [each for at in directories for each in _found(at) if each[0] not in but]
    return max(found, key=lambda each: (each[2], str(each[0])), default=None)


def _found(directory: Path) -> list[tuple[Path, str, int]]:
    """The snapshots of an attempt: path, digest, steps."""
    return [
        (path, match[2], int(match[1]))
        for path in _listed(directory)
        if (match := _NAME.fullmatch(path.name))
    ]


def load(path: Path, digest: str, *, device: str, algorithm: str) -> Snapshot:
    """Read a snapshot and set the global random number generators as they were.

    Raises `CorruptCheckpoint` when it is damaged or unreadable, `FileNotFoundError` when it is
    gone, `OSError` when the disk cannot be reached.
    """
    state = read_verified([path], [digest], algorithm=algorithm)
    note = state.info.pop(_OURS, None)
    if not isinstance(note, dict):
        raise CorruptCheckpoint(path, "a snapshot of pbtnas", "another checkpoint")
    ours = [name for name in state.extra if name.startswith(_RNG)]
    tensors = {name.removeprefix(_RNG): state.extra.pop(name) for name in ours}
    python, done, trained = note["python"], note["done"], note["trained"]
    assert isinstance(python, dict) and isinstance(done, int) and isinstance(trained, bool)
    restore_global_rngs(tensors, python, device)
    return Snapshot(state, done, trained)


def steps_in(leaf: str) -> int | None:
    """The number of steps that the name of a snapshot says; None if it is none."""
    match = _NAME.fullmatch(leaf)
    return None if match is None else int(match[1])


def has_no_more_steps(done: int, leaf: str) -> bool:
    """Whether a name is that of a snapshot after at most so many steps."""
    steps = steps_in(leaf)
    return steps is not None and steps <= done


def remove(path: Path) -> None:
    """Delete a snapshot that nobody needs, if that is possible."""
    with suppress(OSError):
        path.unlink()


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, *BROKEN):
            raise
        return []  # none was taken, or none can be had: they only save work


def _make_durable(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        sync_directory(fd) if path.is_dir() else os.fsync(fd)
    finally:
        os.close(fd)
