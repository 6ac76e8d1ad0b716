"""Ends the claims of workers that are gone, so that one process watches all heartbeats.

If every idle worker read the heartbeats of all others, a thousand of them would ask a file server
for a million reads a second.  The coordinator waits anyway: it reads each heartbeat once a second
and publishes the end of a claim that is silent or whose holder is dead.  Idle workers list claims.
As with every lease, a wrong suspicion costs work and no outcome.  So that the work gets done in the
end where the coordinator sees no heartbeats, silence of the next claim of the same job counts for
nothing for a while, twice as long each time.
"""

from __future__ import annotations

from collections.abc import Collection

from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import List, Now, Steps
from pbtnas.records import paths
from pbtnas.records.names import Slot

LOOK_S = 1.0  # between two looks at all heartbeats
LONGEST_TRUST = 64  # leases


class Suspicion:
    """Watches the claims of one generation after the other.

    Args:
        claims: The coordinator's view of the claims.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._next_s = float("-inf")
        self._trusted: dict[Slot, tuple[float, float]] = {}  # until when, and for how long then

    def look(self, generation: int, done: Collection[int], absent: int) -> Steps[None]:
        """End the claims that are abandoned, if it is time to look.

        Args:
            generation: Generation in work.
            done: Members whose results were read.
            absent: Member that has no result, whatever a listing says.
        """
        now_s = yield from Now()
        if now_s < self._next_s:
            return
        self._next_s = now_s + LOOK_S
        claims = paths.latest_claims((yield from List(paths.claims(generation))))
        results = yield from List(paths.results(generation))
        for member, claim in sorted(claims.items()):
            seen = member in done or f"{paths.member_name(member)}.json" in results
            if claim.ended or (seen and member != absent):
                continue
            slot = paths.job_slot(generation, member)
            until_s, trust_s = self._trusted.get(slot, (now_s, self._claims.lease_s))
            believed = now_s >= until_s
            if (yield from self._claims.abandoned(slot, claim.number, believe_silence=believed)):
                longer_s = min(2 * trust_s, LONGEST_TRUST * self._claims.lease_s)
                self._trusted[slot] = now_s + trust_s, longer_s
                core = {"class": "superseded", "counted": False, "text": "its worker is gone"}
                yield from self._claims.end(slot, claim.number, core)
