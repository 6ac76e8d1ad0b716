"""Making a run directory, and opening one: the records that say which run it is.

Any number of processes may do this at the same moment; the first to publish decides, the
others adopt.  What only a writer needs is imported where something is written: most commands look.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.processor import Processor, processor_of
from pbtnas.protocol.backoff import TRIES, backoff
from pbtnas.records import paths
from pbtnas.records.envelope import (
    GUARD,
    CorruptRecord,
    ForeignRecord,
    Record,
    UnreadableRecord,
    decode,
    digest,
    encode,
    is_guard,
)
from pbtnas.records.names import Name
from pbtnas.records.spaces import space_from_json, space_to_json
from pbtnas.records.task_code import Codes, TaskCode, known_codes
from pbtnas.search.space import SearchSpace
from pbtnas.store.bucket.address import address_of
from pbtnas.store.identity import new_identifier, new_nonce
from pbtnas.store.opening import Store, open_files, open_store
from pbtnas.store.patience import UNWRITABLE

if TYPE_CHECKING:
    from pbtnas.protocol.operations import Published
    from pbtnas.store.posix import Primitive

log = logging.getLogger(__name__)


class NotARun(PbtnasError):
    """A directory that is missing, empty or not a run of pbtnas; one sentence."""

    exit_code = ExitCode.USAGE


class OtherSpace(NotARun):
    """The task at hand has another search space than the run was started with."""


class NotYetARun(NotARun):
    """Missing or still empty: a coordinator may be about to make a run of it."""


@dataclass(frozen=True)
class Run:
    """Which run a directory holds.

    Args:
        id: The id, unique to the run; every record carries it.
        primitive: The way records are published in it.
        hash: The algorithm of the checkpoints' digests.
        space: The digest of the task's search space.
        pbtnas: The version that started it.
        config: The resolved configuration as JSON, with the engine settings that hold now.
        options: All options of the task that it was started with, those at their defaults
            included; None for a run begun before they were recorded.
        variables: The search space itself; None for a run begun before it was recorded.
        processor: The processor that it was started with; None likewise.
        codes: The code of the task that it knows; none for a run begun before it was recorded.
        logging: The loggers that stood in its configuration when it was started.
    """

    id: str
    primitive: Primitive
    hash: str
    space: str
    pbtnas: str
    config: Mapping[str, Any]
    options: Mapping[str, Any] | None = None
    variables: SearchSpace | None = field(default=None, compare=False)
    processor: Processor | None = None
    codes: Codes = Codes()
    logging: tuple[str, ...] = ()


def create(
    root: Path,
    config: Mapping[str, Any],
    *,
    about: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
    space: SearchSpace | None = None,
    processor: Processor | None = None,
    code: TaskCode | None = None,
    logging: Sequence[str] = (),
) -> Run:
    """Make a run directory, or adopt the run that is there.

    Args:
        root: The run directory, created with its parents if missing.
        config: The resolved configuration as JSON, stored if none is.
        about: Further entries of `run.json` (hash, space, seed, task, created).
        options: All options of the task, those at their defaults included.  They are stored
            beside the configuration: fingerprints begin with what was given.
        space: The search space, stored there too, for commands that show a run.
        processor: The processor of this machine, stored there too.
        code: The code of the task, stored there too; None where it is not known.
        logging: The loggers to be told of it, stored there too.

    What is damaged of `run.json` and the configuration is put aside and written again.

    Raises `NotARun` when the directory holds something else, `UnreadableRecord` when one of them
    cannot be read, which may pass, `OSError` when it cannot be written.
    """
    damaged = False
    try:
        return open_run(root)  # needs no space: a coordinator may be restarted on a full disk
    except NotYetARun:
        make_directory(root)
    except UnreadableRecord:
        raise
    except CorruptRecord:
        log.warning("%s: what is damaged of run.json and the configuration is written again", root)
        damaged = True

    primitive = best_primitive(root)
    with open_store(root, f"create-{os.urandom(4).hex()}", primitive=primitive) as store:
        if damaged:
            _put_aside_what_is_damaged(store)
        for name in paths.TOP_DIRECTORIES:
            make_directory(root / name)
        store.put(paths.FORMAT, paths.FORMAT_TEXT)
        # Where `run.json` was lost, the run is the one that its other records are of.
        left = store.record(paths.manifest(0), "manifest") or store.record(paths.CONFIG, "config")
        identifier = new_identifier() if left is None else left.run
        core = {**about, "primitive": primitive}
        _put(store, paths.RUN, Record("run", identifier, core, {}, new_nonce()))
        run = store.record(paths.RUN, "run")
        assert run is not None, "what was published is there"
        meta: dict[str, Any] = {} if options is None else {"options": options}
        if space is not None:
            meta["space"] = space_to_json(space)
        if processor is not None:
            meta |= processor.to_json()
        if code is not None:
            meta["code"] = code.to_json()
        if logging:
            meta["logging"] = list(logging)
        _put(store, paths.CONFIG, Record("config", run.run, config, meta, new_nonce()))
    return open_run(root)


def _put_aside_what_is_damaged(store: Store) -> None:
    from pbtnas.protocol.operations import Quarantine

    for name, kind in ((paths.RUN, "run"), (paths.CONFIG, "config")):
        try:
            store.record(name, kind)
        except CorruptRecord:
            store.execute(Quarantine(name))


def make_directory(path: Path) -> None:
    """Make a directory and those above it, where they are missing.

    Raises `NotARun` where that can never be, and `OSError` where it cannot be now.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise NotARun(f"{path}: something else is there; give a new or empty directory") from None
    except OSError as error:
        if error.errno in UNWRITABLE:
            raise
        raise NotARun(f"{path}: cannot be made: {error.strerror}") from None


def open_run(root: Path) -> Run:
    """The run in a directory.

    Raises `NotYetARun` when it is missing, empty or not complete yet, `NotARun` when it is
    something else, `RecordError` when its records are damaged, unreadable or too new.
    """
    for pause_s in itertools.islice(backoff(), TRIES - 1):
        try:
            return _open_run(root)
        except UnreadableRecord:
            time.sleep(pause_s)
    try:
        return _open_run(root)
    except CorruptRecord as error:
        remedy = f"`pbtnas fsck {root} --repair` puts it aside"
        raise type(error)(f"{root}/{error}; {remedy}") from error


def _open_run(root: Path) -> Run:
    check_format(root)
    with open_files(root) as files:
        record = files.record(paths.RUN, "run")
        config = record and files.record(paths.CONFIG, "config", record.run)
        if record is None or config is None:
            if files.published(paths.manifest(0)):
                lost = paths.RUN if record is None else paths.CONFIG
                raise NotYetARun(
                    f"{root / lost}: lost; `pbtnas coordinator CONFIG {root}` writes it again"
                )
            raise NotYetARun(f"{root}: no run has been started here yet")
        return Run(
            record.run,
            record.core["primitive"],
            record.core["hash"],
            record.core["space"],
            record.core.get("pbtnas", "of an unknown version"),
            with_engine(config.core, files.get, record.run),
            config.meta.get("options"),
            stored_space(config.meta, record.core["space"]),
            processor_of(config.meta),
            known_codes(config.meta, files.get, record.run),
            tuple(config.meta.get("logging", ())),
        )


def check_format(root: Path) -> None:
    """Do nothing for the directory of a run that this version reads, complete or not.

    Raises `NotYetARun` when it is missing or holds nothing but what a run begins with,
    `ForeignRecord` for another version's, `NotARun` for anything else.
    """
    try:
        with open_files(root) as files:
            text = files.get(paths.FORMAT)
            names = {name for name in files.names(Name(".")) if not name.startswith(".")}
    except FileNotFoundError:
        raise NotYetARun(f"{root}: there is no such directory") from None
    except NotADirectoryError:
        raise NotARun(f"{root}: a file, not a run directory") from None
    if text is None:
        if paths.FORMAT in names:
            return  # another process has made it in this moment
        if paths.STUDY in names:
            raise NotARun(
                f"{root}: a study, not a run; name one of its runs, which are directories in "
                f"{root / paths.STUDY_RUNS}"
            )
        unexpected = names - {*paths.TOP_DIRECTORIES, paths.LAUNCH}
        if unexpected:
            raise NotARun(
                f"{root}: not a run directory: it has no file {paths.FORMAT}, but for example "
                f"{min(unexpected)!r}; give a new or empty directory"
            )
        raise NotYetARun(f"{root}: no run has been started here yet")
    if text != paths.FORMAT_TEXT:
        said, ours = text.decode(errors="replace").strip(), paths.FORMAT_TEXT.decode().strip()
        sentence = f"{root / paths.FORMAT}: says {said!r}; this pbtnas reads {ours!r}"
        raise ForeignRecord(sentence) if said.startswith("pbtnas/") else NotARun(sentence)


def with_engine(
    config: Mapping[str, Any], get: Callable[[Name], bytes | None], run: str
) -> Mapping[str, Any]:
    """The configuration of a run with the engine settings that hold now.

    A damaged or unreadable record of them changes nothing: no outcome rests on it.  Raises
    `ForeignRecord`.
    """
    for number in itertools.count(1):
        with suppress(CorruptRecord):
            data = get(paths.engine(number))
            if data is None:
                break
            record = decode(data, paths.engine(number), kind="engine", run=run)
            config = {**config, "engine": record.core["engine"]}
    return config


def change_engine(root: Path, run: Run, engine: Mapping[str, Any]) -> Run:
    """Publish other engine settings, which hold for whoever opens the run from now on.

    Raises `OSError` when they cannot be written.
    """
    from pbtnas.protocol.operations import Published

    record = Record("engine", run.id, {"engine": dict(engine)}, {}, new_nonce())
    writer = f"engine-{os.urandom(4).hex()}"
    with open_store(root, writer, primitive=run.primitive) as store:
        for number in itertools.count(1):
            if _put(store, paths.engine(number), record) is Published.WON:
                break
    return open_run(root)


def guard(root: Path, run: Run) -> None:
    """Keep versions of pbtnas out of a run that do not know what changes its outcome from now on.

    They look at all engine settings, and refuse a record of a newer version.  Raises `OSError`
    when it cannot be written.
    """
    from pbtnas.protocol.operations import Published

    engine = Record("engine", run.id, {"engine": run.config["engine"]}, {}, new_nonce())
    with open_store(root, f"guard-{os.urandom(4).hex()}", primitive=run.primitive) as store:
        for number in itertools.count(1):
            name = paths.engine(number)
            with suppress(UnreadableRecord):
                data = store.get(name)
                if data is not None and is_guard(data):
                    return
                if data is None and store.put(name, encode(engine, name, version=GUARD)) is (
                    Published.WON
                ):
                    return


def space_digest(space: SearchSpace) -> str:
    """Digest of all that makes a space: names, options and modules in their order, and which
    variables are ordered; a space without those has the digest that it always had."""
    return digest(
        [
            [v.name, list(map(repr, v.options)), list(v.modules), *(["ordered"] * v.ordered)]
            for v in space
        ]
    )


def stored_space(meta: Mapping[str, Any], expected: str | None) -> SearchSpace | None:
    """The search space in the meta of a configuration.

    None where there is none, or another than `run.json` has the digest of: then one of the two was
    lost, and written again for another task.
    """
    if "space" not in meta:
        return None
    space = space_from_json(meta["space"])
    return space if space_digest(space) == expected else None


def check_space(root: Path, run: Run, space: SearchSpace, task: str) -> None:
    """Raise `OtherSpace` unless the run in `root` was started with this space.

    `task` is what people know the task by: its file, or its name.
    """
    if run.space != space_digest(space):
        raise OtherSpace(
            f"{root}: the task {task} here has another search space than the one the run was "
            "started with; use the task as it was then, or start a new run"
        )


def _put(store: Store, name: Name, record: Record) -> Published:
    return store.put(name, encode(record, name))


def best_primitive(root: Path) -> Primitive:
    """How this file system can publish without replacing: hard links if it has them.

    Raises `OSError` when that cannot be found out now: the disk is full, the server is away.
    """
    from pbtnas.store.posix import NO_HARD_LINKS

    if address_of(root) is not None:
        return "bucket"
    probe = root / f"{paths.PRIVATE}probe-{os.urandom(8).hex()}"
    linked = probe.with_suffix(".linked")
    probe.touch()
    try:
        os.link(probe, linked)
    except FileExistsError:
        return "link"  # the answer to a repeated request: its first try took effect
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        return "directory"
    else:
        return "link"
    finally:
        for path in (probe, linked):
            path.unlink(missing_ok=True)
