"""Decides which checkpoints are kept: those of the best-ever member and of the archive; and which
are garbage."""

from __future__ import annotations

from pbtnas.records.members import members_of
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, FrontMember, Manifest, Selected
from pbtnas.search.archive import Archive, Archived
from pbtnas.search.objectives import BY_SCORE, Objectives


class Retention:
    """Remembers the best member of each generation, and which checkpoints are kept for it."""

    def __init__(self, objectives: Objectives = BY_SCORE) -> None:
        self._objectives = objectives
        self._archive = Archive(objectives.archive)
        self._checkpoints: dict[Archived, Digest] = {}  # of the archive
        self._left: set[int] = set()  # generations whose members left the archive, until collected
        self._by_generation: dict[int, Champion] = {}
        self._kin: dict[int, frozenset[Digest]] = {}

    def add(self, champion: Champion | None, manifest: Manifest, selected: Selected) -> None:
        """Record the best member of a generation; None if nobody had a score."""
        self._keep_front(manifest, selected)
        if champion is not None:
            self._by_generation[champion.generation] = champion
            self._kin[champion.generation] = frozenset(
                result.checkpoint
                for job, result in zip(manifest.jobs, selected.results, strict=True)
                if result.checkpoint is not None and job.architecture == champion.architecture
            )

    def best(self) -> Champion | None:
        """The best-ever: the earliest of equals."""
        holders = self._holders()
        return holders[-1] if holders else None

    def front(self) -> tuple[FrontMember, ...] | None:
        """The archive, the best in the first objective first; None with a single objective."""
        if not self._objectives.several:
            return None
        return tuple(
            FrontMember(self._champion(a), self._objectives.values(a.member.objectives))
            for a in self._archive.front()
        )

    def named(self) -> list[Champion]:
        """All members that the end of the run names by now: the best-ever, and the front."""
        best = self.best()
        of_front = [self._champion(archived) for archived in self._archive.front()]
        return list(dict.fromkeys([*([best] if best is not None else []), *of_front]))

    def retained(self) -> frozenset[Digest]:
        """Checkpoints that are never garbage: those of the archive and the best-ever's, and with
        it, so that a soup of them can be made after the search, those of the same architecture in
        its generation."""
        best = self.best()
        kin = frozenset() if best is None else self._kin[best.generation]
        return kin | frozenset(self._checkpoints.values())

    def collectable(self, aged: range) -> list[int]:
        """Generations that may hold checkpoints nobody needs: those that have aged just now,
        and older ones whose champion was kept until a better one came, or whose members left the
        archive."""
        retained = {champion.generation for champion in self._holders()[:-1]} | self._left
        self._left.clear()  # the younger ones are still to age
        return sorted({g for g in retained if g < aged.stop} | set(aged))

    def _keep_front(self, manifest: Manifest, selected: Selected) -> None:
        generation, results = manifest.generation, {r.member: r for r in selected.results}
        members = members_of(self._objectives, manifest.jobs, results)
        self._archive = self._archive.after(generation, members)
        kept: dict[Archived, Digest] = {}
        for archived in self._archive.kept:
            known = self._checkpoints.get(archived)
            if known is None:
                known = results[archived.member.number].checkpoint
            assert known is not None, "who has a score has a checkpoint"
            kept[archived] = known
        self._left |= {archived.generation for archived in self._checkpoints.keys() - kept.keys()}
        self._checkpoints = kept

    def _champion(self, archived: Archived) -> Champion:
        member = archived.member
        assert member.score is not None, "it is kept"
        return Champion(
            generation=archived.generation,
            member=member.number,
            score=member.score,
            architecture=member.architecture,
            checkpoint=self._checkpoints[archived],
        )

    def _holders(self) -> list[Champion]:
        """Every champion that was the best-ever when its generation ended, in their order."""
        holders: list[Champion] = []
        for _, champion in sorted(self._by_generation.items()):
            if not holders or champion.score > holders[-1].score:
                holders.append(champion)
        return holders
