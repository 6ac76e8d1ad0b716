"""Decides which checkpoints are kept: those of the best-ever member; and which are garbage."""

from __future__ import annotations

from pbtnas.records.names import Digest
from pbtnas.records.schema import Champion, Manifest, Selected


class Retention:
    """Remembers the best member of each generation, and which checkpoints are kept for it."""

    def __init__(self) -> None:
        self._by_generation: dict[int, Champion] = {}
        self._kin: dict[int, frozenset[Digest]] = {}

    def add(self, champion: Champion | None, manifest: Manifest, selected: Selected) -> None:
        """Record the best member of a generation; None if nobody had a score."""
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

    def retained(self) -> frozenset[Digest]:
        """Checkpoints that are never garbage: the best-ever's, and with it, so that a soup of
        them can be made after the search, those of the same architecture in its generation."""
        best = self.best()
        return frozenset() if best is None else self._kin[best.generation]

    def collectable(self, aged: range) -> list[int]:
        """Generations that may hold checkpoints nobody needs: those that have aged just now,
        and older ones whose champion was kept until a better one came."""
        retained = {champion.generation for champion in self._holders()[:-1]}
        return sorted({g for g in retained if g < aged.stop} | set(aged))

    def _holders(self) -> list[Champion]:
        """Every champion that was the best-ever when its generation ended, in their order."""
        holders: list[Champion] = []
        for _, champion in sorted(self._by_generation.items()):
            if not holders or champion.score > holders[-1].score:
                holders.append(champion)
        return holders
