"""Opens a run, to look or to write, wherever it lies: in a directory or in a bucket.

Whoever has a run opened here finds its files by name: `fetch` gives a file of this machine to be
read, `private` one to be written and published.  Nobody else joins the names of files to `root`,
which is the directory of the run, or the local one of a run in a bucket.
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records.names import Name
from pbtnas.store.bucket.address import address_of, is_url, local_directory
from pbtnas.store.reader import RunReader

if TYPE_CHECKING:
    from pbtnas.store.bucket.store import BucketStore, BucketTrash
    from pbtnas.store.posix import PosixStore, Primitive
    from pbtnas.store.trash import Deletion

Store: TypeAlias = "PosixStore | BucketStore"
"""What carries out storage operations."""


class OtherPlace(PbtnasError):
    """A run is used in another way than the one it was made in; one sentence."""

    exit_code = ExitCode.USAGE


def place_of(typed: str | PathLike[str]) -> Path:
    """The directory of this machine for what a user gave as the place of a run, path or URL.

    Raises `BadAddress`, `MissingExtra` and `Refused`, each with one sentence, and `MachineTrouble`
    where the bucket cannot be reached.
    """
    if not is_url(text := fspath(typed)):
        return Path(text)
    from pbtnas.store.bucket.checking import check_reachable
    from pbtnas.store.bucket.client import client_of

    root = local_directory(text)
    address = address_of(root)
    assert address is not None, "it was marked just now"
    try:
        client = client_of(address.url)
    except FileNotFoundError:
        return root  # a directory that a coordinator will make
    check_reachable(client)
    return root


def open_files(root: Path) -> RunReader:
    """The files of a run or of a study, to be read.  Raises `OSError` when they cannot be."""
    address = address_of(root)
    if address is None:
        return RunReader(root)
    from pbtnas.store.bucket.reader import BucketReader

    return BucketReader(root, address)


def open_store(root: Path, writer: str, *, primitive: Primitive = "link") -> Store:
    """The files of a run or of a study, to be written.

    Args:
        root: Its directory.
        writer: Name of the writer, unique to this process.
        primitive: The way its records are published.

    Raises `OSError` when it cannot be opened, `OtherPlace` where a run that was made in a bucket
    is written as a directory, or the other way round: the two do not keep each other's records.
    """
    address = address_of(root)
    if (address is None) == (primitive == "bucket"):
        raise OtherPlace(
            f"{root}: this run was made in a bucket; name it by the URL that it was made with"
            if address is None
            else f"{address.url}: this run was made in a directory; name it by its path"
        )
    if address is not None:
        from pbtnas.store.bucket.store import BucketStore

        return BucketStore(root, address, writer)
    from pbtnas.store.posix import PosixStore  # of which who only looks has no need

    return PosixStore(root, writer, primitive=primitive)


def beside(root: Path, name: Name) -> Path:
    """The place on this machine for a file of that name which only people and this machine use."""
    return root / name


def deletion_of(store: Store) -> Deletion | BucketTrash:
    """What deletes the discarded files of a run."""
    from pbtnas.store.bucket.store import BucketStore, BucketTrash
    from pbtnas.store.trash import Deletion

    return BucketTrash(store) if isinstance(store, BucketStore) else Deletion(store.root)
