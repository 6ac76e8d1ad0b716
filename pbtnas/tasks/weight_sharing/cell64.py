"""The task `cell64`: networks of the space of 64, each with weights of its own.

Trained with the search that replaces nobody and one member an architecture, they are the ground
truth of shared weights.
"""

from __future__ import annotations

from pbtnas.tasks.weight_sharing.alone import AloneTask
from pbtnas.tasks.weight_sharing.options import Cell64Options


class Cell64Task(AloneTask):
    """Search the space of 64: three variables of four operations."""

    Options = Cell64Options

    def __init__(self, options: Cell64Options | None = None) -> None:
        super().__init__(options or Cell64Options())
