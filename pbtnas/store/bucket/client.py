"""Requests to an object store, by obstore; whatever goes wrong with one is an `OSError`.

What obstore reads from the environment (credentials, endpoint, region) is told in docs/buckets.md.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pbtnas.errors import ExitCode, MissingExtra, PbtnasError
from pbtnas.store.bucket.endpoints import check_endpoint, http_allowed

TRIES = 5  # at a publish that the store says is in conflict with another one
PIECE = 16 << 20  # bytes of an object that are sent, or asked for, at once
TIMEOUT_S, CONNECT_S, RETRY_S = 60, 5, 15
"""Of one request; of its connection; and for how long it is sent again where the store asks for
that, or does not answer.  Whoever publishes goes on trying after that, and shows that it lives."""

DENIED = errno.EACCES
AWAY = errno.EHOSTDOWN
CONFLICT = errno.ECONNABORTED
UNKNOWN = errno.ENOSYS  # to a store that has no such request
_DENYING = ("401 Unauthorized", "403 Forbidden", "AccessDenied")
_REQUEST = re.compile(
    r"Error performing (?P<request>[A-Z]+ [^ ?]+)\S* in .*? - (?:.* status code: )?(?P<answer>.*)"
)


class Refused(PbtnasError):
    """A bucket that this process may not use, or that cannot carry a run; one sentence."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Found:
    """An object, as a listing has it.

    Args:
        name: Its name, relative to the run.
        size: Bytes.
        changed_s: When it was written, in seconds since the epoch, by the clock of the store.
    """

    name: str
    size: int
    changed_s: float


class Client:
    """The objects of one run.

    Args:
        store: Store of obstore whose root is the run.
        url: URL of the run, for people.
    """

    def __init__(self, store: Any, url: str) -> None:
        self._store = store
        self.url = url

    def get(self, name: str, limit: int | None = None) -> bytes | None:
        """The content of an object; None if there is none.

        Raises `OSError`, with EFBIG for an object of more bytes than `limit`.
        """
        import obstore

        with self._asked(name):
            try:
                found = obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            if limit is not None and found.meta["size"] > limit:
                text = f"{found.meta['size']} bytes, where at most {limit} are expected"
                raise OSError(errno.EFBIG, text, f"{self.url}/{name}")
            return bytes(found.bytes())

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whatever has its name."""
        import obstore

        with self._asked(name):
            obstore.put(self._store, name, data, use_multipart=False)

    def put_new(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; whether it is this one that is there now.

        The store answers "exists" to a request that was sent again because its first answer was
        lost; and "conflict", or "exists" too, while another write of the name is in work.  The
        content tells: no two writers publish the same bytes, for each record has a nonce.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        for left in reversed(range(TRIES)):
            try:
                with self._asked(name):
                    try:
                        obstore.put(self._store, name, data, mode="create", use_multipart=False)
                    except (AlreadyExistsError, PreconditionError):
                        pass
                    else:
                        return True
            except OSError as error:
                # It may have taken effect.  A claim that its own holder does not know of would be
                # waited for by all until its lease is over.
                if error.errno != AWAY or not left:
                    raise
                continue
            found = self.get(name)
            if found is not None:
                return found == data
        raise OSError(CONFLICT, "writes of this name are in conflict", f"{self.url}/{name}")

    def upload(self, path: Path, name: str) -> None:
        """Write a file as an object, whatever has its name.  Raises `FileNotFoundError` for one
        that is not there."""
        import obstore

        with path.open("rb") as file, self._asked(name):
            obstore.put(self._store, name, file, chunk_size=PIECE)

    def download(self, name: str, path: Path) -> None:
        """Write the content of an object to a new file.

        Raises `FileNotFoundError` if there is no such object.
        """
        import obstore

        with path.open("xb") as file, self._asked(name):
            found = obstore.get(self._store, name)
            size = found.meta["size"]
            if size <= PIECE:
                file.write(found.bytes())
                return
            for start in range(0, size, PIECE):
                end = min(size, start + PIECE)
                file.write(obstore.get_range(self._store, name, start=start, end=end))

    def look(self, name: str) -> Found | None:
        """What a listing would say of an object; None if there is none."""
        import obstore

        with self._asked(name):
            try:
                return _found(obstore.head(self._store, name))
            except FileNotFoundError:
                return None

    def names(self, directory: str) -> list[str]:
        """The last parts of all names in a directory, those of directories included."""
        import obstore

        prefix = None if directory in ("", ".") else directory
        with self._asked(directory):
            found = obstore.list_with_delimiter(self._store, prefix)
        whole = [*found["common_prefixes"], *(meta["path"] for meta in found["objects"])]
        return [name.rstrip("/").rpartition("/")[2] for name in whole]

    def everything(self, directory: str = "") -> Iterator[Found]:
        """All objects below a directory."""
        import obstore

        with self._asked(directory):
            for batch in obstore.list(self._store, directory or None):
                yield from map(_found, batch)

    def copy(self, name: str, other: str) -> None:
        """Copy an object.  Raises `FileNotFoundError`."""
        import obstore

        with self._asked(name):
            obstore.copy(self._store, name, other)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects, those that are gone already included."""
        import obstore

        named = list(names)
        if not named:
            return
        with self._asked(named[0]):
            try:
                obstore.delete(self._store, named)
                return
            except FileNotFoundError:
                pass  # one of them, by which a store ends that knows no such request for several
            for name in named:
                try:
                    obstore.delete(self._store, name)
                except FileNotFoundError:
                    continue

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        """Raise what obstore raises as an `OSError`."""
        from obstore.exceptions import (
            BaseError,
            InvalidPathError,
            NotSupportedError,
            PermissionDeniedError,
            UnauthenticatedError,
        )

        where = f"{self.url}/{name}" if name else self.url
        try:
            yield
        except FileNotFoundError as error:
            if error.errno is not None:
                raise  # of a file of this machine
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), where) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise OSError(DENIED, f"access denied: {_sentence(error)}", where) from error
        except InvalidPathError as error:
            raise OSError(errno.EINVAL, _sentence(error), where) from error
        except BaseError as error:
            said = _sentence(error)
            if isinstance(error, NotSupportedError) or "501 Not Implemented" in said:
                raise OSError(UNKNOWN, said, where) from error
            if any(answer in said for answer in _DENYING):
                raise OSError(DENIED, f"access denied: {said}", where) from error
            raise OSError(AWAY, said, where) from error


@cache
def client_of(url: str, *, make: bool = False) -> Client:
    """The client for the run with that URL, one for each process.

    With `make`, the directory of a file URL is made.  Raises `MissingExtra`, `BadEndpoint`,
    `Refused`, and `FileNotFoundError` for a file URL without a directory.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError:
        raise MissingExtra(
            f"{url}: a run in a bucket needs the extra pbtnas[bucket]: pip install 'pbtnas[bucket]'"
        ) from None
    parts = urlsplit(url)
    if parts.scheme == "file":
        if not make and not Path(parts.path).is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)
        return Client(from_url(url, mkdir=True), url)
    check_endpoint(parts.scheme)
    try:
        store = from_url(
            url,
            client_options={
                "timeout": f"{TIMEOUT_S}s",
                "connect_timeout": f"{CONNECT_S}s",
                # What is given here takes the place of all that the environment says of it.
                "allow_http": http_allowed(),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_S)},
        )
    except BaseError as error:
        # As one without an account, which cannot even be described.
        raise Refused(f"{url}: {_sentence(error)}; docs/buckets.md tells what is needed") from error
    return Client(store, url)


def _found(meta: Any) -> Found:
    return Found(meta["path"], meta["size"], meta["last_modified"].timestamp())


def _sentence(error: Exception) -> str:
    """What obstore says, in one line: below it come the details of its own types.  Of a request
    that was answered, its address and the answer count; of the XML of an answer, its code and
    message."""
    said = " ".join(str(error).partition("\n\nDebug source")[0].split())
    head, _, xml = said.partition("<")
    if told := re.findall(r"<(?:Code|Message)>([^<]*)", f"<{xml}"):
        said = ": ".join((head.strip(" :"), *told))
    if asked := _REQUEST.search(said):
        said = f"{asked['request']}: {asked['answer']}"
    return said[:500].rstrip(". ")
