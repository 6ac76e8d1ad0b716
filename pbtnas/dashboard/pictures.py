"""Finds the pictures and films that final evaluations have left in a run."""

from __future__ import annotations

from pathlib import PurePosixPath

from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.store.reader import RunReader

MEDIA_TYPES = {
    ".gif": "image/gif",
    ".jpg": "image/jpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""What a page may show of a run directory: nothing that a browser would execute, as it would an
SVG or a report."""


def pictures_of(files: RunReader, checkpoint: Digest | None) -> list[str]:
    """Names in `artifacts/` of the pictures of the network with that checkpoint."""
    if checkpoint is None:
        return []
    beginning = paths.artifact_of(checkpoint, "").rpartition("/")[2]
    leaves = files.names(paths.ARTIFACTS)
    return sorted(leaf for leaf in leaves if leaf.startswith(beginning) and media_type(leaf))


def media_type(leaf: str) -> str | None:
    """What kind of picture a file is by its name; None if the page does not show it."""
    return MEDIA_TYPES.get(PurePosixPath(leaf).suffix.lower())


def picture(files: RunReader, leaf: str) -> bytes | None:
    """The content of a picture; None if there is none of that name.

    Raises `OSError` and `UnreadableRecord` as `RunReader.get` does.
    """
    try:
        name = paths.artifact(leaf)
    except ValueError:
        return None
    return files.get(name) if media_type(leaf) else None
