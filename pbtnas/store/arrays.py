"""Reads tensors of a checkpoint into numpy, without torch: for tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pbtnas.checkpoints import header as headers
from pbtnas.checkpoints.digests import hasher
from pbtnas.records.envelope import CorruptRecord
from pbtnas.regular_files import read_regular

_DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4"}
_LIMIT = 1 << 34  # bytes


@dataclass(frozen=True, eq=False)
class Arrays:
    """Some tensors of a checkpoint, by their keys, and its `info`."""

    tensors: Mapping[str, NDArray[Any]]
    info: Mapping[str, Any]


def read_arrays(path: Path, digest: str, keys: Sequence[str], *, algorithm: str) -> Arrays:
    """Those of the tensors that a full checkpoint has, and its `info`.

    Raises `OSError` when it cannot be read, `CorruptRecord` when it is not the file with that
    digest, or a tensor has a dtype that is not read here.
    """
    content = read_regular(path, limit=_LIMIT)
    found = hasher(algorithm)
    found.update(content)
    if found.hexdigest() != digest:
        raise CorruptRecord(f"{path}: expected the digest {digest}, found {found.hexdigest()}")
    try:
        header = headers.parse(content, len(content))
        info = headers.parse_json(header.metadata.get("info", "{}"))
    except ValueError as error:
        raise CorruptRecord(f"{path}: expected a checkpoint, found {error}") from error
    tensors = {}
    for key in header.entries.keys() & set(keys):
        entry = header.entries[key]
        if entry.dtype not in _DTYPES:
            raise CorruptRecord(
                f"{path}: tensor {key} has dtype {entry.dtype}, expected one of "
                f"{', '.join(_DTYPES)}"
            )
        data = content[header.size + entry.begin : header.size + entry.end]
        tensors[key] = np.frombuffer(data, _DTYPES[entry.dtype]).reshape(entry.shape)
    return Arrays(tensors, info)
