"""Sums a run up, generation by generation, in a size that does not grow with their number.

Theory of operation.  Who looks at a run wants to know the best so far, what failed, and when
somebody worked: of all generations, of which hundreds may be over.  Each generation is therefore
added to a summary once, by `Summary.after`.  The coordinator writes the summary of the older
generations as a view, `summary.json`; who finds it there reads the records of the later ones only.

The view is made of records and of times of files, and nothing that decides an outcome reads it.
It holds the digest of the selection of its last generation, so that it is not taken for the
summary of another run or chain, and a digest of itself, so that a torn one is none.  Without it,
all records are read, to the same summary.  A generation is left out of the view until two more
are open: until then its checkpoints may be computed again, which adds claims to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pbtnas.analysis.history.account import Account, of_one
from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.front_summary import FrontSummary
from pbtnas.analysis.history.generation import Generation, TopMember
from pbtnas.analysis.history.spans import Span, merged, spans_of
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.records.schema import NO_FAILURE, last_line
from pbtnas.search.objectives import Objectives
from pbtnas.search.space import Architecture

LATEST = 2  # newest generations, to which there may still be additions
FAILED_KEPT = 100
DOUBTFUL_KEPT = 10
OPENED_KEPT = 7  # enough for the estimate of what is left


@dataclass(frozen=True)
class Failed:
    """A member recorded as failed."""

    generation: int
    member: int
    kind: str
    line: str  # the last one of its traceback


@dataclass(frozen=True)
class Summary:
    """The first generations of a run.

    Args:
        generations: How many they are.
        selection: Digest of the selection of the last one; None if it is lost or not made yet.
        best: Best member so far; the earliest of equals.
        architecture: What it is; None if no record tells.
        best_last: Best member of the last generation that was selected from.
        failures: Counts of failed attempts and diverged members, by class.
        failed: Members recorded as failed, the latest first, at most `FAILED_KEPT`.
        failed_in_all: How many they are in all.
        holders: Identities of who claimed something, by name.
        opened: Times at which the first and the last generations were opened, with None for those
            between, or where the time is unknown.
        active: When somebody worked, joined where less than a lease lies between.
        account: Member-steps so far.
        front: The front; empty where there is only the score.
        doubtful: The last generations of which records were damaged or missing.
    """

    generations: int = 0
    selection: Digest | None = None
    best: TopMember | None = None
    architecture: Architecture | None = None
    best_last: TopMember | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    failed: tuple[Failed, ...] = ()
    failed_in_all: int = 0
    holders: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    opened: tuple[float | None, ...] = ()
    active: tuple[Span, ...] = ()
    account: Account = Account()
    front: FrontSummary = FrontSummary()
    doubtful: tuple[int, ...] = ()

    def after(
        self,
        generation: Generation,
        before: Generation | None,
        *,
        files: RecordFiles,
        objectives: Objectives,
        lease_s: float,
        doubtful: bool = False,
    ) -> Summary:
        """The same with the next generation.

        Args:
            generation: Next generation; if it is in work, as far as it is known.
            before: The one before it; None for the first.
            files: Files of the run, for their times.
            objectives: What its members are ranked by.
            lease_s: Longest time without a sign of life that counts as work.
            doubtful: Whether records of it are damaged or missing.
        """
        failed = _failed(generation)
        opened = files.time(paths.manifest(generation.number))
        spans = spans_of(files, generation) + ([] if opened is None else [(opened, opened)])
        summed = replace(
            self,
            generations=generation.number + 1,
            selection=generation.selection,
            failures=dict(sorted((Counter(self.failures) + _failures(generation)).items())),
            failed=(*failed, *self.failed)[:FAILED_KEPT],
            failed_in_all=self.failed_in_all + len(failed),
            holders={
                **self.holders,
                **{str(claim.holder.get("worker")): claim.holder for claim in generation.claims},
            },
            opened=_shortened((*self.opened, opened)),
            active=merged((*self.active, *spans), lease_s),
            account=sum(
                (
                    of_one(job.epochs, generation.results[member].meta)
                    for member, job in generation.jobs.items()
                    if member in generation.results
                ),
                self.account,
            ),
            doubtful=(*self.doubtful, *([generation.number] if doubtful else []))[-DOUBTFUL_KEPT:],
        )
        best = generation.best
        if best is not None and (self.best is None or best.score > self.best.score):
            architecture = generation.architecture(best.member, before)
            summed = replace(summed, best=best, architecture=architecture)
        if generation.selection is not None:
            front = self.front.after(generation, objectives)
            summed = replace(summed, best_last=best, front=front)
        return summed


def _failures(generation: Generation) -> Counter[str]:
    ends = (str(claim.end["class"]) for claim in generation.claims if claim.end is not None)
    counts = Counter(end for end in ends if end not in NO_FAILURE)
    outcomes = [reported.result.outcome for reported in generation.results.values()]
    counts["diverged"] += outcomes.count("diverged")
    return counts


def _failed(generation: Generation) -> list[Failed]:
    failed = []
    for member, reported in sorted(generation.results.items()):
        if reported.result.outcome == "failed":
            kind = str(reported.meta.get("class", "?"))
            line = last_line(str(reported.meta.get("traceback", ""))) or "no message"
            failed.append(Failed(generation.number, member, kind, line))
    return failed


def _shortened(opened: tuple[float | None, ...]) -> tuple[float | None, ...]:
    """The first time and the last, so that no difference spans those left out."""
    if len(opened) <= OPENED_KEPT + 2:
        return opened
    return (opened[0], None, *opened[-OPENED_KEPT:])
