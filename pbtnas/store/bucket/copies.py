"""Copies of a run's objects on this machine, of which the oldest go where there are too many."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.store.bucket.address import Address, keep_marked
from pbtnas.store.bucket.client import Client

log = logging.getLogger("pbtnas")

IN_USE_S = 300.0  # for which a copy stays that was asked for: whoever did so may not have opened it
OLD_S = 24 * 3600.0  # no process takes so long between writing a private file and publishing it
FOR_EVER = ".safetensors"  # how the names of files end that are never written anew


class Copies:
    """The local directory of a run in a bucket.

    Args:
        root: The directory.
        address: Where the run lies.
        client: The objects of the run.
    """

    def __init__(self, root: Path, address: Address, client: Client) -> None:
        self._root = root
        self._address = address
        self._client = client

    def fetch(self, name: Name) -> Path:
        """A file with the content of that object.  What may have been written anew is asked for
        anew.  Raises `FileNotFoundError`, and `OSError` for anything else."""
        path = self._root / name
        if name.endswith(FOR_EVER) and self._touched(path):
            return path
        self.ready(name)
        private = path.with_name(f"{paths.PRIVATE}fetched-{secrets.token_hex(8)}")
        try:
            try:
                self._client.download(name, private)
            except FileNotFoundError as error:
                raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
            private.replace(path)
        finally:
            private.unlink(missing_ok=True)
        if name.endswith(FOR_EVER):
            self.trim(but=path)
        return path

    def local(self, name: str) -> Path:
        """Where a file of that name lies, or may be written, here."""
        self.ready(name)
        return self._root / name

    def ready(self, name: str) -> None:
        """Make the directory of a name here; somebody may have deleted it with all the others."""
        keep_marked(self._root, self._address)
        (self._root / name).parent.mkdir(parents=True, exist_ok=True)

    def drop(self, name: str) -> None:
        """Delete the copy of an object."""
        with suppress(FileNotFoundError):
            (self._root / name).unlink()

    def trim(self, but: Path) -> None:
        """Delete the copies that were used longest ago, until the others have room; and what was
        written by processes that died long ago."""
        now_s = time.time()
        copies = []
        for path, status in self._files():
            if path.name.startswith(paths.PRIVATE):
                if now_s - status.st_mtime > OLD_S:
                    path.unlink(missing_ok=True)
            elif path.name.endswith(FOR_EVER):
                copies.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in copies) - self._address.cache_gb * 1e9
        for used_s, size, path in sorted(copies):
            if excess <= 0 or now_s - used_s < IN_USE_S:
                return
            if path != but:
                path.unlink(missing_ok=True)
                excess -= size

    def _touched(self, path: Path) -> bool:
        """Whether there is a copy, which is in use from now on."""
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._root.rglob("*.safetensors"):
            with suppress(FileNotFoundError):
                yield path, path.lstat()
        for path in self._root.rglob(f"{paths.PRIVATE}*"):
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.lstat()
