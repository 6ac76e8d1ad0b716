"""Claims slots: who should work on what.  Claims save work and promise nothing.

A slot (a member's job, the coordinator's term) has claims numbered 1, 2, 3, ...; each number
has one winner.  A claim ends by its `.end` record, by its holder's provable death, or by
silence: the observer saw no change of its heartbeat for `lease_s` on the observer's own clock.
No correctness rests on any of it: with every lease wrong, work is done twice and the slot of
the result decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pbtnas.protocol.operations import (
    Dead,
    Get,
    Now,
    Published,
    Put,
    ReadHeartbeat,
    Steps,
    Unreadable,
)
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, Record, decode, encode
from pbtnas.records.names import Name, Slot


class Claims:
    """Takes claims for one process, and judges whether those of others still hold.

    Args:
        run: Id of the run.
        holder: JSON that identifies this process (worker, host, boot, pid, start).
        lease_s: Silence after which a claim counts as expired, in seconds.
        new_nonce: Function that makes a string that no other process makes.
    """

    def __init__(
        self,
        run: str,
        holder: Mapping[str, Any],
        *,
        lease_s: float,
        new_nonce: Callable[[], str],
    ) -> None:
        self._run = run
        self._holder = holder
        self.lease_s = lease_s
        self.new_nonce = new_nonce
        self._latest: dict[Slot, int] = {}
        self._changed: dict[Name, tuple[bytes | None, float]] = {}
        self._moved: set[Name] = set()
        self._holders: dict[Name, Mapping[str, Any]] = {}  # claims are written once

    def take(self, slot: Slot, *, unclaimed: bool = False) -> Steps[int | None]:
        """Claim a slot that is free.  Returns the attempt number, or None if it is not ours.

        With `unclaimed`, nobody had claimed it when it was listed: whoever has done so since is
        not judged.
        """
        attempt = self._latest.get(slot, 0)
        if attempt or not unclaimed:
            attempt = yield from self.latest(slot)
        elif _is_there((yield from Get(paths.claim(slot, 1), once=True))):
            self._latest[slot] = 1
            return None
        if attempt and not (yield from self._over(slot, attempt)):
            return None
        record = Record("claim", self._run, {"holder": self._holder}, {}, self.new_nonce())
        name = paths.claim(slot, attempt + 1)
        reply = yield from Put(name, encode(record, name), durable=False)
        if reply is not Published.ERROR:
            # What was lost to another claim is taken, even if that claim cannot be read here.
            self._latest[slot] = attempt + 1
        return attempt + 1 if reply is Published.WON else None

    def latest(self, slot: Slot) -> Steps[int]:
        """The highest claim number seen in a slot, 0 if none; probed by name."""
        attempt = self._latest.get(slot, 0)
        while _is_there((yield from Get(paths.claim(slot, attempt + 1)))):
            attempt += 1
        self._latest[slot] = attempt
        return attempt

    def superseded(self, slot: Slot, attempt: int) -> Steps[bool]:
        """Whether a later claim than that can be read."""
        while isinstance(reply := (yield from Get(paths.claim(slot, attempt + 1))), Unreadable):
            if reply.passing:
                return False
            attempt += 1
        return reply is not None

    def held(self, slot: Slot) -> Steps[bool]:
        """Whether somebody seems to be at work on a slot."""
        attempt = yield from self.latest(slot)
        return attempt > 0 and not (yield from self._over(slot, attempt))

    def holder(self, slot: Slot, attempt: int) -> Steps[Mapping[str, Any] | None]:
        """Who made a claim; None if it cannot be read."""
        name = paths.claim(slot, attempt)
        if name not in self._holders:
            data = yield from Get(name)
            if not isinstance(data, bytes):
                return None
            try:
                core = decode(data, name, kind="claim", run=self._run).core
            except CorruptRecord:
                return None
            self._holders[name] = core["holder"]
        return self._holders[name]

    def silent_s(self, slot: Slot, attempt: int) -> Steps[float]:
        """For how long this process has seen a claim's heartbeat unchanged."""
        return (yield from self._unchanged_s(paths.beat(slot, attempt)))

    def alive(self, beat: Name) -> Steps[bool]:
        """Whether a heartbeat, whosoever it is, has changed within the lease; whoever is met for
        the first time has the whole lease to show it."""
        return (yield from self._unchanged_s(beat)) < self.lease_s

    def moved(self, slot: Slot, attempt: int) -> Steps[bool]:
        """Whether this process has seen a claim's heartbeat change: its holder lives."""
        yield from self.silent_s(slot, attempt)
        return paths.beat(slot, attempt) in self._moved

    def end(self, slot: Slot, attempt: int, core: Mapping[str, Any]) -> Steps[None]:
        """Say how an attempt ended without a result.  Best effort: silence says it too."""
        record = Record("end", self._run, core, {}, self.new_nonce())
        name = paths.end(slot, attempt)
        yield from Put(name, encode(record, name), durable=False)

    def _over(self, slot: Slot, attempt: int) -> Steps[bool]:
        if _is_there((yield from Get(paths.end(slot, attempt)))):
            return True
        return (yield from self.abandoned(slot, attempt))

    def abandoned(self, slot: Slot, attempt: int, *, believe_silence: bool = True) -> Steps[bool]:
        """Whether a claim without an end has lost its holder: by provable death, or by silence.

        Costs one read, and one more for a claim that this process has not read before.
        """
        holder = yield from self.holder(slot, attempt)
        if holder is not None and (yield from Dead(holder)):
            return True
        return (yield from self.silent_s(slot, attempt)) >= self.lease_s and believe_silence

    def _unchanged_s(self, name: Name) -> Steps[float]:
        beat = yield from ReadHeartbeat(name)
        now = yield from Now()
        if isinstance(beat, Unreadable):  # which is no sign of life
            beat = self._changed[name][0] if name in self._changed else None
        if name not in self._changed or self._changed[name][0] != beat:
            if name in self._changed:
                self._moved.add(name)
            self._changed[name] = (beat, now)
        return now - self._changed[name][1]


def _is_there(reply: bytes | Unreadable | None) -> bool:
    """Whether a claim or an end was published, be it readable or not.

    Claims are not put aside, for a number is used once; and trouble of the whole directory hides
    what is there from every later look alike.
    """
    return isinstance(reply, bytes) or (isinstance(reply, Unreadable) and not reply.passing)
