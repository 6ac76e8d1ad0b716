"""Small deterministic products that a task makes once for the whole run."""

from __future__ import annotations

import errno
import hashlib
import secrets
from collections.abc import Mapping
from pathlib import Path

from pbtnas.errors import PbtnasError
from pbtnas.protocol.generations import other_product
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord
from pbtnas.records.schema import Manifest
from pbtnas.store.opening import Store
from pbtnas.store.reader import RunReader

_DIGEST_LENGTH = 64
_REMEDY = "delete it, and it will be made again"


def published(files: RunReader) -> dict[str, str]:
    """The products of a run so far: the SHA-256 of each, by name.

    Raises `OSError`, and `CorruptRecord` if one is damaged or unreadable.
    """
    names = [n for n in files.names(paths.PRODUCTS) if n[0] != "." and ".corrupt-" not in n]
    contents = {name: lookup(files, name) for name in sorted(names)}
    return {n: hashlib.sha256(data).hexdigest() for n, data in contents.items() if data is not None}


def lookup(files: RunReader, name: str) -> bytes | None:
    """The product of that name, or None.

    What is returned are the bytes that were hashed.  Raises `CorruptRecord` if it is damaged or
    unreadable, with what to do: a task makes its products when it is prepared, and a run that has
    begun compares them with those that it was started with.
    """
    path = f"{files.root}/{paths.product(name)}"
    try:
        content = files.get(paths.product(name))
    except CorruptRecord as error:
        raise CorruptRecord(f"{path}: cannot be read; {_REMEDY}") from error
    if content is None:
        return None
    digest, data = content[:_DIGEST_LENGTH], content[_DIGEST_LENGTH + 1 :]
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise CorruptRecord(f"{path}: damaged (its checksum does not match); {_REMEDY}")
    return data


class OtherProducts(PbtnasError):
    """A product is not the one that the run was started with; one sentence."""


def started_with(files: RunReader, run: str) -> Mapping[str, str] | None:
    """SHA-256 of the products that the results of a run rest on, by name.

    None while there is no first manifest, or while it is damaged.  Runs begun before products were
    recorded, and runs of tasks without products, have none.
    """
    try:
        record = files.record(paths.manifest(0), "manifest", run)
    except CorruptRecord:
        return None  # the coordinator publishes it again
    return None if record is None else Manifest.from_json(record.core).products


def check_products(
    files: RunReader, run: str, used: Mapping[str, str], *, all_of_them: bool = True
) -> bool:
    """Whether it is known by now that the run was started with the products used here.

    `used` are all that its results rest on, or only some.  Raises `OtherProducts` naming one that
    differs.
    """
    started = started_with(files, run)
    if started is None:
        return False
    if not all_of_them:
        started = {name: sha256 for name, sha256 in started.items() if name in used}
    sentence = other_product(started, used)
    if sentence is not None:
        raise OtherProducts(f"{files.root}: {sentence}")
    return True


class Products:
    """The `Preparation` that a task is given: products of the run, published write-once.

    A product is stored behind the SHA-256 of its bytes, in one file, so that its slot decides
    content and digest together.

    Args:
        store: The run directory.
        directory: A directory of this machine, for what need not be shared.
    """

    def __init__(self, store: Store, directory: Path) -> None:
        self._store = store
        self.directory = directory

    def publish(self, name: str, data: bytes) -> bytes:
        """Publish a product; returns what was there first.  Raises `OSError`."""
        limit = paths.limit(paths.product(name)) - _DIGEST_LENGTH - 1
        if len(data) > limit:
            text = f"a product of {len(data)} bytes, where at most {limit} are read again"
            raise OSError(errno.EFBIG, text, name)
        digest = hashlib.sha256(data).hexdigest().encode()
        self._store.put(paths.product(name), digest + b"\n" + data)
        found = self.lookup(name)
        assert found is not None, "what was published is there"
        return found

    def lookup(self, name: str) -> bytes | None:
        """The product of that name, or None.  Raises `CorruptRecord` if it is damaged."""
        return lookup(self._store, name)

    def unique(self, name: str) -> str:
        """A random word, the same for all processes of the run."""
        word = self.lookup(name) or self.publish(name, secrets.token_hex(8).encode())
        return word.decode()
