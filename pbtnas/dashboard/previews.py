"""Knows which members of which generations have a picture, with few directories read at a look."""

from __future__ import annotations

from pbtnas.records.pictures import suffix_of
from pbtnas.store.previews import STILL_ADDED, previews_of
from pbtnas.store.reader import RunReader

MEDIA_TYPES = {
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
}


class PreviewsSeen:
    """The members that have a picture, by generation, as of the last look."""

    def __init__(self) -> None:
        self._members: dict[int, list[int]] = {}
        self._changed: dict[int, int] = {}  # the look at which each generation was last another

    def look(self, files: RunReader, count: int, number: int) -> None:
        """List the generations that may have changed.

        Those are the newest ones, and the oldest with pictures, of which some may be deleted.

        Args:
            files: Files of the run.
            count: How many generations there are.
            number: Number of this look.
        """
        for gone in [g for g in self._members if g >= count]:
            del self._members[gone], self._changed[gone]
        new = max(0, min(len(self._members), count - 1 - STILL_ADDED))
        for generation in range(new, count):
            self._list(files, generation, number)
        for generation in [g for g in range(new) if self._members[g]]:
            if not self._list(files, generation, number):
                break  # later ones are deleted after it

    def _list(self, files: RunReader, generation: int, number: int) -> bool:
        """List one generation; whether that has changed anything."""
        found = sorted(previews_of(files, generation))
        if self._members.get(generation, []) == found:
            self._members[generation] = found
            self._changed.setdefault(generation, 0)
            return False
        self._members[generation] = found
        self._changed[generation] = number
        return True

    def since(self, number: int) -> dict[int, list[int]]:
        """The members with a picture of each generation that changed after that look."""
        return {g: self._members[g] for g, look in self._changed.items() if look > number}


def preview(files: RunReader, generation: int, member: int) -> tuple[bytes, str] | None:
    """A picture and its media type; None if there is none that a page shows.

    Raises `OSError` and `UnreadableRecord` as `RunReader.get` does.
    """
    name = previews_of(files, generation).get(member)
    content = None if name is None else files.get(name)
    suffix = None if content is None else suffix_of(content)
    if content is None or suffix is None:
        return None
    return content, MEDIA_TYPES[suffix]
