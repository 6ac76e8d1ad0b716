"""Where a run in a bucket lies, and the directory that each machine keeps of it.

Every machine has a local directory for each run in a bucket.  It holds copies of checkpoints, what
its processes are writing, and a file that says which bucket the run lies in; so whoever is given
that directory finds the run.  All of it may be deleted at any time: nothing is lost but the work of
the processes that run there.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.regular_files import read_regular

MARKER = ".bucket.json"
CACHE, CACHE_GB = "PBTNAS_CACHE", "PBTNAS_CACHE_GB"
"""Variables with the directory of all local directories, and the size of one of them."""

AZURE = ("az", "azure", "adl", "abfs", "abfss")
SCHEMES = ("s3", "s3a", "gs", *AZURE, "file")
DEFAULT_GB = 20.0

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/{1,2}(?P<rest>.*)", re.DOTALL)
_LIMIT = 1 << 16  # bytes


class BadAddress(PbtnasError):
    """A URL that names no place for a run; one sentence."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Address:
    """Where a run in a bucket lies.

    Args:
        url: URL of the run, without a slash at its end.
        cache_gb: The most that the copies of checkpoints on this machine take, in GB.
    """

    url: str
    cache_gb: float = DEFAULT_GB


def is_url(text: str) -> bool:
    """Whether this is a URL and no path."""
    return _URL.fullmatch(text) is not None


def parse(url: str) -> tuple[str, ...]:
    """The scheme of a run's URL, then the bucket and each part of the path.

    Raises `BadAddress` where no run can be there.
    """
    found = _URL.fullmatch(url)
    if found is None or found["scheme"].lower() not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in ("s3", "gs", "az", "file"))
        told = (
            ""
            if found is None or found["scheme"].lower() != "memory"
            else ("; what lies in memory: ends with its process")
        )
        raise BadAddress(f"{url}: expected a directory, or a URL that begins with {known}{told}")
    parts = found["rest"].strip("/").split("/")
    if any(not part.strip(".") for part in parts) or re.search(r"[\s?#\\]", url):
        raise BadAddress(
            f"{url}: expected {found['scheme'].lower()}://BUCKET/PATH with neither blanks, '?', "
            "'#', '.' nor '..' as a part of it"
        )
    return (found["scheme"].lower(), *parts)


def local_directory(url: str) -> Path:
    """The directory of this machine for the run with that URL, made if it is missing.

    Raises `BadAddress`, also when it cannot be made.
    """
    scheme, *parts = parse(url)
    slash = "/" if scheme == "file" else ""
    cache_gb = _cache_gb()
    root = cache_directory().joinpath(scheme, *parts)
    try:
        _mark(root, Address(f"{scheme}://{slash}{'/'.join(parts)}", cache_gb))
    except OSError as error:
        raise BadAddress(
            f"{error.filename or root}: the copies of {url} cannot be kept here "
            f"({error.strerror}); --cache names another directory"
        ) from error
    return root


def cache_directory() -> Path:
    """Where this machine keeps its directories of runs in buckets."""
    given = os.environ.get(CACHE)
    if given:
        return Path(given).absolute()
    import platformdirs

    return platformdirs.user_cache_path("pbtnas") / "buckets"


def address_of(root: Path) -> Address | None:
    """Where the run of a local directory lies; None for an ordinary directory.

    Raises `OSError` when that cannot be found out.
    """
    try:
        told = json.loads(read_regular(root / MARKER, limit=_LIMIT))
        return Address(str(told["url"]), float(told["cache_gb"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise OSError(f"{root / MARKER}: damaged; delete it") from error


def shown(text: str, root: Path) -> str:
    """A sentence about a local directory as one about the bucket."""
    try:
        address = address_of(root)
    except OSError:
        return text
    return text if address is None else text.replace(str(root), address.url)


def keep_marked(root: Path, address: Address) -> None:
    """Make a local directory again, should somebody have deleted it.  Raises `OSError`."""
    if not (root / MARKER).exists():
        _mark(root, address)


def _mark(root: Path, address: Address) -> None:
    root.mkdir(parents=True, exist_ok=True)
    if address_of_or_none(root) == address:
        return
    private = root / f"{MARKER}-{os.urandom(4).hex()}"
    private.write_text(json.dumps({"url": address.url, "cache_gb": address.cache_gb}) + "\n")
    private.replace(root / MARKER)


def address_of_or_none(root: Path) -> Address | None:
    """The address that stands in a local directory; None where it cannot be read."""
    try:
        return address_of(root)
    except OSError:
        return None


def _cache_gb() -> float:
    given = os.environ.get(CACHE_GB)
    try:
        found = DEFAULT_GB if not given else float(given)
    except ValueError:
        found = -1.0
    if not 0 < found < 1e9:
        raise BadAddress(f"{CACHE_GB}: expected a number of GB above 0, not {given!r}")
    return found
