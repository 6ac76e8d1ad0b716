"""Decides which checkpoints are kept, those of the best-ever member and of the front; and which
are garbage."""

from __future__ import annotations

from collections.abc import Collection

from pbtnas.protocol.kept_front import KeptFront
from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, FrontMember, Manifest, Selected
from pbtnas.search.objectives import BY_SCORE, Objectives
from pbtnas.search.space import Architecture


class Retention:
    """Remembers the best members so far, and which checkpoints are kept for them.

    What it holds and what a call costs is the same after a thousand generations as after one, but
    with several objectives for the points that nobody has dominated.

    Args:
        objectives: What members are ranked by; without several there is no front.
        ladders: Indices of the variables whose rungs do not count among a soup's candidates.
    """

    def __init__(self, objectives: Objectives = BY_SCORE, ladders: Collection[int] = ()) -> None:
        self._ladders = frozenset(ladders)
        self._front = KeptFront(objectives)
        self._best: Champion | None = None
        self._kin: frozenset[Digest] = frozenset()
        # Generations of champions, and of members that left the front, until they are collected.
        self._dethroned: set[int] = set()

    def add(self, champion: Champion | None, manifest: Manifest, selected: Selected) -> None:
        """Record the best member of the next generation; None if nobody had a score."""
        self._dethroned |= self._front.add(manifest, selected)
        best = self._best
        if champion is None or (best is not None and champion.score <= best.score):
            return
        if best is not None:
            self._dethroned.add(best.generation)
        self._best = champion
        self._kin = frozenset(
            result.checkpoint
            for job, result in zip(manifest.jobs, selected.results, strict=True)
            if result.checkpoint is not None
            and self._network(job.architecture) == self._network(champion.architecture)
        )

    def best(self) -> Champion | None:
        """The best-ever: the earliest of equals."""
        return self._best

    def front(self) -> tuple[FrontMember, ...] | None:
        """What no member up to now dominates, the best in the first objective first; None with a
        single objective."""
        return self._front.front()

    def named(self) -> list[Champion]:
        """The members that the end of the run would name by now: the best-ever, and the front."""
        front = [member.champion for member in self.front() or ()]
        return list(dict.fromkeys([*filter(None, (self._best,)), *front]))

    def retained(self) -> frozenset[Digest]:
        """Checkpoints that are never garbage: those of the front, the best-ever's, and with that,
        so that a soup of them can be made after the search, those of the same network in its
        generation, whatever the rungs of their ladders."""
        return self._kin | self._front.checkpoints()

    def _network(self, architecture: Architecture) -> Architecture:
        return tuple(option for i, option in enumerate(architecture) if i not in self._ladders)

    def collectable(self, aged: range) -> list[int]:
        """Generations that may hold checkpoints nobody needs: those that have aged just now, and
        older ones whose champion was kept until a better one came, or whose member has left the
        front.

        A generation is named when it has aged, and then again only when it has lost one of these.
        """
        late = {generation for generation in self._dethroned if generation < aged.start}
        self._dethroned.clear()  # the younger ones are still to age
        return sorted(late | set(aged))
