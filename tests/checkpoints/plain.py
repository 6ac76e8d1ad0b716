"""Reading checkpoints whose digests nobody has written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pbtnas.checkpoints.digests import file_digest
from pbtnas.checkpoints.files import read_verified
from pbtnas.state import State

XXH = "xxh3-128"


def read(paths: Sequence[Path]) -> State:
    """A checkpoint, overlay before base, whatever its digests are."""
    digests = [file_digest(path, XXH) for path in paths]
    return read_verified(paths, digests, algorithm=XXH)
