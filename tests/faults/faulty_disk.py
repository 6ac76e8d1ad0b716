"""A file system that shows another directory, with planted faults; needs FUSE and `mfusepy`.

    python -m tests.faults.faulty_disk BACK MOUNT RULES [--seed 0] [--absent-s 0] [--listing-s 0]

Several mounts of one BACK are several clients, each with memories of its own: of absent names for
up to `--absent-s` seconds, and of listings for up to `--listing-s`.  RULES is a file that
`write_rules` wrote, which all clients read again when it changes.  Each fault is noted in
RULES.log.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import mfusepy

from tests.faults.rules import Faults, Rule


class Memory:
    """What a client of a network file system remembers of directories.

    An absent name stays absent until its time is over, or until its directory is opened and has
    changed since the name was looked up, as NFS has it.
    """

    def __init__(self, seed: int, absent_s: float, listing_s: float) -> None:
        self._rng = random.Random(seed)
        self._absent_s = absent_s
        self._listing_s = listing_s
        self._absent: dict[str, dict[str, tuple[float, int]]] = {}
        self._listings: dict[str, tuple[float, list[str]]] = {}

    def forget(self, path: str) -> None:
        """This client has made the name itself."""
        directory, _, leaf = path.rpartition("/")
        self._absent.get(directory, {}).pop(leaf, None)

    def missed(self, path: str, changed: int) -> None:
        directory, _, leaf = path.rpartition("/")
        if self._absent_s:
            until_s = time.monotonic() + self._rng.uniform(0, self._absent_s)
            self._absent.setdefault(directory, {})[leaf] = (until_s, changed)

    def says_absent(self, path: str) -> bool:
        directory, _, leaf = path.rpartition("/")
        return self._absent.get(directory, {}).get(leaf, (0.0, 0))[0] > time.monotonic()

    def opened(self, directory: str, changed: int) -> None:
        held = self._absent.get(directory.rstrip("/"), {})
        for leaf in [leaf for leaf, (_, seen) in held.items() if seen != changed]:
            held.pop(leaf, None)

    def listing(self, directory: str, back: Path) -> list[str]:
        until_s, names = self._listings.get(directory, (0.0, []))
        if until_s <= time.monotonic():
            names = [path.name for path in back.iterdir()]
            until_s = time.monotonic() + self._rng.uniform(0, self._listing_s)
            self._listings[directory] = (until_s, names)
        return names


class FaultyDisk(mfusepy.Operations):  # type: ignore[misc]
    """Hands every operation on to the directory behind it, unless a fault strikes."""

    use_ns = True

    def __init__(self, back: Path, faults: Faults, memory: Memory) -> None:
        self._back = back
        self._faults = faults
        self._memory = memory

    def _at(self, path: str) -> Path:
        return self._back / path.lstrip("/")

    def _strike(self, op: str, path: str, fd: int | None = None) -> Rule | None:
        """Let a fault strike; raises what comes before the operation is carried out."""
        try:
            inode = (os.fstat(fd) if fd is not None else self._at(path).lstat()).st_ino
        except OSError:
            inode = -1
        rule = self._faults.strike(op, path, inode)
        if rule is not None and rule.error and not rule.done:
            raise mfusepy.FuseOSError(getattr(errno, rule.error))
        return rule

    @staticmethod
    def _lose_reply(rule: Rule | None) -> None:
        if rule is not None and rule.error:
            raise mfusepy.FuseOSError(getattr(errno, rule.error))

    # -- names ---------------------------------------------------------------------------------

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        self._strike("getattr", path, fh)
        if fh is not None:
            status = os.fstat(fh)
        else:
            status = self._look(path)
        names = ("mode", "nlink", "size", "ino", "uid", "gid", "blocks")
        times = {f"st_{t}time": getattr(status, f"st_{t}time_ns") for t in "amc"}
        return {f"st_{name}": getattr(status, f"st_{name}") for name in names} | times

    def _look(self, path: str) -> os.stat_result:
        if self._memory.says_absent(path):
            raise mfusepy.FuseOSError(errno.ENOENT)
        changed = self._changed(path.rpartition("/")[0])
        try:
            return self._at(path).lstat()
        except FileNotFoundError:
            self._memory.missed(path, changed)
            raise

    def _changed(self, directory: str) -> int:
        try:
            return self._at(directory).stat().st_mtime_ns
        except OSError:
            return 0

    def opendir(self, path: str) -> int:
        self._strike("opendir", path)
        self._memory.opened(path, self._changed(path))
        return 0

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        self._strike("readdir", path)
        names = [".", "..", *self._memory.listing(path, self._at(path))]
        # The kernel leaves out what has inode 0; nobody looks at the others.
        return [(name, {"st_ino": 1}, 0) for name in names]

    def link(self, target: str, source: str) -> int:
        rule = self._strike("link", target)
        self._memory.forget(target)
        self._at(target).hardlink_to(self._at(source))
        self._lose_reply(rule)
        return 0

    def rename(self, old: str, new: str) -> int:
        rule = self._strike("rename", new)
        self._memory.forget(new)
        self._at(old).replace(self._at(new))
        self._lose_reply(rule)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        rule = self._strike("mkdir", path)
        self._memory.forget(path)
        self._at(path).mkdir(mode)
        self._lose_reply(rule)
        return 0

    def unlink(self, path: str) -> int:
        rule = self._strike("unlink", path)
        self._at(path).unlink()
        self._lose_reply(rule)
        return 0

    def rmdir(self, path: str) -> int:
        self._at(path).rmdir()
        return 0

    def symlink(self, target: str, source: str) -> int:
        self._at(target).symlink_to(source)
        return 0

    def readlink(self, path: str) -> str:
        return str(self._at(path).readlink())

    # -- files ---------------------------------------------------------------------------------

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._strike("create", path)
        self._memory.forget(path)
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def open(self, path: str, flags: int) -> int:
        self._strike("open", path)
        return os.open(self._at(path), flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        rule = self._strike("read", path, fh)
        data = bytearray(os.pread(fh, size, offset))
        if rule is not None and rule.flip is not None and data:
            at = os.fstat(fh).st_size - rule.flip - offset
            data[min(max(at, 0), len(data) - 1)] ^= 1
        return bytes(data)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        rule = self._strike("write", path, fh)
        written = os.pwrite(fh, data, offset)
        self._lose_reply(rule)
        return written

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._at(path) if fh is None else fh, length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        rule = self._strike("fsync", path, fh)
        os.fsync(fh)
        self._lose_reply(rule)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._strike("fsyncdir", path)
        return 0

    def flush(self, path: str, fh: int) -> int:
        return 0

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    # -- the rest ------------------------------------------------------------------------------

    def chmod(self, path: str, mode: int) -> int:
        self._at(path).chmod(mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self._at(path), uid, gid)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self._at(path), ns=times)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        status = os.statvfs(self._at(path))
        return {name: getattr(status, name) for name in dir(status) if name.startswith("f_")}


def unmount_with_parent(mount: Path) -> None:
    """Wait for the end of the process that started this one, and leave no mount behind."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)
    subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False)


def main() -> None:
    """Show the directory until it is unmounted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("back", type=Path)
    parser.add_argument("mount", type=Path)
    parser.add_argument("rules", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--absent-s", type=float, default=0.0)
    parser.add_argument("--listing-s", type=float, default=0.0)
    options = parser.parse_args()
    memory = Memory(options.seed, options.absent_s, options.listing_s)
    disk = FaultyDisk(
        options.back.absolute(), Faults(options.rules, options.mount.name, options.seed), memory
    )
    threading.Thread(target=unmount_with_parent, args=[options.mount], daemon=True).start()
    # The kernel remembers nothing, so that every operation comes here.  Inodes are those behind,
    # because a publish compares them; and what is unlinked is gone, open or not.
    nothing_remembered = dict.fromkeys(("entry_timeout", "attr_timeout", "negative_timeout"), 0)
    flags = dict.fromkeys(("foreground", "use_ino", "direct_io", "hard_remove"), True)
    mfusepy.FUSE(disk, str(options.mount), **flags, **nothing_remembered)


if __name__ == "__main__":
    main()
