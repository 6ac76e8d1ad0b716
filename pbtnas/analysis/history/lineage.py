"""Who descends from whom: the members of a run as a plain graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pbtnas.analysis.history.member_steps import MemberStep

Place = tuple[int, int]
"""A member in a generation: (generation, slot)."""


@dataclass(frozen=True)
class Descent:
    """One edge: a member in a generation, and what it comes from in the generation before.

    Args:
        parent: Place of the parent.
        child: Place of the child.
        role: Role of the parent: itself (it was trained further), base or donor.
        inherited: Names of the variables that the child has from a donor.
    """

    parent: Place
    child: Place
    role: Literal["itself", "base", "donor"]
    inherited: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lineage:
    """The members of a run, and who comes from whom.

    Args:
        nodes: Members by place.
        edges: Edges, by the place of the child.
    """

    nodes: Mapping[Place, MemberStep]
    edges: tuple[Descent, ...]

    def __repr__(self) -> str:
        """How many there are: all of them would fill pages of a notebook."""
        return f"<Lineage: {len(self.nodes)} nodes, {len(self.edges)} edges>"

    def ancestors(self, generation: int, member: int) -> list[MemberStep]:
        """A member and those it goes on from, through bases, back to generation 0, oldest first.

        Raises `KeyError` for a member that has no result.
        """
        place: Place | None = (generation, member)
        found = []
        while place is not None:
            found.append(self.nodes[place])
            place = self._bases.get(place)
        return found[::-1]

    @cached_property
    def _bases(self) -> Mapping[Place, Place]:
        return {edge.child: edge.parent for edge in self.edges if edge.role != "donor"}


def lineage_of(steps: Sequence[MemberStep]) -> Lineage:
    """The graph of members that have a result, as `member_steps` lists them."""
    nodes = {(step.generation, step.member): step for step in steps}
    edges = [edge for step in steps for edge in _descent(step) if edge.parent in nodes]
    return Lineage(nodes, tuple(edges))


def _descent(step: MemberStep) -> list[Descent]:
    child = (step.generation, step.member)
    before = step.generation - 1
    if step.base is None or step.donor is None:
        return [Descent((before, step.member), child, "itself")]
    return [
        Descent((before, step.base), child, "base"),
        Descent((before, step.donor), child, "donor", step.inherited),
    ]
