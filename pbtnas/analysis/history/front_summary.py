"""Sums up what a run with several objectives, or with bounds, has found so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pbtnas.analysis.history.generation import Generation
from pbtnas.records.schema import numbers
from pbtnas.search.archive import Archive, Archived
from pbtnas.search.fronts import Point
from pbtnas.search.objectives import Objectives
from pbtnas.search.population import Member, usable


@dataclass(frozen=True)
class FrontSummary:
    """The front of a run up to the last generation that was selected from.

    It grows only with the points that no member has dominated so far.

    Args:
        archive: Members that no other dominates; None before the first generation.
        best: Largest gain of each objective, of members within all bounds; () while nobody is.
        nearest: Value of each objective that is the least outside of its bounds; () likewise.
        first: Gains of the first generation that has members within the bounds.
    """

    archive: Archive | None = None
    best: Point = ()
    nearest: tuple[float, ...] = ()
    first: tuple[Point, ...] = ()

    def after(self, generation: Generation, objectives: Objectives) -> FrontSummary:
        """The same with the next generation; nothing where there is only the score."""
        if objectives.only_score:
            return self
        archive = self.archive or Archive(objectives.archive)
        members = generation.members(objectives)
        measured = [member for member in members if member.objectives]
        within = [member.objectives for member in measured if not member.outside]
        best = [max(column) for column in zip(*filter(None, (self.best, *within)), strict=True)]
        here = [m.objectives for m in measured if usable(m) and not m.outside]
        return FrontSummary(
            archive=archive.after(generation.number, members),
            best=tuple(best),
            nearest=self._nearest(generation, objectives, measured),
            first=self.first or tuple(here),
        )

    def _nearest(
        self, generation: Generation, objectives: Objectives, members: list[Member]
    ) -> tuple[float, ...]:
        results = [generation.results[member.number].result for member in members]
        told = [numbers(r.score, r.metrics) for r in results if r.score is not None]
        rows = [[values[objective.name] for objective in objectives.each] for values in told]
        columns = zip(*filter(None, (self.nearest, *rows)), strict=True)
        return tuple(
            min(column, key=objective.outside)
            for objective, column in zip(objectives.each, columns, strict=False)
        )

    def to_json(self) -> dict[str, Any] | None:
        """As JSON; of members only what the archive looks at."""
        if self.archive is None:
            return None
        return {
            "size": self.archive.size,
            "unbeaten": self.archive.unbeaten,
            "kept": [
                [kept.generation, kept.member.number, kept.member.objectives]
                for kept in self.archive.kept
            ],
            "best": self.best,
            "nearest": self.nearest,
            "first": self.first,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any] | None) -> FrontSummary:
        """What `to_json` made; without architectures and scores."""
        if data is None:
            return FrontSummary()
        kept = tuple(
            Archived(generation, Member(number, (), None, tuple(gains)))
            for generation, number, gains in data["kept"]
        )
        return FrontSummary(
            archive=Archive(data["size"], tuple(map(tuple, data["unbeaten"])), kept),
            best=tuple(data["best"]),
            nearest=tuple(data["nearest"]),
            first=tuple(map(tuple, data["first"])),
        )
