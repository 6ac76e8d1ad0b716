"""Looks at heartbeats and times of files, which a run has besides its records.

They are hints: another machine's clock may be wrong, a network disk may lag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from pbtnas.analysis.history.run import ClaimHistory
from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.records.heartbeat import Heartbeat
from pbtnas.records.names import Name
from pbtnas.store.identity import provably_dead
from pbtnas.store.opening import open_files


@dataclass(frozen=True)
class Seen:
    """A worker or the coordinator, as its heartbeat reports it.

    Args:
        name: Identifier of the process.
        doing: Phase in its own words; "" if its heartbeat is torn.
        steps: Steps of its job that are done; 0 without a job.
        changed_s: Seconds since its heartbeat last changed; a hint.
        live: Whether its heartbeat changed within the lease, and it has not left since.
        left: Whether it has said that it left, or is provably dead on this machine.
        waiting_for: Reason why it cannot go on; "" if it can.
        idle_here: Whether it has no work in this run: none at all, or that of another run.
    """

    name: str
    doing: str
    steps: int
    changed_s: float
    live: bool
    waiting_for: str = ""
    idle_here: bool = False
    left: bool = False


class Look:
    """Reads heartbeats and times of files, which a run has besides its records.

    Args:
        root: Run directory.
        now: Time now, in seconds since the epoch.
        lease_s: Seconds of silence after which a process counts as gone.
        holders: Identities of workers, by name, as their claims tell them.
    """

    def __init__(
        self, root: Path, now: float, lease_s: float, holders: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._files = open_files(root)
        self._now = now
        self._lease_s = lease_s
        self._holders = holders

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._files.close()

    def time(self, name: Name) -> float | None:
        """When a file last changed, in seconds since the epoch; None if it is not there."""
        try:
            return self._files.changed_s(name)
        except OSError:
            return None

    def names(self, directory: Name) -> list[str]:
        """The names in a directory; none if it cannot be read."""
        try:
            return self._files.names(directory)
        except OSError:
            return []

    def workers(self) -> tuple[Seen, ...]:
        """All workers that ever wrote a heartbeat, the most recent first."""
        found = [PurePosixPath(leaf) for leaf in self.names(paths.WORKERS)]
        beats = [leaf for leaf in found if leaf.suffix == ".beat"]
        seen = [
            self._seen(
                leaf.stem,
                paths.within(paths.WORKERS, leaf.name),
                left=provably_dead(self._holders.get(leaf.stem, {})),
            )
            for leaf in beats
        ]
        return tuple(sorted(filter(None, seen), key=lambda s: (s.changed_s, s.name)))

    def holder(self, attempts: Sequence[ClaimHistory]) -> Seen | None:
        """The holder of a slot, by its newest claim."""
        if not attempts:
            return None
        newest = attempts[-1]
        name = str(newest.holder.get("worker", "?"))
        beat = paths.beat(newest.slot, newest.number)
        left = newest.ended != "open" or provably_dead(newest.holder)
        # One that has just begun has shown no sign of life but its claim.
        return self._seen(name, beat, left=left) or self._seen(
            name, paths.claim(newest.slot, newest.number), left=left
        )

    def _seen(self, name: str, beat: Name, *, left: bool) -> Seen | None:
        changed = self.time(beat)
        if changed is None:
            return None
        try:
            content = Heartbeat.decode(self._files.get(beat) or b"") or Heartbeat(0)
        except (OSError, UnreadableRecord):
            content = Heartbeat(0)
        changed_s = max(0.0, self._now - changed)
        left = left or bool(content.left)
        return Seen(
            name=name,
            doing=content.phase,
            steps=0 if content.idle else content.done,  # of the job that it had last
            changed_s=changed_s,
            live=changed_s <= self._lease_s and not left,
            waiting_for=content.waiting_for,
            idle_here=content.idle or bool(content.busy_with),
            left=left,
        )
