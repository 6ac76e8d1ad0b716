"""Keeps pictures that members give with their scores: by generation, as long as there is room.

They are for people.  No outcome rests on them, and none of them is needed for anything.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.records.pictures import suffix_of
from pbtnas.store.opening import Store
from pbtnas.store.reader import RunReader

log = logging.getLogger("pbtnas")

STILL_ADDED = 2  # generations before the newest in which a picture may come yet, or again


def keep_preview(store: Store, generation: int, member: int, data: bytes) -> None:
    """Keep the picture of a member; one that cannot be written is told in the log, and missing."""
    suffix = suffix_of(data)
    assert suffix is not None, "checked before"
    name = paths.preview(generation, member, suffix)
    try:
        store.make(paths.previews(generation))
        store.replace(name, data)
    except OSError as error:
        log.warning("%s/%s: not kept: %s", store.place, name, error.strerror)


def previews_of(files: RunReader, generation: int) -> dict[int, Name]:
    """Names of the pictures of a generation, by member."""
    directory = paths.previews(generation)
    found: dict[int, Name] = {}
    for leaf in sorted(files.names(directory)):
        member = paths.member_number(leaf)
        if member is not None:
            found.setdefault(member, paths.within(directory, leaf))
    return found


def preview_of(files: RunReader, generation: int, member: int) -> Path | None:
    """The picture of a member in a generation, if there is one."""
    name = previews_of(files, generation).get(member)
    return None if name is None else files.fetch(name)


class PreviewRoom:
    """Sees to it that the pictures of a run take no more room than they may.

    It looks through all generations once, and then only where there may be new pictures.

    Args:
        store: Run directory.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sizes: dict[int, int] = {}  # bytes by generation

    def trim(self, most_bytes: float) -> None:
        """Delete pictures of the oldest generations until the others have room.

        Raises `OSError` where one cannot be deleted.
        """
        settled = max(self._sizes, default=0) - STILL_ADDED
        for name in self._store.names(paths.GENERATIONS):
            if name.isdecimal() and int(name) >= settled:
                self._sizes[int(name)] = sum(size for _, size in self._pictures(int(name)))
        excess = sum(self._sizes.values()) - most_bytes
        for generation in sorted(self._sizes):
            if excess <= 0:
                break
            for name, size in self._pictures(generation):
                if excess > 0:
                    self._store.delete(name)
                    self._sizes[generation] -= size
                    excess -= size

    def _pictures(self, generation: int) -> list[tuple[Name, int]]:
        directory = paths.previews(generation)
        leaves = sorted(self._store.names(directory))
        found = [paths.within(directory, n) for n in leaves if not n.startswith(paths.PRIVATE)]
        return [(name, self._store.size(name)) for name in found]
