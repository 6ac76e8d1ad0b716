"""The content of a heartbeat file, and the phases that programs read in it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

BEAT_LENGTH = 128  # bytes
IDLE = "waiting for work"
PAUSED = "waiting until the run is resumed"  # what screens say of an idle worker of a paused run
_WAITING = "waiting: "
_DISK = "waiting for the disk: "
_BUSY = "busy with "
_LEFT = "left: "
_REASON = 90  # characters of a reason that a heartbeat has room for


def waiting_for(trouble: str) -> str:
    """The phase of a worker that cannot go on, with the reason.

    Of a long one the end is kept, which says what is wrong; its beginning is a path.
    """
    return _WAITING + (trouble if len(trouble) <= _REASON else f"...{trouble[3 - _REASON :]}")


def left(ending: str) -> str:
    """The last phase of a worker, with how it ended."""
    return _LEFT + ending


def at_disk(what: str) -> str:
    """The phase of a worker whose training process reads or writes, however long that takes."""
    return _DISK + what


def busy_with(run: str) -> str:
    """The phase that a worker shows in a run while it works for another one of the study."""
    return _BUSY + run


@dataclass(frozen=True)
class Heartbeat:
    """A counter that moves while its writer lives, and what that writer does.

    Args:
        counter: Heartbeats so far.
        done: Steps of the job that are done.
        phase: Current work, in words for people; `waiting_for`, `busy_with` and `idle` read it
            for programs.
    """

    counter: int
    done: int = 0
    phase: str = ""

    @property
    def idle(self) -> bool:
        """Whether the writer has no work."""
        return self.phase == IDLE

    @property
    def waiting_for(self) -> str:
        """The reason why the writer cannot go on; "" if it can."""
        return self._after(_WAITING)

    @property
    def left(self) -> str:
        """How the writer ended; "" as long as it has not said so."""
        return self._after(_LEFT)

    @property
    def busy_with(self) -> str:
        """The other run that the writer works for; "" if none."""
        return self._after(_BUSY)

    def _after(self, prefix: str) -> str:
        return self.phase.removeprefix(prefix) if self.phase.startswith(prefix) else ""

    def encode(self) -> bytes:
        """Its bytes, of fixed length so that a file is overwritten in place even on a full disk."""
        text = f"{self.counter} {self.done} {self.phase}".encode()[: BEAT_LENGTH - 10]
        padded = text.ljust(BEAT_LENGTH - 9)
        return padded + b"%08x\n" % zlib.crc32(padded)

    @classmethod
    def decode(cls, data: bytes) -> Heartbeat | None:
        """Read a heartbeat; None if it is torn, or none of ours."""
        if len(data) != BEAT_LENGTH or data[-9:] != b"%08x\n" % zlib.crc32(data[:-9]):
            return None
        try:
            counter, done, phase = data[:-9].decode(errors="replace").split(" ", 2)
            return cls(int(counter), int(done), phase.strip())
        except ValueError:
            return None
