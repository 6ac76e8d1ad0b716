"""The operations of the protocol, as data.

Workers and coordinator are generators that yield these and are sent the replies:
`data = yield from Get(name)` has the type that `Get` names as its reply.  One driver
carries them out on a real directory (`posix`), another on a simulated one (`simulated`) whose
scheduler kills, pauses and loses at will.  The protocol itself does no I/O and reads no clock.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pbtnas.protocol.backoff import backoff
from pbtnas.records.names import Digest, Name

R = TypeVar("R")
T = TypeVar("T")


class Operation(Generic[R]):
    """What a process asks its driver for; R is the type of the reply.  Drivers know each kind by
    its class, so nothing derives from a kind."""

    __slots__ = ()

    def __iter__(self) -> Generator[Operation[Any], Any, R]:
        reply: R = yield self
        return reply


Steps = Generator[Operation[Any], Any, T]
"""A protocol: yields operations, is sent replies, returns a T."""


class Published(enum.Enum):
    """How a no-replace publish ended.  ERROR is not a lost race: try again."""

    WON = "won"
    LOST = "lost"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Put(Operation[Published]):
    """Publish a record: complete, and never in place of another.  Replies `Published`.

    Durable before it is visible, unless `durable` is False: enough for claims, which only
    save work.  With `grouped`, its name becomes durable a moment later, together with those that
    have come into its directory by then: whoever builds on it syncs the directory anyway.
    """

    name: Name
    data: bytes
    durable: bool = True
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Reply: something is there, or may be, and its content cannot be had.

    Args:
        text: Sentence that names the file.
        passing: Whether more than this file is at fault (a stale mount, no permission): such
            trouble is waited for.  Else the file is broken, and lost when it stays so.
    """

    text: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Get(Operation["bytes | Unreadable | None"]):
    """Read a record.  Replies bytes, or None, which may be stale: absent never decides; or
    `Unreadable`, which is neither.  `reading.content` makes the best of that.

    With `once`, None may be as stale as the caches of a network file system are: enough where
    the name is all but known to be absent.
    """

    name: Name
    once: bool = False


@dataclass(frozen=True, slots=True)
class PutBlob(Operation[Published]):
    """Publish a finished private file as the checkpoint `name`.  Replies `Published`.

    LOST means the same content was there already.
    """

    source: str
    name: Name


@dataclass(frozen=True, slots=True)
class Has(Operation[bool]):
    """Whether a checkpoint of that name is there.  Replies bool; False may be stale."""

    name: Name


@dataclass(frozen=True, slots=True)
class Quarantine(Operation[Published]):
    """Put a damaged file aside, so that its slot is open again.

    Replies `Published.WON` when nothing has that name any more, else `ERROR`.
    """

    name: Name


@dataclass(frozen=True, slots=True)
class Sync(Operation[Published]):
    """Make the entries of a directory durable before publishing what depends on them.

    Replies `Published.WON` or `ERROR`.
    """

    directory: Name


@dataclass(frozen=True, slots=True)
class MakeGeneration(Operation[Published]):
    """Create the directories of a generation, durably.  Replies `WON` or `ERROR`."""

    generation: int


@dataclass(frozen=True, slots=True)
class WriteHeartbeat(Operation[None]):
    """Overwrite a heartbeat in place.  Replies nothing; may be lost."""

    name: Name
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadHeartbeat(Operation["bytes | Unreadable | None"]):
    """Read a heartbeat.  Replies bytes, `Unreadable` or None; may be stale or torn."""

    name: Name


@dataclass(frozen=True, slots=True)
class List(Operation["set[str]"]):
    """Names in a directory.  A hint: replies a set that may miss or keep entries."""

    directory: Name


@dataclass(frozen=True, slots=True)
class Replace(Operation[None]):
    """Replace a hint or a view (HEAD, best.json).  Replies nothing; may be lost."""

    name: Name
    data: bytes


@dataclass(frozen=True, slots=True)
class Discard(Operation[None]):
    """Move to the trash: checkpoints of a generation, but for `keep` (digests; None keeps all), its
    snapshots, and the private files of processes that were killed.

    Replies nothing; may be lost, and is done again by whoever coordinates the run next.
    """

    generation: int
    keep: frozenset[Digest] | None


@dataclass(frozen=True, slots=True)
class EmptyTrash(Operation[None]):
    """Delete what was discarded from generations before `generation`.  Replies nothing."""

    generation: int


@dataclass(frozen=True, slots=True)
class Dead(Operation[bool]):
    """Whether the holder of a claim is provably gone.  Replies bool; False is always safe."""

    holder: Any


@dataclass(frozen=True, slots=True)
class Now(Operation[float]):
    """Seconds on the asker's own clock, which counts while the machine is suspended."""


@dataclass(frozen=True, slots=True)
class Sleep(Operation[None]):
    """Wait.  Replies nothing."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Stopping(Operation[bool]):
    """Whether this process was asked to stop.  Replies bool."""


class AskedToStop(Exception):
    """Leaves a publish that waits for the disk, because this process was asked to stop."""


@dataclass(frozen=True, slots=True)
class Say(Operation[None]):
    """Tell the person who watches.  Replies nothing."""

    text: str


def nothing() -> Steps[None]:
    """No operation at all."""
    yield from ()


def persist(
    operation: Operation[Published], *, while_waiting: Callable[[], Steps[None]] = nothing
) -> Steps[Published]:
    """Carry out a publish until it is WON or LOST: an I/O error is never a lost race.

    `while_waiting` comes before every pause, to keep a claim alive.  Raises `AskedToStop` when
    this process is to stop before the publish succeeds.
    """
    pauses = backoff()
    while True:
        reply = yield from operation
        if reply is not Published.ERROR:
            return reply
        if (yield from Stopping()):
            raise AskedToStop
        yield from while_waiting()
        yield from Sleep(next(pauses))


def pause_s(waited_s: float, longest_s: float) -> float:
    """How long to wait before looking again: 2 % of the time already waited, and 5 ms at least.

    What is waited for is noticed at most that much late, and a long wait costs few looks.
    """
    return min(longest_s, max(0.005, 0.02 * waited_s))


def publish_checkpoint(
    source: str, name: Name, *, while_waiting: Callable[[], Steps[None]] = nothing
) -> Steps[bool]:
    """Publish a private file as a checkpoint; whether it is there now.

    False where the private file is gone: another process, for which this one had been silent for
    too long, does its work and has tidied up after it.  Raises `AskedToStop` as `persist` does.
    """
    reply = yield from persist(PutBlob(source, name), while_waiting=while_waiting)
    return reply is Published.WON or (yield from Has(name))
