"""Small deterministic products that a task makes once for the whole run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader

_DIGEST_LENGTH = 64


def published(files: RunReader) -> dict[str, str]:
    """The products of a run so far: the SHA-256 of each, by name.  Raises `OSError`."""
    names = sorted(files.names(paths.PRODUCTS))
    contents = {name: files.get(paths.product(name)) for name in names if name[0] != "."}
    return {name: c[:_DIGEST_LENGTH].decode() for name, c in contents.items() if c is not None}


def lookup(files: RunReader, name: str) -> bytes | None:
    """The product of that name, or None.  Raises `CorruptRecord` if it is damaged."""
    content = files.get(paths.product(name))
    if content is None:
        return None
    digest, data = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH + 1 :]
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise CorruptRecord(
            f"{files.root / paths.product(name)}: damaged (its checksum does not match); delete "
            "it, and it will be made again"
        )
    return data


class Products:
    """The `Preparation` that a task is given: products of the run, published write-once.

    A product is stored behind the SHA-256 of its bytes, in one file, so that its slot decides
    content and digest together.

    Args:
        store: The run directory.
        directory: A directory of this machine, for what need not be shared.
    """

    def __init__(self, store: PosixStore, directory: Path) -> None:
        self._store = store
        self.directory = directory

    def publish(self, name: str, data: bytes) -> bytes:
        """Publish a product; returns what was there first.  Raises `OSError`."""
        digest = hashlib.sha256(data).hexdigest().encode()
        self._store.put(paths.product(name), digest + b"\n" + data)
        found = self.lookup(name)
        assert found is not None, "what was published is there"
        return found

    def lookup(self, name: str) -> bytes | None:
        """The product of that name, or None.  Raises `CorruptRecord` if it is damaged."""
        return lookup(self._store, name)
