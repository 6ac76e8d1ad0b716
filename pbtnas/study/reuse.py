"""Copies what `protocol.reuse` takes over from another run of the study."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pbtnas.checkpoints.one_pass import CorruptCheckpoint, OnePass
from pbtnas.records import paths
from pbtnas.records.envelope import CorruptRecord, digest
from pbtnas.records.members import counted_of
from pbtnas.records.names import Digest
from pbtnas.records.schema import Job
from pbtnas.store.opening import Store
from pbtnas.store.posix import NO_HARD_LINKS
from pbtnas.store.products import published, started_with
from pbtnas.store.run_directory import Run


def kind_of(run: Run, store: Store) -> str | None:
    """Digest of what, besides a job's record, decides its result; None if it cannot be read."""
    try:
        found, started = published(store), started_with(store, run.id)
    except (OSError, CorruptRecord):
        return None
    if started is None or any(found.get(name) != sha256 for name, sha256 in started.items()):
        return None
    task = {**run.config["task"], **(run.options or {})}
    codes = [known.code.digest for known in run.codes.known]
    # A result without them is not that of a run whose objectives ask for them.
    counted = counted_of(run.config)
    return digest([task, run.space, run.hash, found, codes, *counted])


def take_checkpoint(
    source: Path, own: Path, job: Job, checkpoint: Digest, *, algorithm: str, writer: str
) -> str | None:
    """A private name for the checkpoint of a peer; None if it is not there as it should be.

    Args:
        source: Run directory of the peer.
        own: Run directory that takes it.
        job: Job whose result it is.
        checkpoint: Digest of the checkpoint.
        algorithm: Algorithm of the digest.
        writer: Name for private files.
    """
    # A name of its own: training overwrites what it finds under its own, and this may be a
    # link to the peer's checkpoint.
    what = f"{paths.member_name(job.member)}-reused"
    name = paths.private_checkpoint(job.generation, writer, what)
    private = own / name
    try:
        private.unlink(missing_ok=True)
        _link_or_copy(
            source / paths.checkpoint(job.generation, checkpoint), private, checkpoint, algorithm
        )
        return name
    except (OSError, CorruptCheckpoint):
        pass  # damaged, collected as garbage, or a full disk: training waits for that
    with suppress(OSError):
        private.unlink(missing_ok=True)
    return None


def _link_or_copy(source: Path, target: Path, checkpoint: Digest, algorithm: str) -> None:
    """Give a checkpoint a second name, or copy the very bytes that have its digest.

    Raises `CorruptCheckpoint` unless they have; `OSError`.
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        with target.open("xb") as copy, OnePass(source, algorithm, copy=copy.write) as file:
            file.check(checkpoint)
    else:
        with OnePass(target, algorithm) as file:
            file.check(checkpoint)
