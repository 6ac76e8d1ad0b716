"""Says when somebody worked, from the times of files: hints, as clocks and disks may bend them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import ClaimHistory, Generation
from pbtnas.records import paths

Span = tuple[float, float]
"""From when until when, in seconds since the epoch."""


def merged(spans: Iterable[Span], gap_s: float) -> tuple[Span, ...]:
    """The same times in order, joined where no more than a gap lies between them."""
    joined: list[Span] = []
    for begin, end in sorted(spans):
        if joined and begin - joined[-1][1] <= gap_s:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return tuple(joined)


def spans_of(files: RecordFiles, generation: Generation) -> list[Span]:
    """When somebody worked for a generation: from each claim to its last sign of life, and when a
    result came."""
    results = (paths.result(generation.number, m, r.retry) for m, r in generation.results.items())
    came = [at for at in map(files.time, results) if at is not None]
    return spans_of_claims(files, generation.claims) + [(at, at) for at in came]


def spans_of_claims(files: RecordFiles, claims: Sequence[ClaimHistory]) -> list[Span]:
    """From each claim to its last sign of life."""
    spans = []
    for claim in claims:
        there = files.names(paths.directory_of(claim.slot))
        named = (make(claim.slot, claim.number) for make in (paths.claim, paths.beat, paths.end))
        times = [at for name in named if name in there and (at := files.time(name)) is not None]
        spans += [(min(times), max(times))] if times else []
    return spans
