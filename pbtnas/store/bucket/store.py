"""Carries out the storage operations in a bucket.

A record is published by one conditional PUT, which the store grants to one writer only.  What it
has answered is durable, and seen by everybody from then on.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pbtnas.protocol.operations import (
    Discard,
    Get,
    Has,
    List,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Replace,
    Sync,
    Unreadable,
    WriteHeartbeat,
)
from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.records.names import Digest, Name
from pbtnas.store.bucket.address import Address
from pbtnas.store.bucket.checking import check_conditional
from pbtnas.store.bucket.client import Client, client_of
from pbtnas.store.bucket.reader import BucketReader
from pbtnas.store.executing import Executing

log = logging.getLogger("pbtnas")


class BucketStore(BucketReader, Executing):
    """A run in a bucket, and the way to carry out storage operations in it.

    Args:
        root: Its local directory, made if it is missing.
        address: Where it lies.
        writer: Name of the writer, unique to this process.
        client: Its objects; those at the address where none are given.

    Raises `MissingExtra` and `OSError`.
    """

    due_s = float("inf")
    """In how many seconds names are to be made durable: they are as soon as they are there."""

    def __init__(
        self, root: Path, address: Address, writer: str, client: Client | None = None
    ) -> None:
        found = client or client_of(address.url, make=True)
        check_conditional(found)
        BucketReader.__init__(self, root.absolute(), address, found)
        Executing.__init__(self)
        self._writer = writer
        self._count = itertools.count(1)
        for directory in paths.TOP_DIRECTORIES:
            self.copies.ready(f"{directory}/")
            (self.root / directory).mkdir(exist_ok=True)

    @property
    def place(self) -> str:
        """Its URL."""
        return self.client.url

    def touch(self) -> None:
        """Nothing: names are seen at once."""

    def settle(self, before_s: float = float("inf")) -> None:
        """Nothing: names are durable as soon as they are there."""

    def _execute(self, operation: Any) -> Any:
        match operation:
            case Get(name) | ReadHeartbeat(name):
                try:
                    return self.get(name)
                except UnreadableRecord as error:
                    return Unreadable(str(error))
            case Put(name, data):
                return self.put(name, data)
            case PutBlob(source, name):
                return self.put_blob(source, name)
            case Has(name):
                return self.exists(name)
            case List(directory):
                return set(self.names(directory))
            case WriteHeartbeat(name, data) | Replace(name, data):
                self.replace(name, data)
            case Sync() | MakeGeneration():
                return Published.WON
            case Quarantine(name):
                self._quarantine(name)
                return Published.WON
            case Discard(generation, keep):
                self._discard(generation, keep)
            case _:
                raise AssertionError(f"not a storage operation: {operation!r}")
        return None

    def put(
        self, name: Name, data: bytes, *, durable: bool = True, grouped: bool = False
    ) -> Published:
        """Publish a record; see `Put`.  Raises `OSError`."""
        return Published.WON if self.client.put_new(name, data) else Published.LOST

    def replace(self, name: Name, data: bytes) -> None:
        """Replace a heartbeat, a hint or a view."""
        self.client.put(name, data)

    def _quarantine(self, name: Name) -> None:
        """A copy that is damaged is replaced; what is in the bucket is put aside."""
        path = self.root / name
        with suppress(FileNotFoundError):
            before = path.read_bytes()
            path.unlink()
            try:
                if self.fetch(name).read_bytes() != before:
                    return
            except FileNotFoundError:
                return  # somebody else was quicker
        aside = f"{name}.corrupt-{self._writer}-{next(self._count)}"
        with suppress(FileNotFoundError):
            self.client.copy(name, aside)
            self.client.delete([name])
        self.copies.drop(name)

    # -- checkpoints ---------------------------------------------------------------------------

    def put_blob(self, source: str, name: Name) -> Published:
        """Publish a finished private file.

        The name holds the digest of the content, so an object of that name can be replaced by
        this one: it is the same, or damaged.
        """
        try:
            self.publish_file(self.root / source, name)
        except FileNotFoundError:
            return Published.LOST
        return Published.WON

    def private(self, name: str) -> Path:
        """Where this process may write a private file of that name, to be published then."""
        return self.copies.local(name)

    def publish_file(self, path: Path, name: Name) -> None:
        """Publish a private file that nobody else will write, as a snapshot.

        Raises `FileNotFoundError` when somebody has deleted it, and `OSError`.
        """
        self.client.upload(path, name)
        self.copies.ready(name)
        path.rename(self.root / name)

    def share(
        self,
        name: Name,
        *,
        instead_of: Callable[[str], bool] = lambda leaf: False,
        among: Sequence[Name] = (),
    ) -> None:
        """Let others see a file that this process has written, if there is one.

        Args:
            name: Its name.
            instead_of: Whether a file, by the last part of its name, is of no more use then.
            among: Directories in which such files are deleted.

        Raises `OSError`.
        """
        try:
            self.client.upload(self.root / name, name)
        except FileNotFoundError:
            return
        for directory in among:
            names = (paths.within(directory, leaf) for leaf in self.names(directory))
            self.client.delete(
                other for other in names if other != name and instead_of(other.rpartition("/")[2])
            )

    def bring(self, directory: Name, key: Callable[[str], int | None]) -> None:
        """Have the file of a directory here whose last part has the highest key, if any has one.

        Raises `OSError`.
        """
        keys = {leaf: key(leaf) for leaf in self.names(directory)}
        keyed = [(found, leaf) for leaf, found in keys.items() if found is not None]
        with suppress(FileNotFoundError):
            if keyed:
                self.fetch(paths.within(directory, max(keyed)[1]))

    def delete(self, name: Name) -> None:
        """Delete a file that nobody needs, unless it is gone already.  Raises `OSError`."""
        self.client.delete([name])
        self.copies.drop(name)

    def make(self, directory: Name) -> None:
        """Nothing: a bucket has no directories."""

    @contextmanager
    def edited(self, name: Name) -> Iterator[Path]:
        """A file that is there or will be, to be changed in place.  Raises `OSError`."""
        try:
            path = self.fetch(name)
        except FileNotFoundError:
            path = self.private(name)
            path.unlink(missing_ok=True)
        before = path.read_bytes() if path.exists() else None
        yield path
        if path.exists() and path.read_bytes() != before:
            self.client.upload(path, name)

    def _discard(self, generation: int, keep: frozenset[Digest] | None) -> None:
        """List what nobody needs of a generation: `BucketTrash` deletes it a generation later."""
        old = set()
        if keep is not None:
            directory = paths.checkpoints(generation)
            for leaf in self.names(directory):
                if leaf.removesuffix(".safetensors") not in keep:
                    old.add(paths.within(directory, leaf))
        for found in self.client.everything(paths.attempts(generation)):
            if found.name.rpartition("/")[2].startswith("snapshot-"):
                old.add(Name(found.name))
        if old:
            listed = paths.trash(generation)
            known = (self.get(listed) or b"").decode().splitlines()
            self.replace(listed, "\n".join(sorted({*old, *known})).encode())


class BucketTrash:
    """Deletes what was discarded: a request deletes many objects, and none waits for it.

    Args:
        store: The run.
    """

    def __init__(self, store: BucketStore) -> None:
        self._store = store

    def ask(self, before: int) -> None:
        """Delete what was discarded from generations before `before`."""
        try:
            self._empty(before)
        except OSError as error:
            log.warning("%s: cannot be deleted (%s)", error.filename, error.strerror)

    def finish(self) -> None:
        """Delete all that was ever discarded: the run is over."""
        self.ask(1 << 62)

    def close(self) -> None:
        """Nothing goes on beside."""

    def _empty(self, before: int) -> None:
        for leaf in sorted(self._store.names(paths.TRASH)):
            if leaf.isdigit() and int(leaf) < before:
                listed = paths.within(paths.TRASH, leaf)
                names = (self._store.get(listed) or b"").decode().splitlines()
                self._store.client.delete([*names, listed])
                for name in names:
                    self._store.copies.drop(name)
