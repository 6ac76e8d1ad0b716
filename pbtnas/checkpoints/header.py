"""The header of a safetensors file: laid out, encoded, and parsed without trust.  No torch.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

ITEM_SIZES = {
    "C64": 8,
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "BF16": 2,
    "F16": 2,
    "I16": 2,
    "U16": 2,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E4M3FNUZ": 1,
    "F8_E5M2": 1,
    "F8_E5M2FNUZ": 1,
    "I8": 1,
    "U8": 1,
}
"""Bytes an element takes, by the format's name of its dtype."""

PREFIX = 8  # bytes: the length of the JSON text, little-endian
MAX_TEXT = 1 << 25  # bytes; some 200,000 tensors, and no memory for a hostile length
_ALIGNMENT = 8  # bytes
_MAX_ELEMENTS = 1 << 60  # of an empty tensor, its empty dimensions left out: strides must fit
_MAX_DIMENSIONS = 64


class Entry(NamedTuple):
    """One tensor: format's dtype name, shape, and its bytes as offsets from the data's begin."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file says about itself.

    Args:
        entries: The tensors by key, in the order of their bytes, which touch each other.
        metadata: Free text by key.
        size: Bytes before the data.
    """

    entries: dict[str, Entry]
    metadata: dict[str, str]
    size: int


def lay_out(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, Entry]:
    """Offsets for tensors given as (dtype name, shape), ordered so that each is aligned."""
    entries = {}
    offset = 0
    for key in sorted(tensors, key=lambda k: (-ITEM_SIZES[tensors[k][0]], k)):
        dtype, shape = tensors[key]
        end = offset + math.prod(shape) * ITEM_SIZES[dtype]
        entries[key] = Entry(dtype, shape, offset, end)
        offset = end
    return entries


def encode(entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> bytes:
    """The file's bytes up to the data; equal arguments give equal bytes.

    Raises `ValueError` when they are more than `parse` accepts.
    """
    content: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    for key, entry in entries.items():
        content[key] = {
            "dtype": entry.dtype,
            "shape": entry.shape,
            "data_offsets": [entry.begin, entry.end],
        }
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    if len(text) > MAX_TEXT:
        raise ValueError(f"a header of {len(text)} bytes is longer than the limit of {MAX_TEXT}")
    return len(text).to_bytes(PREFIX, "little") + text


def size_of(prefix: bytes | memoryview, file_size: int) -> int:
    """How many bytes of header a file has that begins with this prefix.

    Raises `ValueError` saying what was found, when a file of this size cannot have so many.
    """
    if len(prefix) < PREFIX:
        raise ValueError(f"a file of {file_size} bytes")
    size = PREFIX + int.from_bytes(prefix[:PREFIX], "little")
    if size > min(PREFIX + MAX_TEXT, file_size):
        raise ValueError(f"a header of {size} bytes in a file of {file_size} bytes")
    return size


def parse(begin: bytes | memoryview, file_size: int) -> Header:
    """The header of the file whose first bytes these are, everything checked.

    The tensors must cover all bytes behind the header, without gap or overlap: so a
    truncated file never passes.  Raises `ValueError` saying what was found instead.
    """
    size = size_of(begin, file_size)
    content = parse_json(bytes(begin[PREFIX:size]))
    if not isinstance(content, dict):
        raise ValueError("a header that is not a JSON object")
    metadata = content.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("metadata that is not an object of strings")
    entries = {key: _entry(key, value) for key, value in content.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    offset = 0
    for key, entry in entries.items():
        if entry.begin != offset:
            raise ValueError(f"tensor {key!r} at byte {entry.begin} of the data, not at {offset}")
        offset = entry.end
    if offset != file_size - size:
        raise ValueError(f"{file_size - size} bytes of data where the tensors need {offset}")
    return Header(entries, metadata, size)


def parse_json(text: bytes | str) -> Any:
    """JSON without duplicate keys; raises `ValueError` whatever is wrong with it."""
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"text that is not JSON ({error})") from None


def _without_duplicates(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} twice")
        content[key] = value
    return content


def _entry(key: str, value: Any) -> Entry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor {key!r} without exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in ITEM_SIZES:
        raise ValueError(f"tensor {key!r} of unknown dtype {dtype!r}")
    if not _counts(shape) or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"tensor {key!r} of a malformed shape")
    if 0 in shape and math.prod(max(size, 1) for size in shape) > _MAX_ELEMENTS:
        raise ValueError(f"tensor {key!r} of an impossible shape")
    if not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor {key!r} with malformed data_offsets")
    begin, end = offsets
    needed = math.prod(shape) * ITEM_SIZES[dtype]
    if end - begin != needed:
        raise ValueError(f"tensor {key!r} of {end - begin} bytes that needs {needed}")
    return Entry(dtype, tuple(shape), begin, end)


def _counts(values: Any) -> bool:
    """Whether this is a list of whole numbers from 0 up."""
    # JSON's true is an int in Python; type() keeps it out.
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)
