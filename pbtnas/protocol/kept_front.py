"""Keeps the checkpoints of the archive: members that no other dominates."""

from __future__ import annotations

from pbtnas.records.members import members_of
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, FrontMember, Manifest, Selected
from pbtnas.search.archive import Archive, Archived
from pbtnas.search.objectives import Objectives


class KeptFront:
    """Remembers the archive up to a generation, and where its checkpoints lie.

    Args:
        objectives: What members are ranked by; with a single objective nothing is kept.
    """

    def __init__(self, objectives: Objectives) -> None:
        self._objectives = objectives
        self._archive = Archive(objectives.archive)
        self._checkpoints: dict[Archived, Digest] = {}

    def add(self, manifest: Manifest, selected: Selected) -> set[int]:
        """Go on by a generation; returns the earlier ones of which a member left the archive."""
        if not self._objectives.several:
            return set()
        results = {result.member: result for result in selected.results}
        members = members_of(self._objectives, manifest.jobs, results)
        self._archive = self._archive.after(manifest.generation, members)
        kept: dict[Archived, Digest] = {}
        for archived in self._archive.kept:
            checkpoint = self._checkpoints.get(archived)
            if checkpoint is None:
                checkpoint = results[archived.member.number].checkpoint
            assert checkpoint is not None, "who has a score has a checkpoint"
            kept[archived] = checkpoint
        left = {archived.generation for archived in self._checkpoints.keys() - kept.keys()}
        self._checkpoints = kept
        return left

    def checkpoints(self) -> frozenset[Digest]:
        """Checkpoints of the archive."""
        return frozenset(self._checkpoints.values())

    def front(self) -> tuple[FrontMember, ...] | None:
        """The archive, the best in the first objective first; None with a single objective."""
        if not self._objectives.several:
            return None
        return tuple(map(self._front_member, self._archive.front()))

    def _front_member(self, archived: Archived) -> FrontMember:
        member = archived.member
        assert member.score is not None, "it is kept"
        champion = Champion(
            generation=archived.generation,
            member=member.number,
            score=member.score,
            architecture=member.architecture,
            checkpoint=self._checkpoints[archived],
        )
        return FrontMember(champion, self._objectives.values(member.objectives))
