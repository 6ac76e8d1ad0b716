"""Where members come from: their ancestors, read from selections only.

A selection has the results of its generation and the births into the next one, so that a hundred
generations are a hundred files.
"""

from __future__ import annotations

from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.run import History
from pbtnas.records import paths
from pbtnas.records.schema import Selected
from pbtnas.search.births import Birth
from pbtnas.search.space import Architecture


class Lives:
    """The lives of the members of one run; a selection is read when it is needed, and once."""

    def __init__(self, files: RecordFiles) -> None:
        self._files = files
        self._selected: dict[int, Selected | None] = {}

    def birth(self, generation: int, member: int) -> Birth | None:
        """How a member came into that generation; None if it was there before."""
        selected = self._selection(generation - 1) if generation else None
        births = () if selected is None else selected.births
        return next((birth for birth in births if birth.member == member), None)

    def latest_birth(self, generation: int, member: int) -> tuple[int, Birth] | None:
        """The birth of a member that was there in a generation, and the generation that it was
        born into; None if it was created in the first one."""
        for number in range(generation, 0, -1):
            birth = self.birth(number, member)
            if birth is not None:
                return number, birth
        return None

    def _selection(self, number: int) -> Selected | None:
        if number not in self._selected:
            record = self._files.read(paths.selection(number), "selection")
            found = None if record is None else Selected.from_json(record.core)
            self._selected[number] = found
        return self._selected[number]


def options_of(history: History, architecture: Architecture) -> dict[str, Any]:
    """The option of every variable by name; indices by position where the space is not recorded."""
    if history.space is None:
        return {str(i): index for i, index in enumerate(architecture)}
    return dict(history.space.decode(architecture))
