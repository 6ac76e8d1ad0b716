"""`pbtnas fsck`: is everything in a run directory what it was when it was written?

Checks every record's checksum, the hash chain from the first manifest to the end, the copies
of the results in the selections, and the digest of every checkpoint that is still kept.  With
`repair`, what is damaged is put aside (nothing is ever deleted), and results are restored from
their copies; coordinator and workers compute the rest again when they run next.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pbtnas.checkpoints.digests import file_digest
from pbtnas.protocol.operations import Quarantine
from pbtnas.records import paths
from pbtnas.records.envelope import Record, RecordError, encode
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Child, Manifest, Result, Selected
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.reader import RunReader
from pbtnas.store.run_directory import Run, open_run


@dataclass(frozen=True)
class Fault:
    """Something that is not as it was written.

    Args:
        name: The name of the file, in the run directory.
        what: The fault of the file, and what will become of it.
        damaged: Whether there is a file to put aside.
        restored: The record to write in its place, where there is a copy.
    """

    name: Name
    what: str
    damaged: bool
    restored: Record | None = None


def check(root: Path) -> list[Fault]:
    """Everything wrong with a run directory, in the order of its generations.

    Raises `NotARun`, or `RecordError` when `run.json` or the configuration is damaged: without
    them there is no run.
    """
    run = open_run(root)
    with RunReader(root) as files:
        return [*_engine(files, run), *_faults(files, run), *_afterwards(files, run)]


def repair(root: Path, faults: list[Fault]) -> None:
    """Put aside what is damaged and restore what there is a copy of.  Raises `OSError`."""
    run = open_run(root)
    with PosixStore(root, this_process("f")["worker"], primitive=run.primitive) as store:
        for fault in faults:
            if fault.damaged:
                store.execute(Quarantine(fault.name))
            if fault.restored is not None:
                store.put(fault.name, encode(fault.restored))


def _engine(files: RunReader, run: Run) -> Iterator[Fault]:
    """Damaged engine settings.  They stay where they are: a gap would hide the later ones."""
    for number in itertools.count(1):
        name = paths.engine(number)
        if not files.published(name):
            return
        _, fault = _read(files, run, name, "engine", "ignored; give its settings again")
        if fault is not None:
            yield replace(fault, damaged=False)


def _faults(files: RunReader, run: Run) -> Iterator[Fault]:
    previous: Digest | None = None
    generation = 0
    while True:
        name = paths.manifest(generation)
        record, fault = _read(files, run, name, "manifest", "computed again by the coordinator")
        later = files.published(paths.manifest(generation + 1))
        if fault is not None and (fault.damaged or later):
            yield fault
        if record is None and not later:
            yield from _missing(files, run, generation - 1)
            return
        if record is not None:
            manifest = Manifest.from_json(record.core)
            if previous is not None and manifest.previous != previous:
                yield Fault(name, f"does not continue {paths.selection(generation - 1)}", False)
            previous = yield from _generation(files, run, manifest, record.digest, later)
        generation += 1


def _generation(
    files: RunReader, run: Run, manifest: Manifest, digest: Digest, over: bool
) -> Generator[Fault, None, Digest | None]:
    """The faults of one generation; returns the digest of its selection."""
    name = paths.selection(manifest.generation)
    record, fault = _read(files, run, name, "selection", "decided again from the results")
    if fault is not None and (fault.damaged or over):
        yield fault
    selected = Selected.from_json(record.core) if record is not None else None
    if selected is not None and selected.manifest != digest:
        yield Fault(name, f"was decided for another {paths.manifest(manifest.generation)}", False)
    for job in manifest.jobs:
        copy = selected.result(job.member) if selected is not None else None
        yield from _result(files, run, manifest.generation, job.member, copy)
    yield from _children(files, run, manifest.generation, selected)
    yield from _checkpoints(files, run, manifest.generation)
    return record.digest if record is not None else None


def _result(
    files: RunReader, run: Run, generation: int, member: int, copy: Result | None
) -> Iterator[Fault]:
    name = paths.result(generation, member)
    record, fault = _read(files, run, name, "result", "the job will be done again")
    if copy is None:
        if fault is not None and fault.damaged:
            yield fault
        return
    restored = Record("result", run.id, copy.to_json(), {"restored": True}, new_nonce())
    if fault is not None:
        yield Fault(name, f"{_cause(fault)}; restored from the selection", fault.damaged, restored)
    elif record is not None and record.digest != restored.digest:
        yield Fault(name, "not the result that was selected on; restored", True, restored)


def _children(
    files: RunReader, run: Run, generation: int, selected: Selected | None
) -> Iterator[Fault]:
    if selected is None:
        return
    for birth in selected.births:
        name = paths.birth(generation, birth.member)
        record, fault = _read(files, run, name, "birth", "known from the next manifest")
        if fault is not None and fault.damaged:
            yield fault
        elif record is not None and Child.from_json(record.core).member != birth.member:
            yield Fault(name, f"tells of member {record.core['member']}", False)


def _checkpoints(files: RunReader, run: Run, generation: int) -> Iterator[Fault]:
    yield from _files(files, run, paths.checkpoints(generation), "computed again when it is needed")


def _files(files: RunReader, run: Run, directory: Name, remedy: str) -> Iterator[Fault]:
    """The files in a directory that do not have the digest they are named by."""
    for leaf in sorted(files.names(directory)):
        name, _, suffix = leaf.partition(".")
        if name and suffix == "safetensors":
            found = file_digest(files.root / directory / leaf, run.hash)
            if found != name:
                yield Fault(paths.within(directory, leaf), f"its digest is {found}; {remedy}", True)


def _afterwards(files: RunReader, run: Run) -> Iterator[Fault]:
    """What was made after the search: evaluations and soups."""
    for directory in (paths.ARTIFACTS, paths.SOUPS):
        for leaf in sorted(files.names(directory)):
            kind = paths.kind_afterwards(leaf)
            if kind is not None:
                name = paths.within(directory, leaf)
                _, fault = _read(files, run, name, kind, "made again by the same command")
                if fault is not None:
                    yield fault
    yield from _files(files, run, paths.SOUPS, "made again by `pbtnas soup`")


def _missing(files: RunReader, run: Run, newest: int) -> Iterator[Fault]:
    """Checkpoints that must be there still: those of the newest two generations."""
    for generation in range(max(0, newest - 1), newest + 1):
        for name in sorted(files.names(paths.results(generation))):
            record, _ = _read(
                files, run, paths.within(paths.results(generation), name), "result", ""
            )
            checkpoint = record.core["checkpoint"] if record is not None else None
            if checkpoint and not files.exists(paths.checkpoint(generation, checkpoint)):
                missing = paths.checkpoint(generation, checkpoint)
                yield Fault(missing, "missing; computed again when it is needed", False)
                if generation == newest and files.published(paths.FINAL):
                    yield Fault(paths.FINAL, "to be put aside, so that the run is resumed", True)


def _read(
    files: RunReader, run: Run, name: Name, kind: str, remedy: str
) -> tuple[Record | None, Fault | None]:
    try:
        record = files.record(name, kind, run.id)
    except RecordError as error:
        what = str(error).removeprefix(f"{name}: ")
        return None, Fault(name, f"{what}; {remedy}", damaged=True)
    missing = Fault(name, f"missing; {remedy}", damaged=False)
    return record, missing if record is None else None


def _cause(fault: Fault) -> str:
    return fault.what.partition(";")[0]
