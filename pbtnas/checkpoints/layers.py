"""The files of one checkpoint: an overlay and its base, or one full file.

Read with `read`, not through memory maps: a map whose file fails on a network disk kills the
process, and bytes that were hashed through a map may be fetched from the disk once more when
they are used.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints.header import Entry, Header
from pbtnas.checkpoints.one_pass import CorruptCheckpoint, OnePass
from pbtnas.state import Json, LazyTensor, split_key

DTYPES = {
    "C64": torch.complex64,
    "F64": torch.float64,
    "I64": torch.int64,
    "U64": torch.uint64,
    "F32": torch.float32,
    "I32": torch.int32,
    "U32": torch.uint32,
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "I16": torch.int16,
    "U16": torch.uint16,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I8": torch.int8,
    "U8": torch.uint8,
}
"""The dtypes of torch by the format's names."""


class TensorSource(Protocol):
    """One file of a checkpoint."""

    @property
    def path(self) -> Path:
        """Its name."""

    @property
    def header(self) -> Header:
        """What it says about itself."""

    def tensor(self, entry: Entry) -> Tensor:
        """One tensor of it."""


@dataclass(frozen=True)
class FileInPassing:
    """A file in its one pass; a tensor's bytes are read when asked for, into memory of its own.

    The tensors must be asked for in the order of the file, each once.
    """

    file: OnePass

    @property
    def path(self) -> Path:
        return self.file.path

    @property
    def header(self) -> Header:
        return self.file.header

    def tensor(self, entry: Entry) -> Tensor:
        content = memory(entry.end - entry.begin)
        self.file.take(entry.begin, content)
        return _as_tensor(content, 0, entry)


@dataclass(frozen=True)
class FileInMemory:
    """A file whose data is in memory; its tensors share it."""

    path: Path
    header: Header
    data: memoryview

    def tensor(self, entry: Entry) -> Tensor:
        return _as_tensor(self.data, entry.begin, entry)


class Layers(Mapping[str, LazyTensor]):
    """The tensors of one checkpoint by key: from the overlay first, the rest from its base.

    Raises `CorruptCheckpoint` when the files are not the layers of one checkpoint.
    """

    def __init__(self, files: Sequence[TensorSource]) -> None:
        self._files = files
        self._layer = _resolve(files)
        self.info = _info(files[-1])
        """The state's `info`."""

    def __getitem__(self, key: str) -> LazyTensor:
        file = self._files[self._layer[key]]
        entry = file.header.entries[key]
        return LazyTensor(entry.shape, DTYPES[entry.dtype], partial(file.tensor, entry))

    def __iter__(self) -> Iterator[str]:
        return iter(self._layer)

    def __len__(self) -> int:
        return len(self._layer)


def memory(size: int) -> memoryview:
    """So many bytes, not yet written.

    numpy's, because large blocks of its memory come in huge pages: that halves the time to
    read a checkpoint of 50 MB.
    """
    return np.empty(size, np.uint8).data


def _as_tensor(content: memoryview, offset: int, entry: Entry) -> Tensor:
    """The tensor at this offset of the bytes; shares their memory if it is aligned there."""
    dtype = DTYPES[entry.dtype]
    size = headers.ITEM_SIZES[entry.dtype]
    count = (entry.end - entry.begin) // size
    if not count:  # torch makes no tensor of no bytes
        return torch.empty(entry.shape, dtype=dtype)
    tensor = torch.frombuffer(content, dtype=dtype, count=count, offset=offset)
    return (tensor.clone() if offset % size else tensor).reshape(entry.shape)


def _resolve(files: Sequence[TensorSource]) -> dict[str, int]:
    """Which of the files has each tensor of the checkpoint."""
    for file in files[:-1]:
        if "tensors" not in file.header.metadata:
            raise CorruptCheckpoint(file.path, "an overlay", "a full checkpoint")
    if "tensors" in files[-1].header.metadata:
        raise CorruptCheckpoint(files[-1].path, "a full checkpoint", "an overlay without its base")
    layer = {}
    with _blaming(files[0].path):
        for key in _keys(files[0]):
            split_key(key)
            layer[key] = _holder(files, key)
    return layer


def _holder(files: Sequence[TensorSource], key: str) -> int:
    for i, file in enumerate(files):
        if key in file.header.entries:
            return i
    raise CorruptCheckpoint(files[0].path, f"{key!r} in it or its base", "it in neither")


def _keys(file: TensorSource) -> list[str]:
    if "tensors" not in file.header.metadata:
        return list(file.header.entries)
    keys = headers.parse_json(file.header.metadata["tensors"])
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("metadata 'tensors' that is not a list of keys")
    return keys


def _info(file: TensorSource) -> dict[str, Json]:
    with _blaming(file.path):
        info = headers.parse_json(file.header.metadata.get("info", "{}"))
    if not isinstance(info, dict):
        raise CorruptCheckpoint(file.path, "an object as info", "something else")
    return info


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Name the file in errors of its header."""
    try:
        yield
    except ValueError as error:
        raise CorruptCheckpoint(path, "a checkpoint's header", str(error)) from None
