"""Keeps the members that no member of any generation so far dominates: the front of a run.

The archive after a generation is a function of the generations up to there, never stored.  It is
folded from one to the next, so that a member that was left out or thinned out never returns: its
checkpoint is garbage by then.  A coordinator that is some generations behind the others therefore
keeps whatever those still keep of what it knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pbtnas.search.fronts import Point, first_front, spread
from pbtnas.search.population import Member, usable


@dataclass(frozen=True)
class Archived:
    """A member as it was after a generation."""

    generation: int
    member: Member


@dataclass(frozen=True)
class Archive:
    """The archive after some generations.

    Args:
        size: Most members that are kept.
        unbeaten: Points of all members so far that no other dominates, thinned out or kept.
        kept: Members that are kept, by generation and number.
    """

    size: int
    unbeaten: tuple[Point, ...] = ()
    kept: tuple[Archived, ...] = ()

    def after(self, generation: int, members: Sequence[Member]) -> Archive:
        """The archive one generation later; it stays empty with a single objective.

        Members outside of the bounds take no part.  Of equal ones the earliest stays, and of
        too many those that `spread` places first.
        """
        fresh: dict[Point, Archived] = {}
        for member in sorted(members, key=lambda m: m.number):
            point = member.objectives
            if usable(member) and not member.outside and len(point) > 1:
                fresh.setdefault(point, Archived(generation, member))
        points = list(dict.fromkeys([*self.unbeaten, *fresh]))
        unbeaten = tuple(points[i] for i in first_front(points))
        left, known = set(unbeaten), set(self.unbeaten)
        kept = [
            *(old for old in self.kept if old.member.objectives in left),
            *(new for point, new in fresh.items() if point in left - known),
        ]
        if len(kept) > self.size:
            order = spread([archived.member.objectives for archived in kept])
            kept = [kept[i] for i in sorted(order[: self.size])]
        return Archive(self.size, unbeaten, tuple(kept))

    def front(self) -> tuple[Archived, ...]:
        """The members that are kept, the best in the first objective first."""
        return tuple(sorted(self.kept, key=lambda a: tuple(-gain for gain in a.member.objectives)))
