"""Decides the selection of a generation that has none: from its results and what operators ask.

Should it be lost, it is decided as it was: the records that rest on it hold its digest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product

from pbtnas.protocol import generations
from pbtnas.protocol.generations import Search
from pbtnas.protocol.operations import Steps
from pbtnas.protocol.reading import read
from pbtnas.records import paths
from pbtnas.records.causes import cause
from pbtnas.records.controls import Steering
from pbtnas.records.envelope import Record
from pbtnas.records.names import Digest
from pbtnas.records.schema import CANCELLED, Manifest, Result, Selected
from pbtnas.search.algorithms import NoParentsError


@dataclass
class Collected:
    """The results of a generation, by member.

    Args:
        records: Their records; some are missing where the run is cancelled.
        retried: Which retry of its job the result of a member is of, where it is of one.
    """

    records: dict[int, Record] = field(default_factory=dict)
    retried: dict[int, int] = field(default_factory=dict)

    def add(self, member: int, record: Record, retry: int) -> None:
        self.records[member] = record
        if retry:
            self.retried[member] = retry

    def is_due(self, asked: Mapping[int, int]) -> bool:
        """Whether a member has failed that is to be tried again."""
        return any(
            asked.get(member, 0) > self.retried.get(member, 0)
            and record.core["outcome"] == "failed"
            for member, record in self.records.items()
        )

    def results(self) -> dict[int, Result]:
        return {number: Result.from_json(r.core) for number, r in self.records.items()}


def selected_from(
    search: Search, manifest: Manifest, collected: Collected, steering: Steering
) -> Selected:
    """The selection.  Raises what `generations.select` raises, unless the run is cancelled."""
    if len(collected.records) < len(manifest.jobs) or not manifest.jobs:
        return generations.cancelled(manifest)
    generation, results = manifest.generation, collected.results()
    stops = steering.stops(generation) and not search.last(generation)
    causes = {n: cause(result, collected.records[n].meta) for n, result in results.items()}
    retried = collected.retried
    try:
        return generations.select(
            search, manifest, results, causes, ended="stop" if stops else "", retried=retried
        )
    except NoParentsError:
        if steering.cancelled:
            return generations.cancelled(manifest)
        raise


def rests_on_it(run: str, generation: int, extensions: int) -> Steps[Digest | None]:
    """The digest of a generation's selection, or the fingerprint that it gives, as a record says
    that rests on it; None if there is no such record."""
    extension = yield from read(paths.extension(generation), "extension", run)
    if extension is not None:
        return Digest(extension.core["selection"])
    following = yield from read(paths.manifest(generation + 1), "manifest", run)
    if following is not None:
        return Digest(following.core["previous"])
    final = yield from read(paths.final(extensions), "final", run)
    if final is None:
        return None
    last = final.core["generations"] - (final.core.get("ended") != CANCELLED)
    return Digest(final.core["fingerprint"]) if last == generation else None


def as_it_was(
    search: Search, manifest: Manifest, collected: Collected, known: Digest
) -> Selected | None:
    """The selection on which a record rests; None if it cannot be had from these results."""
    for selected in _possible(search, manifest, collected):
        own = Record("selection", "", selected.to_json()).digest
        if known in (own, generations.fingerprint(selected)):
            return selected
    return None


def _possible(search: Search, manifest: Manifest, collected: Collected) -> Iterator[Selected]:
    """The selections that the generation may have had, by what operators may have asked."""
    yield generations.cancelled(manifest)
    if len(collected.records) < len(manifest.jobs):
        return
    members = list(collected.retried)
    last = collected.results()
    for retries in product(*(range(retry + 1) for retry in collected.retried.values())):
        retried = dict(zip(members, retries, strict=True))
        earlier = [m for m, retry in retried.items() if retry < collected.retried[m]]
        results = last | {m: Result(m, "failed", None, {}, None) for m in earlier}
        for ended in ("", "stop"):
            with suppress(NoParentsError):
                yield generations.select(search, manifest, results, ended=ended, retried=retried)
