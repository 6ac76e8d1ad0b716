"""Snapshots in the middle of a job, from which any worker can go on to the same bits.

A snapshot is a checkpoint file in the private directory of an attempt.  Its name says how many
steps are done and what its digest is, so a torn one is never used.  Besides the state it holds
the global random number generators.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from pbtnas.checkpoints.files import CorruptCheckpoint, read_verified, write
from pbtnas.state import Json, State
from pbtnas.store.posix import sync_directory

_NAME = re.compile(r"snapshot-(\d{9})-([0-9a-f]+)\.safetensors")
_OURS = "pbtnas"
_RNGS = ("torch", "cuda", "numpy")


@dataclass(frozen=True)
class Snapshot:
    """Where a job was: the state, the steps of the job done, whether training is complete."""

    state: State
    done: int
    trained: bool


def save(
    directory: Path, state: State, *, done: int, trained: bool, device: str, algorithm: str
) -> None:
    """Write a snapshot, durable before older ones of this attempt go.

    Raises `OSError`, having left the older ones.
    """
    directory.mkdir(exist_ok=True)
    older = list(directory.glob("snapshot-*.safetensors"))
    tensors, python = _rng_state(device)
    extra = {**state.extra, **{f"{_OURS}.rng.{name}": t for name, t in tensors.items()}}
    note: dict[str, Json] = {"done": done, "trained": trained, "python": python}
    private = directory / f".tmp-{os.getpid()}"
    try:
        digest = write(
            private,
            replace(state, extra=extra, info={**state.info, _OURS: note}),
            algorithm=algorithm,
        )
        _make_durable(private)
        final = directory / f"snapshot-{done:09d}-{digest}.safetensors"
        private.rename(final)
        _make_durable(directory)
    finally:
        private.unlink(missing_ok=True)
    for path in older:
        if path != final:
            path.unlink(missing_ok=True)


def newest(directories: Iterable[Path], *, algorithm: str) -> tuple[Path, str, int] | None:
    """The snapshot with the most steps among several attempts, by name: path, digest, steps."""
    found = [
        (int(match[1]), path, match[2])
        for directory in directories
        for path in directory.glob("snapshot-*.safetensors")
        if (match := _NAME.fullmatch(path.name))
    ]
    if not found:
        return None
    done, path, digest = max(found, key=lambda item: (item[0], str(item[1])))
    return path, digest, done


def load(path: Path, digest: str, *, device: str, algorithm: str) -> Snapshot:
    """Read a snapshot and set the global random number generators as they were.

    Raises `CorruptCheckpoint` when it is damaged, `OSError` when it cannot be read.
    """
    state = read_verified([path], [digest], algorithm=algorithm)
    note = state.info.pop(_OURS, None)
    if not isinstance(note, dict):
        raise CorruptCheckpoint(path, "a snapshot of pbtnas", "another checkpoint")
    tensors = {name: state.extra.pop(f"{_OURS}.rng.{name}", None) for name in _RNGS}
    _restore_rngs(tensors, note["python"], device)
    done, trained = note["done"], note["trained"]
    assert isinstance(done, int) and isinstance(trained, bool)
    return Snapshot(state, done, trained)


def _rng_state(device: str) -> tuple[dict[str, torch.Tensor], Json]:
    # The legacy numpy generator is what a task's libraries draw from when they draw globally.
    _, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002
    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.array(keys))}
    if device.startswith("cuda"):
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    version, internal, gauss_next = random.getstate()
    python: dict[str, Json] = {
        "version": version,
        "internal": list(internal),
        "gauss_next": gauss_next,
        "numpy": [int(position), int(has_gauss), float(gauss)],
    }
    return tensors, python


def _restore_rngs(tensors: dict[str, torch.Tensor | None], python: Json, device: str) -> None:
    assert isinstance(python, dict)
    internal, position = python["internal"], python["numpy"]
    assert isinstance(internal, list) and isinstance(position, list)
    random.setstate((python["version"], tuple(internal), python["gauss_next"]))
    if (keys := tensors["numpy"]) is not None:
        np.random.set_state(("MT19937", keys.numpy(), *position))  # type: ignore[arg-type]  # noqa: NPY002
    if (state := tensors["torch"]) is not None:
        torch.set_rng_state(state.clone())
    if (state := tensors["cuda"]) is not None and device.startswith("cuda"):
        torch.cuda.set_rng_state(state.clone(), device)


def _make_durable(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        sync_directory(fd) if path.is_dir() else os.fsync(fd)
    finally:
        os.close(fd)
