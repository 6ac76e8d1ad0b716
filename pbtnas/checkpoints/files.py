"""Checkpoint files: safetensors, content addressed, written and read one tensor at a time.

The safetensors library can read our files and we read its files.  Writing is our own because
a checkpoint is hashed while it is written and never held in memory a second time; reading,
because damage must end in one clear error.

Tensors are named "<section>/<name>" (`pbtnas.state`) and ordered by falling item size, then
key.  The header's metadata holds

    pbtnas   version of this format
    info     JSON of the state's `info`                  (full checkpoints)
    tensors  JSON list of all tensor keys of the state   (overlays)

An overlay is read together with its base: what it does not contain comes from there.  Equal
states give equal bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import torch

from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints.digests import CHUNK, file_digest, hasher
from pbtnas.checkpoints.layers import (
    DTYPES,
    FORMAT,
    CorruptCheckpoint,
    Layers,
    LoadedFile,
    OpenFile,
    memory,
)
from pbtnas.state import Json, LazyTensor, State, assemble, lazily

__all__ = [
    "CorruptCheckpoint",
    "Layers",
    "open_layers",
    "read",
    "read_verified",
    "verify",
    "write",
    "write_overlay",
]

_DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def write(path: Path, state: State, *, algorithm: str) -> str:
    """Write a full checkpoint and return the digest of the file.

    The path is private to the caller, who also makes the file durable (fsync).  After an error it
    is gone: a full disk is not filled by what waits for it.  Tensors on other devices are fetched
    one at a time.

    Raises `OSError` when not all could be written, `ValueError` for a dtype the format lacks
    or an `info` that is not JSON.
    """
    try:
        info = _json(state.info)
    except TypeError as error:
        raise ValueError(f"the state's info is not JSON: {error}") from None
    return _write(path, lazily(state), {"info": info}, algorithm)


def write_overlay(
    path: Path, tensors: Mapping[str, LazyTensor], keys: Iterable[str], *, algorithm: str
) -> str:
    """Write an overlay and return the digest of the file; each tensor is made when its turn is.

    Args:
        path: The file, private to the caller, as in `write`.
        tensors: The tensors of the overlay.
        keys: The keys of all tensors of the child; those not in `tensors` are read from its base.
        algorithm: The algorithm of the digest.

    Raises what `write` raises.
    """
    names = sorted(keys)
    assert tensors.keys() <= set(names), "an overlay holds only tensors of its child"
    return _write(path, tensors, {"tensors": _json(names)}, algorithm)


def _write(
    path: Path, tensors: Mapping[str, LazyTensor], metadata: Mapping[str, str], algorithm: str
) -> str:
    entries = headers.lay_out({key: (_name(key, t), t.shape) for key, t in tensors.items()})
    digest = hasher(algorithm)
    # A buffered file completes short writes or raises; blocks beyond its buffer pass uncopied.
    with _whole_or_absent(path), path.open("wb", buffering=CHUNK) as file:
        text = headers.encode(entries, {"pbtnas": FORMAT, **metadata})
        digest.update(text)
        file.write(text)
        for key in entries:
            content = _content(key, tensors[key])
            for begin in range(0, len(content), CHUNK):
                digest.update(content[begin : begin + CHUNK])
                file.write(content[begin : begin + CHUNK])
    return digest.hexdigest()


@contextmanager
def _whole_or_absent(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what hindered the writing is the error to be told
            if path.is_file():  # and no device
                path.unlink()
        raise


def _name(key: str, tensor: LazyTensor) -> str:
    if tensor.dtype not in _DTYPE_NAMES:
        raise ValueError(f"tensor {key!r} has dtype {tensor.dtype}, which safetensors lacks")
    return _DTYPE_NAMES[tensor.dtype]


def _content(key: str, lazy: LazyTensor) -> memoryview:
    """The bytes of a tensor, row by row; a copy only where it is elsewhere or has gaps."""
    tensor = lazy.make()
    if tuple(tensor.shape) != lazy.shape or tensor.dtype != lazy.dtype:
        raise ValueError(
            f"tensor {key!r} was announced as {lazy.dtype} {list(lazy.shape)}, "
            f"but made as {tensor.dtype} {list(tensor.shape)}"
        )
    return tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data


def _json(value: Json | list[str]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def open_layers(paths: Sequence[Path]) -> Layers:
    """Open a checkpoint, overlay before base, to read tensors one by one; close it after.

    Raises `CorruptCheckpoint` for a file that is not a whole checkpoint, or for files that are
    not the layers of one; `OSError` (`FileNotFoundError`) when one cannot be opened.
    """
    with ExitStack() as opened:
        files = []
        for path in paths:
            files.append(OpenFile(path))
            opened.callback(files[-1].close)
        layers = Layers(files)
        opened.pop_all()
    return layers


def read(paths: Sequence[Path]) -> State:
    """Read a checkpoint, overlay before base; nothing is verified beyond the headers.

    Raises what `open_layers` raises.
    """
    with open_layers(paths) as layers:
        return _state(layers)


def read_verified(paths: Sequence[Path], digests: Sequence[str], *, algorithm: str) -> State:
    """Read a checkpoint, overlay before base, and use exactly the bytes that were hashed.

    Each file is read once.  The tensors of a file share its memory, which is freed with the
    last of them.  Raises what `open_layers` raises, and `CorruptCheckpoint` when a file has
    another digest.
    """
    files = [
        LoadedFile(path, _load(path, digest, algorithm))
        for path, digest in zip(paths, digests, strict=True)
    ]
    return _state(Layers(files))


def verify(path: Path, digest: str, *, algorithm: str) -> None:
    """Raise `CorruptCheckpoint` unless the file has this digest."""
    _compare(path, algorithm, digest, file_digest(path, algorithm))


def _load(path: Path, expected: str, algorithm: str) -> memoryview:
    """The bytes of a file, hashed on their way and compared with the expected digest."""
    digest = hasher(algorithm)
    with path.open("rb", buffering=0) as file:
        content = memory(os.fstat(file.fileno()).st_size)
        rest = content
        while count := file.readinto(rest[:CHUNK]):
            digest.update(rest[:count])
            rest = rest[count:]
    _compare(path, algorithm, expected, digest.hexdigest())
    return content


def _compare(path: Path, algorithm: str, expected: str, found: str) -> None:
    if found != expected:
        raise CorruptCheckpoint(path, f"{algorithm} digest {expected}", found)


def _state(layers: Layers) -> State:
    return assemble({key: lazy.make() for key, lazy in layers.items()}, layers.info)
