"""Carries out the storage operations in a run directory on a POSIX file system.

Every publish writes a private file, makes it durable, and gives it its name in one step that
never replaces anything.  The directory is held open: should its mount go away, nothing is
written into the empty place where it was.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from pbtnas.protocol.operations import (
    Discard,
    Get,
    Has,
    List,
    MakeGeneration,
    Published,
    Put,
    PutBlob,
    Quarantine,
    ReadHeartbeat,
    Replace,
    Sync,
    Unreadable,
    WriteHeartbeat,
)
from pbtnas.records import paths
from pbtnas.records.envelope import UnreadableRecord
from pbtnas.records.names import Digest, Name
from pbtnas.regular_files import BROKEN, open_regular
from pbtnas.store.executing import Executing
from pbtnas.store.reader import RunReader

Primitive = Literal["link", "directory", "bucket"]

NO_HARD_LINKS = (
    *(errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS),
    *(errno.EMLINK, errno.EXDEV),
)
"""What `link` says in a file system, or between two, without hard links (EMLINK: of a file with
one name).  Any other error says that something is wrong, and nothing about hard links."""
_PIECE = 1 << 20  # bytes written at once

TICK_S = 0.05
"""How long after a publish its directory is touched.

A client of NFSv3 learns that names were added by the directory's time alone.  If it looked for a
name after another change, and the name was published before the server's clock ticked (every 1 to
10 ms), the directory seems unchanged to it, and the name absent, for a minute or more.
"""

GROUP_S = 0.05
"""How long after a grouped publish its directory is synced, once for all that came meanwhile."""

AGAIN_S = 1.0  # between two tries to make names durable


class PosixStore(RunReader, Executing):
    """A run directory, and the way to carry out storage operations in it.

    Args:
        root: The run directory.
        writer: The writer's name, unique to this process; part of the names of its private files.
        primitive: The way a name is published without replacing one: by hard link, or, where the
            file system has none, by renaming a non-empty directory.

    Raises `OSError` when the directory cannot be opened.
    """

    def __init__(
        self,
        root: Path,
        writer: str,
        *,
        primitive: Primitive = "link",
    ) -> None:
        RunReader.__init__(self, root.absolute())  # a task may change the current directory
        Executing.__init__(self)
        self._writer = writer
        self._primitive = primitive
        self._count = itertools.count(1)
        self._unwritten: set[str] = set()  # private files that could not be made durable
        self._unsynced: dict[str, float] = {}  # directories to sync, and until when
        self._touches: dict[str, float] = {}  # directories to touch, and from when on

    def close(self) -> None:
        if self._touches:
            time.sleep(TICK_S)
        self.settle()
        self.touch()
        super().close()

    def execute(self, operation: Any) -> Any:
        self.touch()
        return super().execute(operation)

    def _execute(self, operation: Any) -> Any:
        match operation:
            case Get() | ReadHeartbeat():
                try:
                    once = isinstance(operation, Get) and operation.once
                    return self.get(operation.name, once=once)
                except UnreadableRecord as error:
                    return Unreadable(str(error))
            case Put(name, data, durable, grouped):
                return self.put(name, data, durable=durable, grouped=grouped)
            case PutBlob(source, name):
                return self.put_blob(source, name)
            case Has(name):
                return self.exists(name)
            case List(directory):
                return set(self.names(directory))
            case WriteHeartbeat(name, data):
                self._beat(name, data)
            case Replace(name, data):
                self.replace(name, data)
            case Sync(directory):
                self._sync(directory)
                return Published.WON
            case MakeGeneration(generation):
                self._make_generation(generation)
                return Published.WON
            case Quarantine(name):
                self._quarantine(name)
                return Published.WON
            case Discard(generation, keep):
                self._discard(generation, keep)
            case _:
                raise AssertionError(f"not a storage operation: {operation!r}")
        return None

    # -- records -------------------------------------------------------------------------------

    def put(
        self, name: Name, data: bytes, *, durable: bool = True, grouped: bool = False
    ) -> Published:
        """Publish a record; see `Put`.  Raises `OSError`, having left nothing under that name."""
        if self._primitive == "directory":
            won = self._put_directory(name, data, durable=durable)
        else:
            won = self._put_file(name, data, durable=durable)
        if durable and grouped:
            self._unsynced.setdefault(_parent(name), time.monotonic() + GROUP_S)
        elif durable:
            self._sync(_parent(name))
        self._touch_later(_parent(name))
        return Published.WON if won else Published.LOST

    def _put_file(self, name: Name, data: bytes, *, durable: bool) -> bool:
        private = self._private(name)
        try:
            self._write(private, data, durable=durable)
            try:
                os.link(
                    private, name, src_dir_fd=self._fd, dst_dir_fd=self._fd, follow_symlinks=False
                )
                won = True
            except FileExistsError:
                # A repeated request is answered "exists" though its first try took effect:
                # the inode knows better than the reply.
                won = self._inode(name) == self._inode(private)
        finally:
            self._unlink(private)
        return won

    def _touch_later(self, directory: str) -> None:
        """Let every client see that names were added; see `TICK_S`."""
        self._touches[directory] = time.monotonic() + TICK_S

    @property
    def due_s(self) -> float:
        """In how many seconds `touch` has names to make durable; for ever if it has none."""
        return min(self._unsynced.values(), default=float("inf")) - time.monotonic()

    def settle(self, before_s: float = float("inf")) -> None:
        """Make the names durable that were published together, where that is due by then.

        One that cannot be is tried again every second; nothing was built on it.
        """
        for directory in [at for at, due_s in self._unsynced.items() if due_s <= before_s]:
            try:
                self._sync(directory)
            except OSError as error:
                self._unsynced[directory] = time.monotonic() + AGAIN_S
                self._complain(Sync(Name(directory)), error, sort="settle")
        if not self._unsynced and "settle" in self._troubled:
            self._over("settle")

    def touch(self) -> None:
        """Touch the directories that are due, and make durable what is; `execute` does, and so
        does who waits for long."""
        now_s = time.monotonic()
        self.settle(now_s)
        for directory in [at for at, due_s in self._touches.items() if due_s <= now_s]:
            self._touches.pop(directory, None)
            with suppress(OSError):
                os.utime(directory or ".", dir_fd=self._fd)

    def replace(self, name: Name, data: bytes) -> None:
        """Replace a hint or a view in one step, whatever has its name."""
        private = self._private(name)
        try:
            self._write(private, data, durable=False)
            self._rename_over(private, name)
        except OSError:
            self._unlink(private)
            raise

    def _put_directory(self, name: Name, data: bytes, *, durable: bool) -> bool:
        private = self._private(name)
        os.mkdir(private, dir_fd=self._fd)
        try:
            self._write(f"{private}/{paths.INSIDE}", data, durable=durable)
            if durable:
                self._sync(private)
            try:
                # Fails where anything is: a non-empty directory cannot be replaced.
                os.rename(private, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
                won = True
            except OSError as error:
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise
                won = self._holds(name, data)
        finally:
            shutil.rmtree(private, ignore_errors=True, dir_fd=self._fd)
        return won

    def _holds(self, name: Name, data: bytes) -> bool:
        try:
            return self.get(name) == data
        except UnreadableRecord:
            return False

    def _quarantine(self, name: str) -> None:
        aside = f"{name}.corrupt-{self._writer}-{next(self._count)}"
        try:
            os.rename(name, aside, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except FileNotFoundError:
            return  # somebody else was quicker

    # -- checkpoints ---------------------------------------------------------------------------

    def put_blob(self, source: str, name: Name) -> Published:
        """Publish a finished private file.

        The name holds the digest of the content, so a file of that name can be replaced by
        this one: it is the same, or damaged.
        """
        try:
            names = self._make_durable(source)
        except FileNotFoundError:
            # Published at an earlier try whose reply was lost; or the generation was collected
            # under a process that slept for long, and its result decided by others long ago.
            if self.exists(name):
                self._sync(_parent(name))
            return Published.LOST
        self._rename_over(source, name)
        if names > 1:
            self._unlink(source)  # still there if both names were of one file already
        self._sync(_parent(name))
        return Published.WON

    def _make_durable(self, source: str) -> int:
        """Sync a private file that another process has written; the number of its names.

        A kernel tells once that it could not write a page, and takes the page for written from
        then on: to sync again proves nothing, before the same bytes were written again.
        """
        fd = open_regular(source, held=self._fd)
        try:
            if source in self._unwritten:
                self._write_again(source)
            self._unwritten.add(source)
            os.fsync(fd)
            self._unwritten.discard(source)
            return os.fstat(fd).st_nlink
        finally:
            os.close(fd)

    def _write_again(self, source: str) -> None:
        fd = os.open(source, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            at = 0
            while piece := os.pread(fd, _PIECE, at):
                at += os.pwrite(fd, piece, at)
        finally:
            os.close(fd)

    def private(self, name: str) -> Path:
        """Where this process may write a private file of that name, to be published then."""
        return self.root / name

    def share(
        self,
        name: Name,
        *,
        instead_of: Callable[[str], bool] = lambda leaf: False,
        among: Sequence[Name] = (),
    ) -> None:
        """Let others see a file that this process has written; in a directory they do."""

    def bring(self, directory: Name, key: Callable[[str], int | None]) -> None:
        """Have the file of a directory here whose last part has the highest key; it is."""

    def delete(self, name: Name) -> None:
        """Delete a file that nobody needs, unless it is gone already.  Raises `OSError`."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def make(self, directory: Name) -> None:
        """Make a directory beside those of the protocol, unless it is there.  Raises `OSError`."""
        with suppress(FileExistsError):
            os.mkdir(directory, dir_fd=self._fd)

    @contextmanager
    def edited(self, name: Name) -> Iterator[Path]:
        """A file that is there or will be, to be changed in place.  Raises `OSError`."""
        yield self.root / name

    def _discard(self, generation: int, keep: frozenset[Digest] | None) -> None:
        """Move a generation's checkpoints, snapshots and private files to the trash."""
        home, attempts = paths.generation(generation), paths.attempts(generation)
        old = {}
        for name in self.names(paths.checkpoints(generation)):
            private = name.startswith(paths.PRIVATE)
            kept = keep is None or name.removesuffix(".safetensors") in keep
            if private or not kept:
                old[f"{paths.checkpoints(generation)}/{name}"] = name
        for attempt in self.names(attempts):
            for name in self.names(paths.within(attempts, attempt)):
                if name.startswith(("snapshot-", paths.PRIVATE)):
                    old[f"{attempts}/{attempt}/{name}"] = f"{attempt}-{name}"
        for directory in (home, *(f"{home}/{sort}" for sort in ("claims", "results", "births"))):
            for name in self.names(Name(directory)):
                if name.startswith(paths.PRIVATE):
                    old[f"{directory}/{name}"] = f"{directory.rpartition('/')[2]}-{name}"
        if old:
            self._mkdir(paths.trash(generation))
        for name, leaf in old.items():
            aside = f"{paths.trash(generation)}/{leaf}"
            try:
                os.rename(name, aside, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            except FileNotFoundError:
                continue  # another coordinator tidies too

    # -- directories and heartbeats ------------------------------------------------------------

    def _make_generation(self, generation: int) -> None:
        directory = paths.generation(generation)
        self._mkdir(directory)
        for name in paths.GENERATION_DIRECTORIES:
            self._mkdir(f"{directory}/{name}")
        self._sync(directory)
        self._sync(_parent(directory))
        self._touch_later(_parent(directory))

    def _mkdir(self, name: str) -> None:
        try:
            os.mkdir(name, dir_fd=self._fd)
        except FileExistsError:
            if Path(self.root, name).is_dir():
                return
            self._quarantine(name)  # a file, a loop of links: none of ours
            os.mkdir(name, dir_fd=self._fd)

    def _sync(self, directory: str) -> None:
        fd = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._fd)
        try:
            sync_directory(fd)
        finally:
            os.close(fd)
        self._unsynced.pop(directory, None)

    def _beat(self, name: str, data: bytes) -> None:
        """Overwritten in place: a heartbeat of fixed length needs no space on a full disk."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            fd = os.open(name, flags, 0o644, dir_fd=self._fd)
        except OSError as error:
            if error.errno not in (*BROKEN, errno.EISDIR):
                raise
            self._quarantine(name)  # a pipe, a link, a directory: none of ours
            fd = os.open(name, flags, 0o644, dir_fd=self._fd)
        try:
            os.pwrite(fd, data, 0)
        finally:
            os.close(fd)  # a network file system sends it now, and a reader's open fetches it

    # -- files ---------------------------------------------------------------------------------

    def _private(self, name: str) -> str:
        """A name beside `name` that nobody else uses."""
        directory = _parent(name)
        leaf = f"{paths.PRIVATE}{self._writer}-{next(self._count)}"
        return f"{directory}/{leaf}" if directory else leaf

    def _inode(self, name: str) -> tuple[int, int]:
        """The device and inode of a file."""
        status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        return status.st_dev, status.st_ino

    def _write(self, name: str, data: bytes, *, durable: bool) -> None:
        """Create a file with that content."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o644, dir_fd=self._fd)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)  # a quota may only be noticed here

    def _rename_over(self, source: str, name: str) -> None:
        """Rename a file, whatever has the name that it gets."""
        try:
            os.rename(source, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except IsADirectoryError:
            self._quarantine(name)
            os.rename(source, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._fd)
        except OSError:
            return  # a private file left behind is litter, not harm

    def _hint(self, error: OSError) -> str:
        return (
            " (no hard links here? `pbtnas doctor` tells)" if error.errno in NO_HARD_LINKS else ""
        )


def sync_directory(fd: int) -> None:
    """Make the names in an open directory durable.  Raises `OSError`."""
    try:
        os.fsync(fd)
    except OSError as error:
        # Some file systems cannot sync a directory, and do it with every operation.
        if error.errno not in (errno.EINVAL, errno.EBADF):
            raise


def _parent(name: str) -> str:
    return name.rpartition("/")[0]
