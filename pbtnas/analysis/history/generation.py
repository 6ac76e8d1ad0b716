"""Reads one generation from its records: jobs, results, attempts, ranking and births."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.records import paths
from pbtnas.records.envelope import Record
from pbtnas.records.members import is_usable, members_of
from pbtnas.records.names import Digest, Slot
from pbtnas.records.retries import last_try
from pbtnas.records.schema import Child, Extension, Job, Manifest, Result, Selected
from pbtnas.search.births import Birth
from pbtnas.search.objectives import Objectives
from pbtnas.search.population import Member
from pbtnas.search.space import Architecture


@dataclass(frozen=True)
class ResultWithMeta:
    """A result with its metadata.

    Args:
        result: Outcome itself.
        meta: Worker, attempt, train_s, evaluate_s, wall_s, device, torch, host; class and
            traceback of a failed one.  Any may be missing, and all are where only the
            selection's copy of the result is left.
        retry: Which retry of the job it is of; 0 if of none.
    """

    result: Result
    meta: Mapping[str, Any] = field(default_factory=dict)
    retry: int = 0


@dataclass(frozen=True)
class ClaimHistory:
    """A claim, and how it ended.

    Args:
        slot: Name of the slot, from `records.paths`; claim, beat and end lie beside it.
        number: Number from 1; a higher one takes over.
        holder: Holder's identity; empty if the claim cannot be read.
        end: Class, text, counted and worker, as its holder recorded them; None if it did not.
        ended: "result" if the result is its own, the class of its end (released, error, oom,
            ...), "superseded" if another attempt or result came, "open" if none of it: in
            work, or silent.
    """

    slot: Slot
    number: int
    holder: Mapping[str, Any]
    end: Mapping[str, Any] | None
    ended: str


@dataclass(frozen=True)
class Born:
    """How a slot of the next generation was filled.

    Args:
        birth: Birth as selection decided it.
        child: Checkpoint made from it; None while it is being mixed.
        origins: Origin of each tensor, as the mixing reported it.
    """

    birth: Birth
    child: Child | None = None
    origins: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TopMember:
    """The member with the highest score of a generation, or of several."""

    generation: int
    member: int
    score: float


@dataclass(frozen=True)
class Generation:
    """Everything recorded about one generation; mappings are by member.

    Args:
        number: Number from 0.
        jobs: Jobs of its manifest.
        results: Results known so far.
        attempts: Attempts at its jobs, by number.
        repairs: Attempts to compute a lost checkpoint again.
        ranking: Members, best first; empty until selection.
        births: Births that fill slots of the next generation.
        selection: Digest of its selection, which holds the chain of all before it; two runs
            agree up to here exactly if these are equal.  None until it is selected.
    """

    number: int
    jobs: Mapping[int, Job]
    results: Mapping[int, ResultWithMeta]
    attempts: Mapping[int, tuple[ClaimHistory, ...]]
    repairs: Mapping[int, tuple[ClaimHistory, ...]]
    ranking: tuple[int, ...]
    births: Mapping[int, Born]
    selection: Digest | None

    def architecture(self, member: int, before: Generation | None) -> Architecture | None:
        """What a member is, by its job or its birth in the generation before; None if unknown."""
        job = self.jobs.get(member)
        if job is not None:
            return job.architecture
        born = None if before is None else before.births.get(member)
        return None if born is None else born.birth.architecture

    @property
    def claims(self) -> list[ClaimHistory]:
        """The claims of all jobs, and of all repairs."""
        each = (*self.attempts.values(), *self.repairs.values())
        return [claim for attempts in each for claim in attempts]

    @property
    def best(self) -> TopMember | None:
        """The best of the results known so far; the lowest number of equals."""
        scores = {m: r.result.score for m, r in self.results.items() if r.result.score is not None}
        member = max(scores, key=lambda m: (scores[m], -m), default=None)
        return None if member is None else TopMember(self.number, member, scores[member])

    def is_hopeless(self, objectives: Objectives) -> bool:
        """Whether all members have a result, and none of them can be gone on from."""
        if not self.jobs or not self.jobs.keys() <= self.results.keys():
            return False
        return not any(is_usable(objectives, self.results[member].result) for member in self.jobs)

    def members(self, objectives: Objectives) -> list[Member]:
        """The members with a known job and result, as selection sees them."""
        results = {m: reported.result for m, reported in self.results.items()}
        known = [job for member, job in self.jobs.items() if member in results]
        return members_of(objectives, known, results)


def read_generation(
    files: RecordFiles, number: int, over: bool, earlier: Sequence[Generation]
) -> Generation:
    """One generation; `over` says that all its records must be there."""
    manifest = files.read(paths.manifest(number), "manifest", expected=True)
    jobs = Manifest.from_json(manifest.core).jobs if manifest is not None else ()
    record = files.read(paths.selection(number), "selection", expected=over)
    selected = Selected.from_json(record.core) if record is not None else None
    if selected is not None and selected.cancelled:
        record = selected = None  # nothing was selected from; it stays as it was left
    if selected is not None and not selected.births:
        extended = files.read(paths.extension(number), "extension")
        if extended is not None:
            selected = replace(selected, births=Extension.from_json(extended.core).births)
    members = _members(jobs, selected, earlier)
    results = _results(files, number, members, selected)
    return Generation(
        number=number,
        jobs={job.member: job for job in jobs},
        results=results,
        attempts={
            m: read_attempts(files, paths.job_slot(number, m), results.get(m)) for m in members
        },
        repairs={m: read_attempts(files, paths.repair_slot(number, m)) for m in members},
        ranking=selected.ranking if selected is not None else (),
        births=_births(files, selected, over) if selected is not None else {},
        selection=record.digest if record is not None else None,
    )


def _members(
    jobs: Sequence[Job], selected: Selected | None, earlier: Sequence[Generation]
) -> list[int]:
    """Members of a generation, even if its manifest is lost."""
    if jobs:
        return [job.member for job in jobs]
    if selected is not None:
        return [result.member for result in selected.results]
    return sorted(earlier[-1].results) if earlier else []


def _results(
    files: RecordFiles, number: int, members: Sequence[int], selected: Selected | None
) -> dict[int, ResultWithMeta]:
    """The results of a generation; where a record is lost, the copy in the selection.

    A failed member has none yet where an operator wants its job tried again.
    """
    results = {}
    asked = {} if selected is not None else files.steering.retries(number)
    for member in members:

        def read(retry: int, member: int = member) -> Record | None:
            return files.read(paths.result(number, member, retry), "result")

        if selected is None:
            record, retry = last_try(read)
        else:
            retry = selected.retried.get(member, 0)
            name = paths.result(number, member, retry)
            record = files.read(name, "result", expected=True)
        due = record is not None and record.core["outcome"] == "failed"
        if due and retry < asked.get(member, 0):
            continue
        if record is not None:
            results[member] = ResultWithMeta(Result.from_json(record.core), record.meta, retry)
        elif selected is not None:
            results[member] = ResultWithMeta(selected.result(member), retry=retry)
    return results


def _births(files: RecordFiles, selected: Selected, over: bool) -> dict[int, Born]:
    births = {}
    for birth in selected.births:
        name = paths.birth(selected.generation, birth.member)
        problems = len(files.problems)
        record = files.read(name, "birth")
        if record is None:
            lost = over and len(files.problems) == problems  # and not damaged, which is told
            if lost and _opened(files, selected.generation + 1):
                files.read(name, "birth", expected=True)
            births[birth.member] = Born(birth)
        else:
            origins = record.meta.get("origins", {})
            births[birth.member] = Born(birth, Child.from_json(record.core), origins)
    return births


def _opened(files: RecordFiles, number: int) -> bool:
    """Whether a generation has jobs, or had some: not where the run was cancelled before it."""
    manifest = files.read(paths.manifest(number), "manifest")
    return manifest is None or bool(manifest.core["jobs"])


def read_attempts(
    files: RecordFiles, slot: Slot, reported: ResultWithMeta | None = None
) -> tuple[ClaimHistory, ...]:
    """The claims of a slot.  A missing one is no problem: claims only save work."""
    names = files.names(paths.directory_of(slot))
    count = 0
    while not names.isdisjoint((paths.claim(slot, count + 1), paths.claim(slot, count + 2))):
        count += 1
    attempts = []
    for number in range(1, count + 1):
        claim = files.read(paths.claim(slot, number), "claim")
        name = paths.end(slot, number)
        end = files.read(name, "end") if name in names else None
        holder = claim.core["holder"] if claim is not None else {}
        core = end.core if end is not None else None
        ended = _ended(number, count, holder, core, reported)
        attempts.append(ClaimHistory(slot, number, holder, core, ended))
    return tuple(attempts)


def _ended(
    number: int,
    newest: int,
    holder: Mapping[str, Any],
    end: Mapping[str, Any] | None,
    reported: ResultWithMeta | None,
) -> str:
    if end is not None:
        return str(end["class"])
    if reported is not None:
        meta = reported.meta
        # A job that was given up has a result without a number of an attempt.
        own = meta.get("worker") == holder.get("worker") and meta.get("attempt", number) == number
        return "result" if own else "superseded"
    return "open" if number == newest else "superseded"
