"""A coordinator for real: the protocol of `coordinator`, mixing, the friendly lock, signals."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

import pbtnas
from pbtnas.analysis.history import History, metrics_lines
from pbtnas.conducting import Mix, Mixed, Views
from pbtnas.config import Config, difference, from_json, outcome, to_json
from pbtnas.coordinator import Coordinator
from pbtnas.drive import Executor, Stop, drive
from pbtnas.generations import Search
from pbtnas.search.algorithms import ALGORITHMS, Selection
from pbtnas.search.space import SearchSpace
from pbtnas.state import lazily
from pbtnas.store import paths
from pbtnas.store.checkpoints import CorruptCheckpoint, open_layers, verify, write_overlay
from pbtnas.store.claims import Claims
from pbtnas.store.deletion import Deletion
from pbtnas.store.identity import this_process
from pbtnas.store.operations import EmptyTrash, List, Quarantine, Replace
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.records import decode, digest
from pbtnas.store.run_directory import NotARun, Run, create, store_nonce
from pbtnas.tasks.base import Task, TaskError
from pbtnas.term import Ending, Halted
from pbtnas.weights import carry_out, report

T = TypeVar("T")
log = logging.getLogger("pbtnas")

VIEWS_S = 30.0  # at least, between two writings of the views


class ChangedConfig(Exception):
    """The configuration given is not the one the run was started with."""

    def __init__(self, root: Path, differences: list[str]) -> None:
        lines = "\n".join(f"  {line}" for line in differences)
        super().__init__(
            f"{root}: was started with another configuration:\n{lines}\n"
            "go on with the stored one (leave the configuration out), or use a new directory"
        )


def start_run(root: Path, config: Config, space: SearchSpace) -> Run:
    """Make the run directory, or adopt the run in it if it has this very configuration.

    Raises `ChangedConfig` field by field, or `NotARun` when the task has another search space
    than the run was started with.
    """
    about = {
        "hash": config.run.checkpoint_hash,
        "seed": config.run.seed,
        "task": config.task.name,
        "space": space_digest(space),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "pbtnas": pbtnas.__version__,
    }
    run = create(root, to_json(config), about=about)
    differences = difference(from_json(run.config), config)
    if differences:
        raise ChangedConfig(root, differences)
    if run.space != space_digest(space):
        raise NotARun(
            f"{root}: the task {config.task.name!r} here has another search space than the one "
            "the run was started with"
        )
    return run


def space_digest(space: SearchSpace) -> str:
    """Digest of all that makes a space: names, options and modules in their order."""
    return digest([[v.name, list(map(repr, v.options)), list(v.modules)] for v in space])


def search_of(
    config: Config, space: SearchSpace, stored: Mapping[str, Any] | None = None
) -> Search:
    """What the configuration says of the search, in the form the protocol works with.

    `stored` is the configuration as it stands in the run directory: the chain begins with
    exactly that, so that a later pbtnas with more keys can go on with the run.
    """
    search = config.search
    return Search(
        space=space,
        algorithm=ALGORITHMS[search.algorithm],
        selection=Selection.of(
            search.population,
            tau=search.tau,
            parents=search.parents,
            replaced=search.replaced,
            inherit_probability=search.inherit_probability,
            shrink=search.shrink,
            perturb=search.perturb,
            mutated_networks=search.mutated_networks,
        ),
        seed=config.run.seed,
        population=search.population,
        generations=search.generations,
        epochs=search.epochs,
        first_epochs=search.epochs_of(0),
        skip_selection=frozenset(search.skip_selection),
        threads=config.run.threads,
        origin=digest(["origin", outcome(stored or to_json(config)), space_digest(space)]),
    )


class CoordinatorHost(Executor):
    """Carries out a coordinator's operations, mixing included.

    Args:
        store: the run directory.
        stop: whether it was asked to stop.
        task: makes the fresh initialisations.
        algorithm: of the checkpoints' digests.
        writer: name for private files.
    """

    def __init__(
        self, store: PosixStore, stop: Stop, task: Task, algorithm: str, writer: str
    ) -> None:
        super().__init__(store, stop)
        self._task = task
        self._algorithm = algorithm
        self._writer = writer
        self._verified: set[str] = set()
        self._trouble = ""
        self._views_s = time.monotonic()
        self._deletion = Deletion(store.root)

    def report(self, trouble: str) -> None:
        """Say that the directory cannot be written, once, and that it can be again."""
        if trouble != self._trouble:
            log.warning("%s", f"waiting: {trouble}" if trouble else "writing works again")
        self._trouble = trouble

    def execute(self, operation: Any) -> Any:
        match operation:
            case Halted():
                return self.stop.asked
            case Mix():
                return self._mix(operation)
            case EmptyTrash(generation):
                self._deletion.ask(generation)
                return None
            case Views(final):
                self._write_views(final)
                return None
        return super().execute(operation)

    def _write_views(self, final: bool) -> None:
        """One metrics file a member, from the records; now and then, for they cost a reading."""
        now_s = time.monotonic()
        if not final and now_s - self._views_s < VIEWS_S:
            return
        self._views_s = now_s
        history = History.read(self.store.root)
        members = {job for generation in history.generations for job in generation.jobs}
        for member in sorted(members):
            lines = "".join(f"{line}\n" for line in metrics_lines(history, member))
            self.store.execute(Replace(paths.metrics(member), lines.encode()))

    def finish(self) -> None:
        """Complete what was done on the side."""
        self._deletion.finish()

    def close(self) -> None:
        """End what is done on the side."""
        self._deletion.close()

    def _mix(self, mix: Mix) -> Mixed | None:
        parents = [
            paths.checkpoint(mix.generation, checkpoint) for checkpoint in (mix.base, mix.donor)
        ]
        private = f"{paths.checkpoints(mix.generation)}/.tmp-{self._writer}-{mix.birth.member:02d}"
        try:
            for name, checkpoint in zip(parents, (mix.base, mix.donor), strict=True):
                if not self._intact(name, checkpoint):
                    return None
            return self._written(mix, parents, private)
        except (OSError, CorruptCheckpoint) as error:
            (self.store.root / private).unlink(missing_ok=True)
            self.report(str(error))
            return None

    def _written(self, mix: Mix, parents: list[str], private: str) -> Mixed:
        birth, space = mix.birth, self._task.space
        fresh = self._task.create(birth.architecture, birth.seed).state()
        base, donor = (self.store.root / name for name in parents)
        with open_layers([base]) as ours, open_layers([donor]) as theirs:
            child = carry_out(space, birth, base=ours, donor=theirs, fresh=lazily(fresh))
            overlay = write_overlay(
                self.store.root / private, child.overlay, child.origins, algorithm=self._algorithm
            )
        origins: Mapping[str, Any] = report(space, child.origins)
        return Mixed(private, overlay, origins)

    def _intact(self, name: str, checkpoint: str) -> bool:
        """Whether a parent is what its name says; checked once, for it never changes."""
        if checkpoint in self._verified:
            return True
        try:
            verify(self.store.root / name, checkpoint, algorithm=self._algorithm)
        except FileNotFoundError:
            return False
        except CorruptCheckpoint as error:
            log.warning("%s; put aside, to be computed again", error)
            self.store.execute(Quarantine(name))
            return False
        self._verified.add(checkpoint)
        return True


def coordinate(root: Path, config: Config, task: Task, *, scratch: Path) -> Ending:
    """Coordinate a run from wherever it is to its end.

    Raises `ChangedConfig`, `NotARun`, `TaskError`, `NoParentsError`, `BrokenChain`,
    `ForeignRecord`.
    """
    stop = Stop()
    run = _patiently(stop, lambda: start_run(root, config, task.space))
    if run is None:
        return Ending.STOPPED
    lock = FileLock(root / paths.COORDINATOR_LOCK)
    try:
        # Only for a quick and friendly answer; on a network file system it may not hold.
        lock.acquire(timeout=0)
    except Timeout:
        return Ending.HELD
    identity = this_process("c")
    store = PosixStore(root, identity["worker"], primitive=run.primitive)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        if _patiently(stop, lambda: _prepared(task, store, scratch)) is None:
            return Ending.STOPPED
        check_networks(config.search.mutated_networks, task)
        host = CoordinatorHost(store, stop, task, run.hash, identity["worker"])
        store.trouble = host.report
        engine = config.engine
        claims = Claims(run.id, identity, lease_s=engine.lease_s, new_nonce=store_nonce)
        protocol = Coordinator(
            run.id,
            search_of(config, task.space, run.config),
            claims,
            beat_s=engine.beat_s,
            poll_s=engine.poll_s,
        )
        with closing(host):
            ending = drive(protocol.coordinate(), host.execute)
            if ending is Ending.FINISHED:
                host.finish()
    finally:
        store.close()
        lock.release()
    log.info("coordinator: %s", ending.value)
    return ending


def check_networks(networks: Sequence[str], task: Task) -> None:
    """Raise `TaskError` when weights are to mutate in a network that the task does not have.

    Else a misspelt name would quietly mutate nothing.
    """
    if not networks:
        return
    weights = task.create((0,) * len(task.space), 0).state().live
    known = sorted({name.partition(".")[0] for name in weights})
    for network in networks:
        if not any(name.startswith(f"{network}.") for name in weights):
            raise TaskError(
                f"search.mutated_networks: the task has no network {network!r}; it has "
                f"{', '.join(known)}, and parts of them by dotted path"
            )


def _patiently(stop: Stop, act: Callable[[], T]) -> T | None:
    """Do what writes to the run directory; on a full disk say so and wait until it can be done.

    None if asked to stop meanwhile.
    """
    told = ""
    while not stop.asked:
        try:
            return act()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            if str(error) != told:
                told = str(error)
                log.warning("waiting: %s", told)
        stop.wait(1.0)
    return None


def _prepared(task: Task, store: PosixStore, scratch: Path) -> Task:
    task.prepare(Products(store, scratch))
    return task


def holder_of(root: Path) -> str:
    """Who coordinates a run, in words, from the newest claim of a term; "" if unknown."""
    store = PosixStore(root, "reader")
    try:
        names = store.execute(List(paths.TERM.rpartition("/")[0]))
        terms = sorted(name for name in names or () if name.endswith(".json") and "end" not in name)
        if not terms:
            return ""
        name = f"{paths.TERM.rpartition('/')[0]}/{terms[-1]}"
        data = store.get(name)
    finally:
        store.close()
    if data is None:
        return ""
    holder = decode(data, name, kind="claim").core["holder"]
    return f": {holder['worker']} on {holder['host']} (process {holder['pid']})"
