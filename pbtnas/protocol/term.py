"""Decides who coordinates: the coordinator's term is a claim like any other.

Two coordinators at once are harmless, only useless: a term saves work, and lets the second
say who is the first.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import Now, Say, Sleep, Steps, Stopping, WriteHeartbeat
from pbtnas.records import paths
from pbtnas.records.heartbeat import Heartbeat


class CoordinatorEnding(enum.Enum):
    """How a coordinator ends."""

    FINISHED = "the run is finished"
    CANCELLED = "the run was cancelled"
    STOPPED = "stopped; the same command goes on from here"
    HELD = "another coordinator holds the run"
    SUPERSEDED = "another coordinator took over"


class Leave(Exception):
    """Leaves the coordinator's loop from anywhere inside it."""

    def __init__(self, ending: CoordinatorEnding) -> None:
        super().__init__(ending.value)
        self.ending = ending


class Term:
    """Takes the term for one coordinator, keeps it, and gives it up.

    Args:
        claims: The coordinator's view of the claims.
        beat_s: Seconds between two heartbeats.
        poll_s: Longest wait between two looks at another's heartbeat, in seconds.
    """

    def __init__(self, claims: Claims, *, beat_s: float, poll_s: float) -> None:
        self._claims = claims
        self._beat_s = beat_s
        self._poll_s = poll_s
        self._number = 0
        self._beats = 0
        self._last_beat_s = float("-inf")

    def take(self) -> Steps[None]:
        """Take the term: at once if nobody holds it, else when its holder has fallen silent.

        Raises `Leave` when the holder is seen to live.
        """
        told = False
        while True:
            number = yield from self._claims.take(paths.TERM)
            if number is not None:
                self._number = number
                return
            held = yield from self._claims.latest(paths.TERM)
            if not told and held:
                told = True
                holder = yield from self._claims.holder(paths.TERM, held)
                yield from Say(f"term {held} is held by {_name(holder)}; watching its heartbeat")
            if held and (yield from self._claims.moved(paths.TERM, held)):
                raise Leave(CoordinatorEnding.HELD)
            if (yield from Stopping()):
                raise Leave(CoordinatorEnding.STOPPED)
            yield from Sleep(min(self._poll_s, self._beat_s))

    def beat(self) -> Steps[None]:
        """Show that the coordinator lives; call it whenever it waits.

        Raises `Leave` when it was asked to stop, or when a higher term was taken.
        """
        if (yield from Stopping()):
            raise Leave(CoordinatorEnding.STOPPED)
        now_s = yield from Now()
        if now_s - self._last_beat_s < self._beat_s:
            return
        self._last_beat_s = now_s
        self._beats += 1
        content = Heartbeat(self._beats, 0, "coordinating").encode()
        yield from WriteHeartbeat(paths.beat(paths.TERM, self._number), content)
        if (yield from self._claims.superseded(paths.TERM, self._number)):
            raise Leave(CoordinatorEnding.SUPERSEDED)

    def end(self) -> Steps[None]:
        """Give the term up, so that a successor need not wait for silence."""
        if self._number:
            core = {"class": "released", "counted": False, "text": "stopped"}
            yield from self._claims.end(paths.TERM, self._number, core)


def _name(holder: Mapping[str, Any] | None) -> str:
    if holder is None:
        return "somebody"
    return f"{holder.get('worker', 'a coordinator')} on {holder.get('host', '?')}"
