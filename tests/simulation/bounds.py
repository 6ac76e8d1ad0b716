"""How often work may be done: once, and once more for each misfortune that undid or hid it.

Self-healing hides mistakes: a protocol that trains every job twice, or repairs what is not lost,
ends with the same fingerprint.  The `Ledger` counts how often each job is trained, each lost
checkpoint computed again and each child mixed, and grants a repetition only for

  - a fault that hit a process which had the work in hand (`struck`);
  - an attempt that ended without a result (`ended`);
  - an outcome that vanished, or that somebody was not shown although it was there (`excuse`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any

from pbtnas.protocol.attempts import Attempt
from pbtnas.protocol.children import Mix
from pbtnas.protocol.operations import Get, Has, Published, Put, PutBlob, Unreadable
from tests.simulation.invariants import Violation, body_of
from tests.simulation.store import SimulatedStore

Work = tuple[str, int, int]
"""Sort (job, repair or mix), generation and member."""

_CLAIM = re.compile(r"generations/(\d+)/claims/m(\d+)(-repair)?\.\d+\.json")
_RECORD = re.compile(r"generations/(\d+)/(result|birth)s/m(\d+)(?:-retry\.\d+)?\.json")
_SORTS = {"result": "job", "birth": "mix"}


class Ledger:
    """Counts work on one directory, and what excuses its repetition.

    Args:
        store: the directory.
    """

    def __init__(self, store: SimulatedStore) -> None:
        self.store = store
        self.in_hand: defaultdict[str, set[Work]] = defaultdict(set)  # by process
        self._done: Counter[Any] = Counter()
        self._excuses: Counter[Work] = Counter()
        self._makes: dict[str, Work] = {}  # what makes a checkpoint again
        self._unnamed: Counter[str] = Counter()  # excuses of checkpoints that no record names yet
        self._discarded: set[str] = set()

    # -- work ----------------------------------------------------------------------------------

    def started(self, who: str, attempt: Attempt) -> None:
        """A process has a job trained."""
        work = ("repair" if attempt.repair else "job", attempt.job.generation, attempt.job.member)
        self.in_hand[who].add(work)
        self._count(work, work, allowed=0 if attempt.repair else 1)

    def ended(self, who: str, attempt: Attempt, *, well: bool) -> None:
        """An attempt is over."""
        work = ("repair" if attempt.repair else "job", attempt.job.generation, attempt.job.member)
        if not well:
            self._excuses[work] += 1
            self.in_hand[who].discard(work)

    def mixed(self, who: str, mix: Mix, *, well: bool) -> None:
        """A process mixes a child.  Coordinators do not know of one another."""
        work = ("mix", mix.generation, mix.birth.member)
        if not well:
            self._excuses[work] += 1
        self._count((who, work), work, allowed=1)

    def overlay(self, name: str, mix: Mix) -> None:
        """A child's overlay may be lost before its birth names it; then it is mixed again."""
        self._makes[name] = "mix", mix.generation, mix.birth.member

    def _count(self, what: Any, work: Work, *, allowed: int) -> None:
        self._done[what] += 1
        if self._done[what] > allowed + self._excuses[work]:
            raise Violation(
                f"{work}: done {self._done[what]} times, with {self._excuses[work]} excuses"
            )

    # -- excuses -------------------------------------------------------------------------------

    def struck(self, who: str) -> None:
        """A fault hit a process."""
        for work in self.in_hand[who]:
            self._excuses[work] += 1

    def excuse(self, name: str) -> None:
        """Somebody did not see a file although it is there, or it is there no more."""
        found = _RECORD.fullmatch(name)
        if found is not None:
            self._excuses[_SORTS[found[2]], int(found[1]), int(found[3])] += 1
        elif name in self._makes:
            self._excuses[self._makes[name]] += 1
        elif name.endswith(".safetensors"):
            self._unnamed[name] += 1

    def gone(self, name: str, how: str) -> None:
        """A file vanished.  The end of a claim that vanished ends the next claim of its number."""
        claim = _CLAIM.fullmatch(name)
        if claim is not None:
            self._excuses[_work_of(claim)] += 1
        self.excuse(name)
        if how == "discarded":
            self._discarded.add(name)

    def after(self, who: str, operation: Any, reply: Any) -> None:
        """Note what a process was told."""
        if reply is Published.ERROR:
            self.struck(who)  # it tries again, perhaps for longer than a lease
            if isinstance(operation, Put) and operation.name in self.store.entries:
                self._note(who, operation.name, operation.data, won=False)  # there nevertheless
            return
        match operation:
            case Get(name) if reply is None or isinstance(reply, Unreadable):
                if name in self.store.entries:
                    self.excuse(name)
                if reply is not None:
                    self.struck(who)
            case Get(name) if reply != self.store.entries[name].written:
                self.excuse(name)
            case Has(name) if not reply:
                # What is discarded is not lost, but looks so to who is far behind.
                if name in self.store.entries or name in self._discarded:
                    self.excuse(name)
            case PutBlob(_, name) if name in self._makes:
                self.in_hand[who].discard(self._makes[name])
            case Put(name, data):
                self._note(who, name, data, won=reply is Published.WON)

    def _note(self, who: str, name: str, data: bytes, *, won: bool) -> None:
        """A record was published."""
        claim, record = _CLAIM.fullmatch(name), _RECORD.fullmatch(name)
        if claim is not None and won:
            self.in_hand[who].add(_work_of(claim))
        if record is None:
            return
        where, member = int(record[1]), int(record[3])
        core = body_of(data)["core"]
        checkpoint = core["overlay" if record[2] == "birth" else "checkpoint"]
        again: Work = ("mix" if record[2] == "birth" else "repair", where, member)
        name = f"generations/{record[1]}/checkpoints/{checkpoint}.safetensors"
        self._makes[name] = again
        self._excuses[again] += self._unnamed.pop(name, 0)
        if record[2] == "result":
            self.in_hand[who].discard(("job", where, member))


def _work_of(claim: re.Match[str]) -> Work:
    """The work that a claim is for."""
    return "repair" if claim[3] else "job", int(claim[1]), int(claim[2])
