"""The files of an export, whole and unchanged or refused.  No torch.

    config.json         what it is, see `exporting`; the digests of all other files, and its own
    model.safetensors   tensors by their names in the network
    search.yaml         the configuration of the search
    README.md           the model card
    state.safetensors   the member's whole checkpoint, if asked for
    ...                 products that the task needs, and pictures of the final evaluation

Equal contents give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pbtnas.checkpoints.one_pass import CorruptCheckpoint, UnreadableCheckpoint, read_bytes
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records.envelope import digest
from pbtnas.records.paths import safe
from pbtnas.regular_files import read_regular

FORMAT = "pbtnas-export/1"
CONFIG = "config.json"
MODEL = "model.safetensors"
SEARCH = "search.yaml"
CARD = "README.md"
STATE = "state.safetensors"

LIMIT = 1 << 30
"""The most bytes of a file of an export, but for those two of tensors, which say their size."""


class NotAnExport(PbtnasError):
    """A directory that is no export, or not as it was written; one sentence."""

    exit_code = ExitCode.USAGE


def is_export(directory: Path) -> bool:
    """Whether this directory calls itself an export; nothing is checked."""
    return (directory / CONFIG).is_file()


def read_config(directory: Path) -> dict[str, Any]:
    """What `config.json` says.  Raises `NotAnExport`."""
    path = directory / CONFIG
    try:
        config = json.loads(read_regular(path, limit=LIMIT, follow=True))
        own = config.pop("digest")
        found = config["format"]
    except OSError as error:
        raise NotAnExport(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NotAnExport(f"{path}: not the config of an export by pbtnas") from None
    if found != FORMAT:
        raise NotAnExport(f"{path}: has the format {found!r}, this pbtnas reads {FORMAT!r}")
    if digest(config) != own:
        raise NotAnExport(f"{path}: was changed since it was exported")
    checked: dict[str, Any] = config
    return checked


def read_file(directory: Path, config: Mapping[str, Any], name: str) -> bytes:
    """A file of an export, if it still has its digest.  Raises `NotAnExport`."""
    path, sha256 = directory / name, config["files"].get(name, "")
    try:
        if name in (MODEL, STATE):
            return read_bytes(path, sha256, algorithm="sha256", follow=True)
        data = read_regular(path, limit=LIMIT, follow=True)
    except UnreadableCheckpoint as error:
        raise NotAnExport(f"{path}: cannot be read: {error.found}") from error
    except CorruptCheckpoint as error:
        raise NotAnExport(f"{path}: was changed since it was exported") from error
    except OSError as error:
        raise NotAnExport(f"{path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise NotAnExport(f"{path}: was changed since it was exported")
    return data


def write(directory: Path, config: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write an export, in place of an older one if there is one.

    Args:
        directory: The directory, made if missing; it appears whole or not at all.
        config: The configuration without format, digests and list of files.
        files: All files but `config.json`, by name.

    Raises `NotAnExport`, and leaves everything as it is, when the directory has something else
    than an unchanged export; `OSError` when it cannot be written.
    """
    check_target(directory)
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    whole = {"format": FORMAT, **config, "files": listed}
    text = json.dumps({**whole, "digest": digest(whole)}, indent=2, allow_nan=False) + "\n"
    mark = secrets.token_hex(4)
    made = directory.with_name(f".{directory.name}.{mark}.new")
    old = directory.with_name(f".{directory.name}.{mark}.old")
    directory.parent.mkdir(parents=True, exist_ok=True)
    made.mkdir()
    try:
        for name, data in {**files, CONFIG: text.encode()}.items():
            _write_durably(made / safe(name), data)
        if directory.exists():
            directory.rename(old)
        made.rename(directory)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        if old.exists() and not directory.exists():
            old.rename(directory)
        raise
    if old.exists():
        shutil.rmtree(old)


def _write_durably(path: Path, data: bytes) -> None:
    """So that an older export is deleted only when there is a newer one."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def check_target(directory: Path) -> None:
    """Raise `NotAnExport` unless there is nothing, or an export that nobody has changed."""
    if not directory.exists():
        return
    if not directory.is_dir():
        raise NotAnExport(f"{directory}: is a file; give a new directory to export to")
    found = {path.name for path in directory.iterdir()}
    if not found:
        return
    if CONFIG not in found:
        raise NotAnExport(f"{directory}: holds {min(found)!r} and is no export; give a new one")
    config = read_config(directory)
    foreign = found - {CONFIG} - set(config["files"])
    if foreign:
        raise NotAnExport(
            f"{directory}: holds {min(foreign)!r}, which is not part of the export there; move it "
            "away, or give a new directory"
        )
    for name in config["files"]:
        read_file(directory, config, name)
