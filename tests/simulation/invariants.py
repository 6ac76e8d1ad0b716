"""What must hold at every operation, whatever has happened: `Witness` checks it.

The witness sees what each process asks for and what is really in the directory, not what the
process believes.  It reads records as plain JSON and shares no code with the protocol, so that a
mistake there is not repeated here.  The rules, each with the sentence that a violation begins
with:

  - What a record rests on exists and is durable before the record appears: else a power cut
    could lose it and leave the record ("rests on").  So nobody acts on what was read but not
    synced, and weights come before words.
  - After a power cut, everything that the records left over rest on is there ("lost with the
    power").
  - Records are only ever published, hints only ever replaced, checkpoints named by their content
    ("overwrites", "is published with other bits").
  - A failed publish is tried again before the next, or its process stops ("goes on after").
  - Only what was read damaged is put aside ("puts aside").
  - What the generation in work rests on, the best-ever member and the front are never discarded,
    nor, by who has read that it is, what an operator has pinned ("discards").
  - Who trains a job has won its claim, and knows of nobody who asked it not to ("trains").
  - A job is recorded as failed after so many failures that count, and a process says that it is
    finished when the run is ("though").

What an injected fault destroyed after it had been durable is remembered, and no process is blamed
for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pbtnas.protocol.operations import (
    Discard,
    EmptyTrash,
    Get,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    Replace,
    Sync,
    WriteHeartbeat,
)
from pbtnas.search import Member
from pbtnas.search.archive import Archive
from pbtnas.search.objectives import BY_SCORE, Objectives
from tests.simulation.store import Entry, SimulatedStore

KEPT = 2  # generations before the one in work whose checkpoints stay
HINTS = ("HEAD", "best.json")
RECORD = re.compile(
    r"generations/(\d+)/"
    r"(?:(manifest|selection|extension)|(result|birth)s/m(\d+)(?:-retry\.(\d+))?)\.json"
    r"|final(?:\.\d+)?\.json"
)


class Violation(AssertionError):
    """An operation that breaks a rule, although the directory ends as it should."""


class Witness:
    """Watches all operations on one directory.

    Args:
        store: the directory.
        attempts: failures that count after which a job may be recorded as failed.
        objectives: what its members are ranked by.
    """

    def __init__(
        self,
        store: SimulatedStore,
        *,
        attempts: int,
        objectives: Objectives = BY_SCORE,
    ) -> None:
        self.store = store
        self._objectives = objectives
        self.lost: set[str] = set()  # was durable, and was destroyed by a fault or discarded
        self.failures: Counter[tuple[int, int, int]] = Counter()  # that count, by job and retry
        self._asked: defaultdict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._attempts = attempts
        self._unread: set[tuple[str, str]] = set()  # who read what damaged, and has not put it away
        self._there: Entry | None = None  # what had the name that is being published
        self._failed: dict[str, tuple[str, str]] = {}  # publish that each process has to try again

    # -- before and after each operation -------------------------------------------------------

    def before(self, who: str, operation: Any) -> None:
        """Check what a process asks for."""
        match operation:
            case Put(name, data, durable):
                _require(name not in HINTS and not _is_blob(name), who, f"publishes {name}")
                self._there = self.store.entries.get(name)
                if durable:
                    self._check_retried(who, operation)
                    self._check_rests(who, name, data)
            case PutBlob(source, name):
                self._check_retried(who, operation)
                content = self.store.private[source].decode()
                right = _is_blob(name) and name == f"{_directory(name)}/{content}.safetensors"
                _require(right, who, f"{name} is published with other bits")
            case Sync() | MakeGeneration():
                self._check_retried(who, operation)
            case Replace(name):
                _require(name in HINTS, who, f"overwrites {name}")
            case WriteHeartbeat(name):
                _require(name.endswith(".beat"), who, f"overwrites {name}")
            case Quarantine(name):
                there = self.store.entries.get(name)
                blamed = (who, name) in self._unread or there is None or not there.intact
                _require(blamed, who, f"puts aside {name}, which it has not read damaged")
                self._unread.discard((who, name))
            case Discard(generation, keep):
                self._check_discarded(who, generation, keep)
            case EmptyTrash(generation):
                newest = self._newest()
                _require(generation < newest - KEPT, who, f"discards trash of {generation}")

    def after(self, who: str, operation: Any, reply: Any) -> None:
        """Note what a process was told."""
        if isinstance(operation, Put) and self._there is not None:
            kept = self.store.entries[operation.name] is self._there
            _require(kept, who, f"overwrites {operation.name}")
        if reply is Published.ERROR:
            if not isinstance(operation, Put) or operation.durable:
                self._failed[who] = _publish(operation)
        elif isinstance(operation, Get) and reply is not None:
            entry = self.store.entries[operation.name]
            if reply != entry.written:
                self._unread.add((who, operation.name))
            elif operation.name.startswith("config/control."):
                self._asked[who][operation.name] = body_of(reply)["core"]

    def read_damaged(self, who: str, name: str) -> None:
        """A process was told that a checkpoint is damaged."""
        self._unread.add((who, name))

    def gone(self, name: str, how: str) -> None:
        """A name vanished."""
        if how != "power":
            self.lost.add(name)

    def power_cut(self) -> None:
        """Check that what is left over rests on nothing that is gone."""
        for name, entry in self.store.entries.items():
            if entry.durable and RECORD.fullmatch(name) and entry.written in self._published(name):
                for other in self._rests_on(name, body_of(entry.written)):
                    there = other in self.store.entries or other in self.lost
                    _require(there, name, f"is there, and {other} was lost with the power")

    def started(self, who: str, slot: str, number: int) -> None:
        """Check that who has a job trained holds the claim."""
        claims = map(body_of, self.store.contents[f"{slot}.{number:03d}.json"])
        holders = [claim["core"]["holder"]["worker"] for claim in claims]
        _require(who in holders, who, f"trains {slot} without the claim {number}")
        asked = [core for _, core in sorted(self._asked[who].items())]
        last = [core["action"] for core in asked if core["action"] in ("pause", "resume")][-1:]
        _require(last != ["pause"], who, f"trains {slot}, though it knows that the run is paused")
        cancelled = {"action": "cancel"} in asked
        _require(not cancelled, who, f"trains {slot}, though it knows that the run is cancelled")
        drained = {"action": "drain", "worker": who} in asked
        _require(not drained, who, f"trains {slot}, though it knows that it is to leave")

    def ended(self, who: str, *, finished: bool) -> None:
        """Check what a process that ends by itself says."""
        _require(
            not finished or self._over(), who, "says that the run is finished, though it is not"
        )

    # -- the rules -----------------------------------------------------------------------------

    def _check_rests(self, who: str, name: str, data: bytes) -> None:
        body = body_of(data)
        for other in self._rests_on(name, body):
            entry = self.store.entries.get(other)
            if entry is None:
                _require(other in self.lost, who, f"{name} rests on {other}, which never was")
            else:
                durable = entry.durable or other in self.lost
                _require(durable, who, f"{name} rests on {other}, which a power cut may take")
        self._check_digests(who, name, body)
        if body["kind"] == "result" and body["core"]["outcome"] == "failed":
            found = RECORD.fullmatch(name)
            assert found is not None
            enough = self.failures[*_job(name), int(found[5] or 0)] >= self._attempts
            _require(enough, who, f"{name} says failed, though it need not be")

    def _rests_on(self, name: str, body: Mapping[str, Any]) -> Iterator[str]:
        """The files that a record rests on."""
        found = RECORD.fullmatch(name)
        if found is None or found[1] is None or body["kind"] in ("claim", "end"):
            if body["kind"] == "final":
                yield from self._final_rests_on(body["core"])
            return
        here, core = f"generations/{found[1]}", body["core"]
        before = f"generations/{int(found[1]) - 1:04d}"
        match body["kind"]:
            case "manifest" if core["generation"]:
                yield f"{before}/selection.json"
                if self._extended(before):
                    yield f"{before}/extension.json"
                for job in core["jobs"]:
                    yield from (_checkpoint(before, digest) for digest in job["inputs"])
                    if len(job["inputs"]) == 2:
                        yield f"{before}/births/m{job['member']:02d}.json"
            case "result":
                yield f"{here}/manifest.json"
                if core["checkpoint"] is not None:
                    yield _checkpoint(here, core["checkpoint"])
            case "selection":
                yield f"{here}/manifest.json"
                yield from (_result(here, core, r["member"]) for r in core["results"])
            case "extension":
                yield f"{here}/selection.json"
            case "birth":
                yield f"{here}/selection.json"
                if self._extended(here):
                    yield f"{here}/extension.json"
                yield from (_checkpoint(here, core[which]) for which in ("overlay", "base"))

    def _final_rests_on(self, core: Mapping[str, Any]) -> Iterator[str]:
        last = f"generations/{_last_selection(core):04d}"
        yield f"{last}/selection.json"
        for best in (core["best_ever"], core["best_last"], *core.get("front", ())):
            if best is not None:
                where = f"generations/{best['generation']:04d}"
                yield _checkpoint(where, best["checkpoint"])
        for result in self._core(f"{last}/selection.json").get("results", ()):
            if result["checkpoint"] is not None:
                yield _checkpoint(last, result["checkpoint"])

    def _check_digests(self, who: str, name: str, body: Mapping[str, Any]) -> None:
        """Check that a record names what was published, not what its writer made up."""
        core, folder = body["core"], _directory(name)
        match body["kind"]:
            case "manifest" if core["generation"]:
                before = f"generations/{core['generation'] - 1:04d}"
                kind = "extension" if self._extended(before) else "selection"
                right = core["previous"] in self._digests(f"{before}/{kind}.json")
            case "extension":
                right = core["selection"] in self._digests(f"{folder}/selection.json")
            case "selection":
                right = core["manifest"] in self._digests(f"{folder}/manifest.json")
                for result in core["results"]:
                    other = _result(folder, core, result["member"])
                    right &= _digest(["result", result]) in self._digests(other)
            case "birth":
                before = _directory(folder)
                kind = "extension" if self._extended(before) else "selection"
                births = self._core(f"{before}/{kind}.json").get("births", ())
                members = [birth["member"] for birth in births]
                right = core["member"] == _job(name)[1] and core["member"] in members
            case "result":
                right = core["member"] == _job(name)[1]
            case "final":
                selection = f"generations/{_last_selection(core):04d}/selection.json"
                fingerprints = {_digest(["pbtnas", d]) for d in self._digests(selection)}
                right = core["fingerprint"] in fingerprints
            case _:
                return
        _require(right, who, f"{name} rests on what was never published")

    def _check_retried(self, who: str, operation: Any) -> None:
        failed = self._failed.pop(who, None)
        # The coordinator makes directories ahead of time too, and again when they are needed.
        if failed is not None and failed[0] != "MakeGeneration":
            again = _publish(operation) == failed
            _require(again, who, f"goes on after an error of {failed} with {_publish(operation)}")

    def _check_discarded(self, who: str, generation: int, keep: frozenset[str] | None) -> None:
        if keep is None:  # snapshots only
            _require(self._over(), who, f"discards snapshots of {generation}")
            return
        _require(generation < self._newest() - KEPT, who, f"discards generation {generation}")
        best = self._best_ever()
        if best is not None and best["generation"] == generation:
            _require(best["checkpoint"] in keep, who, f"discards the best-ever of {generation}")
        pinned = {c["checkpoint"] for c in self._asked[who].values() if c["action"] == "pin"}
        _require(pinned <= keep, who, f"discards a pinned checkpoint of {generation}")
        front = self._front_of(generation)
        _require(front <= keep, who, f"discards one of the front of {generation}")

    # -- the truth -----------------------------------------------------------------------------

    def _over(self) -> bool:
        """Whether somebody has said that the run is over."""
        return any(name.startswith("final.") for name in self.store.contents)

    def _extended(self, generation: str) -> bool:
        """Whether somebody has extended the run after a generation."""
        return bool(self._published(f"{generation}/extension.json"))

    def _published(self, name: str) -> set[bytes]:
        """All contents that processes of the run ever gave a name."""
        return self.store.contents.get(name, set())

    def _newest(self) -> int:
        pattern = re.compile(r"generations/(\d+)/manifest\.json")
        found = [pattern.fullmatch(name) for name in self.store.contents]
        return max((int(number[1]) for number in found if number), default=-1)

    def _best_ever(self) -> dict[str, Any] | None:
        """The best member of all selections, the earliest of equals."""
        best: dict[str, Any] | None = None
        for name in sorted(self.store.contents):
            if name.endswith("/selection.json"):
                core = self._core(name)
                for result in core["results"]:
                    scored = result["score"] is not None
                    if scored and (best is None or result["score"] > best["score"]):
                        best = {**result, "generation": core["generation"]}
        return best

    def _front_of(self, generation: int) -> set[str]:
        """The checkpoints of one generation that are in the archive after all selections."""
        archive, found = Archive(self._objectives.archive), {}
        for name in sorted(n for n in self.store.contents if n.endswith("/selection.json")):
            core, members = self._core(name), []
            for result in core["results"]:
                number, score = result["member"], result["score"]
                values = {"score": score, **result["metrics"]}
                if score is not None and not self._objectives.missing(values):
                    stands = self._objectives.standing(values)
                    members.append(Member(number, (), score, stands.gains, stands.outside))
                    found[core["generation"], number] = result["checkpoint"]
            archive = archive.after(core["generation"], members)
        kept = {(a.generation, a.member.number) for a in archive.kept}
        return {found[which] for which in kept if which[0] == generation}

    def _core(self, name: str) -> Mapping[str, Any]:
        """What a name holds, or held last; {} if nothing ever was there."""
        entry = self.store.entries.get(name)
        contents = [entry.written] if entry is not None else sorted(self.store.contents[name])
        core: Mapping[str, Any] = body_of(contents[0])["core"] if contents else {}
        return core

    def _digests(self, name: str) -> set[str]:
        """Digests of all records that were ever published under a name."""
        bodies = map(body_of, self.store.contents[name])
        return {_digest([body["kind"], body["core"]]) for body in bodies}


def _require(holds: bool, who: str, rule: str) -> None:
    if not holds:
        raise Violation(f"{who}: {rule}")


def _publish(operation: Any) -> tuple[str, str]:
    """Which publish an operation is."""
    match operation:
        case MakeGeneration(generation):
            target = str(generation)
        case Sync(directory):
            target = directory
        case _:
            target = operation.name
    return type(operation).__name__, target


def body_of(data: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(data)
    return body


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _directory(name: str) -> str:
    return name.rpartition("/")[0]


def _checkpoint(generation: str, digest: str) -> str:
    return f"{generation}/checkpoints/{digest}.safetensors"


def _is_blob(name: str) -> bool:
    return name.endswith(".safetensors")


def _result(generation: str, selection: Mapping[str, Any], member: int) -> str:
    """The record of the result that a selection goes by."""
    retry = selection.get("retried", {}).get(str(member))
    mark = f"-retry.{retry:03d}" if retry else ""
    return f"{generation}/results/m{member:02d}{mark}.json"


def _last_selection(final: Mapping[str, Any]) -> int:
    """The generation whose selection ends a run: of a cancelled one, the unfinished."""
    count = int(final["generations"])
    return count if final.get("ended") == "cancelled" else count - 1


def _job(name: str) -> tuple[int, int]:
    """Generation and member of a result or birth."""
    found = RECORD.fullmatch(name)
    assert found is not None
    return int(found[1]), int(found[4])
