"""Seeing an attempt to its end: heartbeats while it makes progress, and a record if it fails."""

from __future__ import annotations

from pbtnas.attempts import (
    Attempt,
    Broke,
    Failure,
    Halt,
    Interrupted,
    Poll,
    Progress,
    Trained,
    last_line,
)
from pbtnas.store import paths
from pbtnas.store.claims import Beat as BeatContent
from pbtnas.store.claims import Claims
from pbtnas.store.operations import Beat, Get, Now, Quarantine, Say, Steps, Stopping


class Attendance:
    """What a worker does about the attempt in work.

    Args:
        name: of the worker.
        claims: its view of the claims.
        beat_s: between two heartbeats.
    """

    def __init__(self, name: str, claims: Claims, beat_s: float) -> None:
        self.infra_in_a_row = 0
        self._name = name
        self._claims = claims
        self._beat_s = beat_s

    def follow(self, attempt: Attempt) -> Steps[Trained | Broke | Interrupted]:
        """Beat while the training makes progress; stop it when there is no use in it."""
        job = attempt.job
        result = paths.result(job.generation, job.member)
        counter, done = 0, 0
        last_beat_s: float = yield Now()
        halted = False
        while True:
            event = yield Poll(self._beat_s)
            if isinstance(event, Progress):
                done = event.done
            elif event is not None:
                return event  # type: ignore[no-any-return]
            useless = False
            now_s: float = yield Now()
            if now_s - last_beat_s >= self._beat_s:
                counter, last_beat_s = counter + 1, now_s
                content = BeatContent(counter, done, "training").encode()
                yield Beat(paths.beat(attempt.slot, attempt.number), content)
                useless = not attempt.repair and (yield Get(result)) is not None
            if not halted and (useless or (yield Stopping())):
                halted = True
                yield Halt()

    def record_failure(self, attempt: Attempt, event: Broke) -> Steps[None]:
        """Say and record why an attempt failed, and put aside what was damaged."""
        self.infra_in_a_row = self.infra_in_a_row + 1 if event.failure is Failure.INFRA else 0
        kind = event.failure.value
        yield Say(f"{attempt}: {kind}: {last_line(event.text)}")
        if event.damaged is not None:
            yield Quarantine(paths.checkpoint(attempt.job.generation - 1, event.damaged))
        yield from self.end(attempt, kind, event.failure.counted, event.text)

    def end(self, attempt: Attempt, kind: str, counted: bool, text: str) -> Steps[None]:
        """Give up the claim, and record how the attempt ended."""
        core = {"class": kind, "counted": counted, "text": text, "worker": self._name}
        yield from self._claims.end(attempt.slot, attempt.number, core)
