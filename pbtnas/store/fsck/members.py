"""Examines what members leave: results, births, checkpoints, snapshots and claims."""

from __future__ import annotations

import re
from collections import defaultdict

from pbtnas.records import paths
from pbtnas.records.envelope import Record, encode
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.kinds import Role
from pbtnas.records.names import Digest, Name, Slot
from pbtnas.records.schema import Child, Manifest, Result
from pbtnas.store.fsck.chain import AGAIN, Chain, parsed
from pbtnas.store.fsck.examination import Examination, Fault
from pbtnas.store.identity import new_nonce

WHEN_NEEDED = "computed again when it is needed"
ATTEMPT = re.compile(r"(.+)\.(\d{3,})\.(json|beat|end\.json)")


def examine_results(x: Examination, chain: Chain) -> dict[tuple[int, int], Result]:
    """Examine the results, and return those that are known, by generation and member."""
    known: dict[tuple[int, int], Result] = {}
    retries: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for name in x.of(paths.result(12, 7, 1)):
        retries[_numbers(name)].append(int(name.removesuffix(".json").rpartition(".")[2]))
    for generation, manifest in chain.manifests.items():
        selected = chain.selections.get(generation)
        for job in manifest.jobs:
            copy = None
            if selected is not None and not selected.cancelled:
                copy = selected.result(job.member)
            tried = retries[generation, job.member]
            result = _results(x, chain, generation, job.member, copy, tried)
            if result is not None:
                known[generation, job.member] = result
    for name in [*x.of(paths.result(12, 7)), *x.of(paths.result(12, 7, 1))]:
        generation, member = _numbers(name)
        if generation in chain.manifests and not _has(chain.manifests[generation], member):
            x.damaged(name, f"{paths.manifest(generation)} has no such member")
    return known


def _results(
    x: Examination,
    chain: Chain,
    generation: int,
    member: int,
    copy: Result | None,
    tried: list[int],
) -> Result | None:
    """Examine a member's result and those of the retries of its job; return the one that counts.

    A retry follows a job that has failed, so that what was before it can be restored.
    """
    selected = chain.selections.get(generation)
    last = max(tried, default=0) if selected is None else selected.retried.get(member, 0)
    found = None
    for retry in sorted({*tried, *range(last + 1)}):
        own = copy if retry == last else None
        if retry < last:
            own = Result(member, "failed", None, {}, None)
        result = _result(x, chain, generation, member, own, retry)
        found = result if retry == last else found
    return found


def _result(
    x: Examination,
    chain: Chain,
    generation: int,
    member: int,
    copy: Result | None,
    retry: int,
) -> Result | None:
    name = paths.result(generation, member, retry)
    over = (generation < chain.newest or chain.over) and generation != chain.cancelled
    remedy = "the job will be done again"
    if copy is not None:
        remedy = "restored from the selection"
    elif over:
        remedy = f"with {paths.selection(generation)} lost too, nobody can restore it"
    restored = None if copy is None else _restored(x, name, "result", copy)
    record = x.record(name, "result", remedy)
    result = parsed(x, name, record, Result.from_json, remedy)
    if copy is not None and restored is not None:
        if result is None and not x.there(name):
            x.missing(name, remedy, restored)
        elif result is None or x.at_fault(name):
            x.restore(name, restored)
        elif result.to_json() != copy.to_json():
            x.damaged(name, "not the result that was selected on; restored", restored)
        return copy
    if result is not None and result.member != member:
        x.damaged(name, f"of member {result.member}; {remedy}")
        return None
    if result is None and over:
        if not x.there(name):
            x.missing(name, remedy)
        if x.at_fault(paths.selection(generation)):
            x.beyond(paths.selection(generation), f"cannot be decided again without {name}")
    return result


def examine_births(x: Examination, chain: Chain) -> None:
    """Examine the births.  What a child was made of, the next manifest says too."""
    for generation, selected in chain.selections.items():
        after = chain.manifests.get(generation + 1)
        if after is not None and x.at_fault(paths.manifest(generation + 1)):
            after = None
        for birth in selected.births:
            name = paths.birth(generation, birth.member)
            copy = None
            if after is not None and _has(after, birth.member):
                copy = Child(birth.member, *after.job(birth.member).inputs)
            remedy = AGAIN if copy is None else "restored from the next manifest"
            record = x.record(name, "birth", remedy)
            child = parsed(x, name, record, Child.from_json, remedy)
            restored = None if copy is None else _restored(x, name, "birth", copy)
            right = copy.base if copy is not None else selected.result(birth.base).checkpoint
            if child is None and x.there(name) and restored is not None:
                x.restore(name, restored)
            elif child is None and not x.there(name) and restored is not None:
                x.missing(name, remedy, restored)
            elif child is not None and (
                (child.member, child.base) != (birth.member, right) or copy not in (None, child)
            ):
                x.damaged(name, f"not the child that was to be born; {remedy}", restored)
    for name in x.of(paths.birth(12, 7)):
        generation, member = _numbers(name)
        known = generation in chain.selections and (
            generation in chain.extensions or not x.there(paths.extension(generation))
        )
        births = chain.selections[generation].births if known else None
        if births is not None and all(birth.member != member for birth in births):
            x.damaged(name, f"{paths.selection(generation)} has no such birth")


def _restored(x: Examination, name: Name, kind: str, copy: Result | Child) -> bytes:
    run = x.run or ""
    return encode(Record(kind, run, copy.to_json(), {"restored": True}, new_nonce()), name)


def _numbers(name: Name) -> tuple[int, int]:
    """Generation and member in the name of a result or a birth."""
    parts = name.split("/")
    return int(parts[1]), int(re.split(r"[.-]", parts[-1])[0][1:])


def _has(manifest: Manifest, member: int) -> bool:
    return any(job.member == member for job in manifest.jobs)


# -- weights -----------------------------------------------------------------------------------


def examine_weights(
    x: Examination, chain: Chain, results: dict[tuple[int, int], Result], algorithm: str
) -> None:
    """Examine checkpoints and snapshots; note the checkpoints that should be there."""
    for name in x.of(paths.checkpoint(12, Digest("DIGEST"))):
        x.check_digest(name, _stem(name), algorithm, WHEN_NEEDED)
    for name in x.of("generations/0012/attempts/m07.001/snapshot-STEPS-DIGEST.safetensors"):
        remedy = "the attempt goes on from an older one, or begins anew"
        x.check_digest(name, _stem(name).rpartition("-")[2], algorithm, remedy)

    newest, over = chain.newest, chain.over
    final_population = [
        paths.checkpoint(newest, result.checkpoint)
        for (generation, _), result in results.items()
        if generation == newest != chain.cancelled and result.checkpoint is not None
    ]
    needed = [
        paths.checkpoint(newest - 1, result.checkpoint)
        for (generation, _), result in results.items()
        if generation == newest - 1 and result.checkpoint is not None and not over
    ]
    if newest in chain.manifests and not over:
        inputs = [checkpoint for job in chain.manifests[newest].jobs for checkpoint in job.inputs]
        needed += [paths.checkpoint(newest - 1, checkpoint) for checkpoint in inputs]
    for best in chain.named:
        final_population.append(paths.checkpoint(best.generation, best.checkpoint))
    for name in [*needed, *final_population]:
        if not x.there(name):
            x.missing(name, WHEN_NEEDED)
    if over and any(map(x.at_fault, final_population)):
        x.damaged(chain.end, "to be put aside, so that the run is resumed")


def _stem(name: Name) -> str:
    return name.rpartition("/")[2].removesuffix(".safetensors")


# -- claims ------------------------------------------------------------------------------------


def examine_claims(x: Examination) -> None:
    """Examine claims, ends and heartbeats.  No outcome rests on any of them."""
    numbers: defaultdict[Slot, set[int]] = defaultdict(set)
    for name, kind in list(x.kind_of.items()):
        found = ATTEMPT.fullmatch(name)
        if found and (kind.record in ("claim", "end") or kind.role is Role.SIGN):
            numbers[Slot(found[1])].add(int(found[2]))
        if kind.record in ("claim", "end"):
            record = x.record(name, kind.record, "no outcome rests on it")
            key = "holder" if kind.record == "claim" else "class"
            if record is not None and key not in record.core:
                x.damaged(name, f"not what a {kind.record} holds; no outcome rests on it")
        elif name.endswith(".beat"):
            _beat(x, name)
    for name in [*x.of(paths.result(12, 7)), *x.of(paths.result(12, 7, 1))]:
        record = x.peek(name, "result")
        attempt = None if record is None else record.meta.get("attempt")
        if isinstance(attempt, int):
            numbers[paths.job_slot(*_numbers(name))].add(attempt)
    for slot, attempts in numbers.items():
        for attempt in range(1, max(attempts) + 1):
            name = paths.claim(slot, attempt)
            if not x.there(name):
                x.notice(Fault(name, "missing; no outcome rests on it"))


def _beat(x: Examination, name: Name) -> None:
    content = x.content(name, "no outcome rests on it")
    torn = content is not None and Heartbeat.decode(content) is None
    x.aside(name, None, right=not torn, remedy="no outcome rests on it")
