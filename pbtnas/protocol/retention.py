"""Decides which checkpoints are kept: those of the best-ever member; and which are garbage."""

from __future__ import annotations

from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Manifest, Selected


class Retention:
    """Remembers the best member so far, and which checkpoints are kept for it.

    What it holds and what a call costs is the same after a thousand generations as after one.
    """

    def __init__(self) -> None:
        self._best: Champion | None = None
        self._kin: frozenset[Digest] = frozenset()
        self._dethroned: set[int] = set()  # generations of champions, until they are collected

    def add(self, champion: Champion | None, manifest: Manifest, selected: Selected) -> None:
        """Record the best member of the next generation; None if nobody had a score."""
        best = self._best
        if champion is None or (best is not None and champion.score <= best.score):
            return
        if best is not None:
            self._dethroned.add(best.generation)
        self._best = champion
        self._kin = frozenset(
            result.checkpoint
            for job, result in zip(manifest.jobs, selected.results, strict=True)
            if result.checkpoint is not None and job.architecture == champion.architecture
        )

    def best(self) -> Champion | None:
        """The best-ever: the earliest of equals."""
        return self._best

    def retained(self) -> frozenset[Digest]:
        """Checkpoints that are never garbage: the best-ever's, and with it, so that a soup of
        them can be made after the search, those of the same architecture in its generation."""
        return self._kin

    def collectable(self, aged: range) -> list[int]:
        """Generations that may hold checkpoints nobody needs: those that have aged just now, and
        older ones whose champion was kept until a better one came.

        A generation is named at most twice: when it has aged, and when its champion is dethroned.
        """
        late = {generation for generation in self._dethroned if generation < aged.start}
        self._dethroned.clear()  # the younger ones are still to age
        return sorted(late | set(aged))
