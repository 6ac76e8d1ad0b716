"""What a run has found in several objectives, generation by generation.

Runs that were selected by one number can be measured by the objectives of those beside them:
their results have the metrics, whether or not anything was decided by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pbtnas.analysis.fronts.hypervolume import Point, hypervolume
from pbtnas.analysis.history.run import Generation, History
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records.members import members_of
from pbtnas.records.schema import Result
from pbtnas.search.archive import Archive
from pbtnas.search.objectives import Objectives
from pbtnas.search.population import Member, usable


class BadReference(PbtnasError):
    """A reference point that is none for these objectives, or that members do not dominate."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Measured:
    """A run in the objectives that it is looked at by.  G generations are selected, K objectives.

    Args:
        run: Name of the run in messages.
        objectives: Objectives, and the size of the archive.
        everyone: [G] gains of all members within the bounds.
        archives: [G] archive after each generation.
        reported: Whether any member has a score and all objectives, within the bounds or not.
    """

    run: str
    objectives: Objectives
    everyone: tuple[tuple[Point, ...], ...]
    archives: tuple[Archive, ...]
    reported: bool

    @property
    def kept(self) -> list[Point]:
        """Gains of the archive, the best in the first objective first."""
        front = self.archives[-1].front() if self.archives else ()
        return [archived.member.objectives for archived in front]

    @property
    def unbeaten(self) -> tuple[Point, ...]:
        """Gains of all members that no other dominates, thinned out of the archive or not."""
        return self.archives[-1].unbeaten if self.archives else ()

    def volumes(self, reference: Point) -> list[float]:
        """[G] hypervolume of all members up to each generation.

        Early members that do not dominate the reference point add nothing.
        """
        return [hypervolume(archive.unbeaten, reference) for archive in self.archives]

    def values(self, gains: Point) -> Point:
        """Gains as the objectives report them."""
        return tuple(self.objectives.values(gains).values())


def measured(history: History, objectives: Objectives | None = None) -> Measured:
    """A run by its own objectives, or by those given."""
    objectives = objectives or history.objectives
    archive, archives, everyone, reported = Archive(objectives.archive), [], [], False
    for generation in history.generations:
        if generation.selection is None:
            break
        members = _members(generation, objectives)
        archive = archive.after(generation.number, members)
        archives.append(archive)
        within = (m.objectives for m in members if usable(m) and m.objectives and not m.outside)
        everyone.append(tuple(within))
        reported |= any(usable(m) and m.objectives for m in members)
    return Measured(history.root.name, objectives, tuple(everyone), tuple(archives), reported)


def reference_point(text: str, objectives: Objectives) -> Point:
    """The gains of a reference point that is given as the values of all objectives, "0.5,20000".

    Raises `BadReference`.
    """
    names = " and ".join(objective.name for objective in objectives.each)
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) != len(objectives.each) or not all(map(math.isfinite, values)):
        raise BadReference(
            f"--reference-point: expected {len(objectives.each)} numbers with commas between "
            f"them, of {names}, not {text!r}"
        )
    turned = zip(objectives.each, values, strict=True)
    return tuple(objective.gain(value) for objective, value in turned)


def check_several(history: History, text: str | None) -> None:
    """Raise `BadReference` where a point is given for a run of one objective."""
    if text is not None and not history.objectives.several:
        raise BadReference(
            f"--reference-point: {history.root} has a single objective, "
            f"{history.objectives.each[0]}, so there is no hypervolume"
        )


def check_reference(reference: Point, runs: Sequence[Measured]) -> None:
    """Raise `BadReference` where a member that no other dominates does not dominate the point:
    it would not count, and nobody would notice."""
    for run in runs:
        for gains in run.unbeaten:
            for objective, gain, least in zip(run.objectives.each, gains, reference, strict=True):
                if gain <= least:
                    raise BadReference(
                        f"--reference-point: a member of run {run.run} that no other dominates "
                        f"has {objective.name} {objective.gain(gain):.6g}, expected "
                        f"{'above' if objective.direction == 'larger' else 'below'} "
                        f"{objective.gain(least):.6g}; give a point that all of them dominate"
                    )


@dataclass(frozen=True)
class FrontVolume:
    """The hypervolume of a single run, and against what."""

    volume: float
    reference: Point
    against: str


def front_volume(run: Measured, text: str | None = None) -> FrontVolume:
    """The hypervolume of a run that has a member within the bounds, against the point given, or
    against the worst that it began with.

    That is the worst of each objective in the first generation with such members: enough to see a
    run grow, but of no use for comparing two.  Raises `BadReference`.
    """
    if text is not None:
        reference = reference_point(text, run.objectives)
        check_reference(reference, [run])
        against = in_words(run, reference)
    else:
        first = next(filter(None, run.everyone))
        reference = tuple(min(column) for column in zip(*first, strict=True))
        against = f"{in_words(run, reference)}, the worst that it began with"
    return FrontVolume(hypervolume(run.unbeaten, reference), reference, against)


def in_words(run: Measured, point: Point) -> str:
    """A point by the names of the objectives: "score 0.5, parameters 20000"."""
    values = run.objectives.values(point)
    return ", ".join(f"{name} {value:.6g}" for name, value in values.items())


def _members(generation: Generation, objectives: Objectives) -> list[Member]:
    known = {member: _result(generation, member) for member in generation.results}
    jobs = [job for member, job in generation.jobs.items() if member in known]
    return members_of(objectives, jobs, known)


def _result(generation: Generation, member: int) -> Result:
    """A result with the number of parameters, which all runs record, among its metrics."""
    reported = generation.results[member]
    counted = reported.meta.get("parameters")
    if counted is None or "parameters" in reported.result.metrics:
        return reported.result
    metrics = {**reported.result.metrics, "parameters": float(counted)}
    return replace(reported.result, metrics=metrics)
