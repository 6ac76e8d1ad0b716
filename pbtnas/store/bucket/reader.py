"""Reading a run in a bucket, changing nothing there."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.records.names import Name
from pbtnas.store.bucket.address import Address
from pbtnas.store.bucket.client import Client, client_of
from pbtnas.store.bucket.copies import Copies
from pbtnas.store.reader import RunReader


class BucketReader(RunReader):
    """A run in a bucket.  Object stores answer each request as of now: nothing is looked for twice.

    Args:
        root: Its local directory.
        address: Where it lies.
        client: Its objects; those at the address where none are given.

    Raises `MissingExtra` and `OSError`.
    """

    def __init__(self, root: Path, address: Address, client: Client | None = None) -> None:
        self.root = root
        self.client = client or client_of(address.url)
        self.copies = Copies(root, address, self.client)

    def close(self) -> None:
        return  # the client is that of the process

    def get(self, name: Name, *, once: bool = False) -> bytes | None:
        try:
            return self.client.get(name, paths.limit(name))
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise UnreadableRecord(f"{name}: cannot be read ({error.strerror})") from error

    def names(self, directory: Name) -> list[str]:
        return self.client.names(directory)

    def exists(self, name: Name) -> bool:
        return self.client.look(name) is not None

    def published(self, name: Name) -> bool:
        return self.client.look(name) is not None

    def changed_s(self, name: Name) -> float | None:
        found = self.client.look(name)
        return None if found is None else found.changed_s

    def size(self, name: Name) -> int:
        found = self.client.look(name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", f"{self.client.url}/{name}")
        return found.size

    def fetch(self, name: Name) -> Path:
        return self.copies.fetch(name)

    def everything(self) -> Iterator[Name]:
        """The names of all objects."""
        return (Name(found.name) for found in self.client.everything())
