"""`pbtnas doctor`: can this directory carry a run, and how fast is it?

Tries on the very file system what the protocol rests on.  Nothing of it stays behind.  What passes
between machines is measured by `between`.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pbtnas.protocol.operations import Published
from pbtnas.records.names import Name
from pbtnas.store.bucket.address import address_of
from pbtnas.store.posix import PosixStore, Primitive
from pbtnas.store.run_directory import best_primitive

WRITERS, SLOTS, TRIES = 8, 25, 20


@dataclass(frozen=True)
class Answer:
    """What one trial found.

    Args:
        good: Whether a run can live with it.
        text: One sentence.
    """

    good: bool
    text: str


def examine(directory: Path) -> Iterator[Answer]:
    """Try everything out in a directory below, or in the bucket that the directory stands for.

    Answers as soon as something is known.  Raises `OSError` if nothing can be made there.
    """
    address = address_of(directory)
    if address is not None:
        from pbtnas.store.bucket.checking import trials
        from pbtnas.store.bucket.client import client_of

        client = client_of(address.url, make=True)
        yield from (Answer(good, text) for good, text in trials(client))
        return
    with tempfile.TemporaryDirectory(prefix=".pbtnas-doctor-", dir=directory) as name:
        root = Path(name)
        primitive = best_primitive(root)
        yield _file_system(root)
        yield _primitive(primitive)
        for each in ("link", "directory") if primitive == "link" else ("directory",):
            yield _one_winner(root, each)
        yield _in_place(root)
        yield _latency(root, primitive)
        yield _space(root)


def mount_of(directory: Path) -> tuple[str, str]:
    """The kind of file system of a directory, such as "nfs4", and the options of its mount."""
    return _mount(directory)[1:]


def _mount(directory: Path) -> tuple[str, str, str]:
    best, kind, options = "", "unknown", ""
    resolved = directory.resolve()
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount, found, told, *_ = line.split()
        if Path(mount) in (resolved, *resolved.parents) and len(mount) >= len(best):
            best, kind, options = mount, found, told
    return best, kind, options


def _file_system(root: Path) -> Answer:
    try:
        best, kind, _ = _mount(root)
    except OSError:
        return Answer(True, "file system: unknown (this machine has no /proc)")
    if kind.startswith("nfs"):
        hint = "; every name that is absent is looked for twice, past the client's cache"
        return Answer(True, f"file system: {kind} at {best}{hint}")
    return Answer(True, f"file system: {kind} at {best}")


def _primitive(primitive: Primitive) -> Answer:
    if primitive == "link":
        return Answer(True, "records are published by hard link")
    return Answer(True, "no hard links here: records are published as directories instead")


def _one_winner(root: Path, primitive: Primitive) -> Answer:
    """Several writers race for the same names: each name must have exactly one winner."""
    wins: list[str] = []
    barrier = threading.Barrier(WRITERS)

    def race(writer: int) -> None:
        store = PosixStore(root, f"{primitive}-{writer}", primitive=primitive)
        barrier.wait()
        for slot in range(SLOTS):
            name = Name(f"{primitive}-slot-{slot}")
            if store.put(name, b"%d" % writer) is Published.WON:
                wins.append(name)
        store.close()

    threads = [threading.Thread(target=race, args=(i,)) for i in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = sorted(wins) == sorted({f"{primitive}-slot-{slot}" for slot in range(SLOTS)})
    what = "exactly one winner each" if good else f"{len(wins)} winners: not safe for a run"
    return Answer(good, f"{WRITERS} writers for {SLOTS} names by {primitive}: {what}")


def _in_place(root: Path) -> Answer:
    path = root / "beat"
    path.write_bytes(b"a" * 128)
    before = path.stat().st_ino
    fd = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(fd, b"b" * 128, 0)
    finally:
        os.close(fd)
    good = path.read_bytes() == b"b" * 128 and path.stat().st_ino == before
    return Answer(good, f"heartbeats in place: {'yes' if good else 'no'}")


def _latency(root: Path, primitive: Primitive) -> Answer:
    store = PosixStore(root, "latency", primitive=primitive)
    durable = _median_ms(lambda i: store.put(Name(f"durable-{i}"), b"x" * 800))
    quick = _median_ms(lambda i: store.put(Name(f"quick-{i}"), b"x" * 800, durable=False))
    store.close()
    return Answer(
        True, f"a durable publish takes {durable:.2f} ms, a claim {quick:.2f} ms (median)"
    )


def _median_ms(put: Callable[[int], object]) -> float:
    took = []
    for i in range(TRIES):
        began_s = time.perf_counter()
        put(i)
        took.append(1000 * (time.perf_counter() - began_s))
    return statistics.median(took)


def _space(root: Path) -> Answer:
    free = shutil.disk_usage(root).free
    inodes = os.statvfs(root).f_favail
    good = free > 1 << 30
    text = f"free space: {free / 2**30:.1f} GiB, {inodes} files"
    return Answer(good, text if good else f"{text}; a run keeps three generations of checkpoints")
