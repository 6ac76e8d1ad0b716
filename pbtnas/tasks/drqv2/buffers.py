"""The replay buffers of a run's members, as directories of this machine.

    SCRATCH/drqv2/RUN/
      shared/                              `replay: shared`: one buffer for everybody
      0000050000-9f3a61c2d4e5b607/         `replay: private`: what a finished job left
      0000050000-9f3a61c2d4e5b607.4c1f.../ the same job while an attempt works on it

A job never writes into a buffer that it did not make.  It links the episodes it begins with
(its base's buffer, or what an interrupted attempt has left) into a directory of its own, and
gives that the job's name in the end.  Two attempts at the same job, or a worker that died,
disturb nobody; on one machine all attempts hold the same episodes.

The number in a name is the agent steps a member had done when the job began.  All members of
a generation have the same, so that what is older than a job's grandparents is garbage.
"""

from __future__ import annotations

import errno
import hashlib
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pbtnas.rl.replay import Position, Replay
from pbtnas.search.space import Architecture
from pbtnas.state import Json
from pbtnas.tasks.drqv2.options import DrQV2Options

_NAME = re.compile(r"(\d{10})-[0-9a-f]{16}")


@dataclass(frozen=True)
class HeldBuffer:
    """The buffer of a member, as its state carries it.

    Args:
        name: name of the directory; empty before the first job.
        parent: agent steps at which the job began whose buffer it was made from.
        position: how far it was filled.
        missing: transitions that were lost in this job, because another machine has them.
        refill_until: there are no updates before so many agent steps of the member's life.
    """

    name: str = ""
    parent: int = 0
    position: Position = Position(0, 0)
    missing: int = 0
    refill_until: int = 0

    def to_json(self) -> dict[str, Json]:
        """For `State.info`."""
        return {
            "name": self.name,
            "parent": self.parent,
            "next_number": self.position.next_number,
            "transitions": self.position.transitions,
            "missing": self.missing,
            "refill_until": self.refill_until,
        }

    @staticmethod
    def from_json(data: Json) -> HeldBuffer:
        """The buffer that `to_json` described.  Raises `ValueError`."""
        if not isinstance(data, dict) or not isinstance(name := data.get("name"), str):
            raise ValueError(f"the state's replay is {data!r}, not that of drqv2")
        if name and not _NAME.fullmatch(name):  # it becomes part of a path
            raise ValueError(f"the state's replay has the name {name!r}")
        numbers = {}
        for key in ("parent", "next_number", "transitions", "missing", "refill_until"):
            value = data.get(key)
            if not isinstance(value, int):
                raise ValueError(f"the state's replay has {key} {value!r}")
            numbers[key] = value
        position = Position(numbers.pop("next_number"), numbers.pop("transitions"))
        return HeldBuffer(name, position=position, **numbers)


def begin(steps: int, seed: int, architecture: Architecture, base: HeldBuffer) -> HeldBuffer:
    """The buffer of a new job, filled as far as that of its base but not yet there.

    Its name is what decides its content, hashed.

    Args:
        steps: agent steps the member has done.
        seed: seed of the job.
        architecture: architecture of the member.
        base: the buffer the job begins with.
    """
    text = f"{seed}/{','.join(map(str, architecture))}/{base.name}/{base.position}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    parent = int(base.name.partition("-")[0] or 0)
    return HeldBuffer(f"{steps:010d}-{digest}", parent, base.position)


class Buffers:
    """The replay buffers of one run on this machine.

    Args:
        root: a directory for this run alone.
        options: options of the task.
    """

    def __init__(self, root: Path, options: DrQV2Options) -> None:
        self._root = root
        self._options = options

    @property
    def shared(self) -> bool:
        """Whether there is one buffer for everybody."""
        return self._options.replay == "shared"

    def open(self, held: HeldBuffer, source: str) -> tuple[Replay, int]:
        """The buffer of a job to work on, and how many transitions are missing from it.

        Args:
            held: the buffer's name, and how far it was filled.
            source: name of the buffer that has them: of the base when a job begins, the job's
                own when it goes on.
        """
        if self.shared:
            replay = self._replay(self._root / "shared")
            wanted = min(held.position.transitions, self._options.seed_steps)
            return replay, max(0, wanted - len(replay))
        replay = self._replay(self._root / f"{held.name}.{secrets.token_hex(8)}")
        found = [(replay.adopt(path, held.position), path) for path in self._copies(source)]
        if not found:
            return replay, held.position.transitions
        missing, path = min(found)
        if path != found[-1][1]:
            replay.adopt(path, held.position)
        return replay, missing

    def finish(self, replay: Replay, name: str) -> None:
        """Publish a job's buffer under its name; `replay` is not used after that."""
        if self.shared:
            return
        try:
            replay.directory.rename(self._root / name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(replay.directory)  # another attempt at this job came first

    def remove_older(self, steps: int) -> None:
        """Delete the buffers of jobs that began before so many steps, whoever made them."""
        for path in self._root.iterdir() if self._root.is_dir() else ():
            match = _NAME.match(path.name)
            if match and int(match[1]) < steps:
                shutil.rmtree(path, ignore_errors=True)  # another process may be at it too

    def _copies(self, name: str) -> Iterator[Path]:
        """The finished buffer of that name, and unfinished ones of attempts, which may vanish."""
        if name and self._root.is_dir():
            yield from sorted(p for p in self._root.iterdir() if p.name.partition(".")[0] == name)

    def _replay(self, directory: Path) -> Replay:
        return Replay(
            directory,
            capacity=self._options.replay_capacity,
            stack=self._options.frame_stack,
            nstep=self._options.nstep,
            discount=self._options.discount,
            hold_evicted=not self.shared,
        )
