"""The content of a heartbeat file: fixed length, overwritten in place."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

BEAT_LENGTH = 128  # bytes
IDLE = "waiting for work"
ELSEWHERE = "busy with "  # and the run of the study for which a worker works


@dataclass(frozen=True)
class Heartbeat:
    """What a heartbeat says: a counter that moves while the holder lives, and for people, how
    far it is and in which phase."""

    counter: int
    done: int = 0
    phase: str = ""

    def encode(self) -> bytes:
        """Fixed length, so that it is overwritten in place even on a full disk."""
        text = f"{self.counter} {self.done} {self.phase}".encode()[: BEAT_LENGTH - 10]
        padded = text.ljust(BEAT_LENGTH - 9)
        return padded + b"%08x\n" % zlib.crc32(padded)

    @classmethod
    def decode(cls, data: bytes) -> Heartbeat | None:
        """The beat, or None if it is torn."""
        if len(data) != BEAT_LENGTH or data[-9:] != b"%08x\n" % zlib.crc32(data[:-9]):
            return None
        counter, done, phase = data[:-9].decode(errors="replace").split(" ", 2)
        return cls(int(counter), int(done), phase.strip())
