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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints.digests import CHUNK, hasher
from pbtnas.checkpoints.layers import DTYPES, FileInMemory, FileInPassing, Layers, memory
from pbtnas.checkpoints.one_pass import FORMAT, CorruptCheckpoint, OnePass
from pbtnas.state import Json, LazyTensor, State, assemble, lazily

__all__ = [
    "CorruptCheckpoint",
    "Layers",
    "read_lazily",
    "read_verified",
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


@contextmanager
def read_lazily(path: Path, digest: str, *, algorithm: str) -> Iterator[Layers]:
    """The tensors of a full checkpoint, each read when it is made, and its digest checked after.

    The file is read once, so its tensors must be made in its order, each at most once: by falling
    size of an element, then by key, as a checkpoint is written.

    Raises `CorruptCheckpoint` at the end of the block when the file has another digest, whatever
    else has failed by then: what was made in the block is worth nothing.  Before that, raises what
    `OnePass` raises.
    """
    with OnePass(path, algorithm) as file:
        try:
            yield Layers([FileInPassing(file)])
        finally:
            file.check(digest)


def read_verified(paths: Sequence[Path], digests: Sequence[str], *, algorithm: str) -> State:
    """Read a checkpoint, overlay before base, and use exactly the bytes that were hashed.

    Each file is read once.  The tensors of a file share its memory, which is freed with the
    last of them.  Raises what `OnePass` raises, and `CorruptCheckpoint` when a file has another
    digest, or when they are not the layers of one checkpoint.
    """
    files = [_load(path, digest, algorithm) for path, digest in zip(paths, digests, strict=True)]
    layers = Layers(files)
    return assemble({key: lazy.make() for key, lazy in layers.items()}, layers.info)


def _load(path: Path, digest: str, algorithm: str) -> FileInMemory:
    with OnePass(path, algorithm) as file:
        entries = file.header.entries.values()
        data = memory(max((entry.end for entry in entries), default=0))
        file.take(0, data)
        file.check(digest)
    return FileInMemory(path, file.header, data)
