"""Runs a coordinator: mixes children, locks out others on this machine, heeds signals."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from filelock import Timeout

from pbtnas.analysis.history.files import RecordFiles
from pbtnas.analysis.history.generation import read_attempts
from pbtnas.checkpoints.files import CorruptCheckpoint, Layers, read_lazily, write_overlay
from pbtnas.config import Config
from pbtnas.determinism import as_in_the_search, seed_everything
from pbtnas.engine.driver import Driver, drive, once_reachable
from pbtnas.engine.run_setup import check_networks, search_of, start_run
from pbtnas.engine.signals import StopRequest
from pbtnas.engine.views import Views
from pbtnas.processor import check_pinned, remark
from pbtnas.protocol.children import Mix, Mixed, WriteViews
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.coordinator import Coordinator
from pbtnas.protocol.operations import AskedToStop, EmptyTrash, Quarantine
from pbtnas.protocol.term import CoordinatorEnding
from pbtnas.records import paths
from pbtnas.records.names import Digest
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.opening import Store, deletion_of, open_files, open_store
from pbtnas.store.private_files import clear_overlays, sweep
from pbtnas.store.products import Products
from pbtnas.store.quick_lock import quick_lock
from pbtnas.store.run_directory import make_directory
from pbtnas.store.task_code import CodeInForce
from pbtnas.tasks.base import Task
from pbtnas.tasks.code import code_of
from pbtnas.tasks.fresh import fresh_tensors
from pbtnas.tasks.loading import complete_options
from pbtnas.tasks.preparing import Prepared, prepare
from pbtnas.weights import carry_out, report

T = TypeVar("T")
log = logging.getLogger("pbtnas")


class CoordinatorDriver(Driver):
    """Carries out a coordinator's operations, mixing included.

    Args:
        store: The run directory.
        stop: The request to stop.
        task: The task, which makes the fresh initialisations.
        algorithm: The algorithm of the checkpoints' digests.
        writer: The name for private files.
        label: The label of the run, where several are coordinated.
        threads: The number of threads to mix with: those of a job.
        in_force: Looks before each mixing whether the run still goes on with the task's code.
    """

    def __init__(
        self,
        store: Store,
        stop: StopRequest,
        task: Task,
        algorithm: str,
        writer: str,
        label: str = "",
        *,
        threads: int = 1,
        in_force: CodeInForce | None = None,
    ) -> None:
        super().__init__(store, stop, label)
        self._threads = threads
        self._in_force = in_force
        self._task = task
        self._algorithm = algorithm
        self._writer = writer
        self._cleared: set[int] = set()  # generations without children of earlier coordinators
        self._views = Views(store, self.report)
        self._deletion = deletion_of(store)

    def execute(self, operation: Any) -> Any:
        match operation:
            case Mix():
                return self._mix(operation)
            case EmptyTrash(generation):
                self._deletion.ask(generation)
                return None
            case WriteViews(final):
                self._views.write(final=final)
                return None
        return super().execute(operation)

    def finish(self) -> None:
        """Complete what was done on the side."""
        self._deletion.finish()
        sweep(self.store.root)

    def close(self) -> None:
        """End what is done on the side."""
        self._views.close()
        self._deletion.close()

    def _mix(self, mix: Mix) -> Mixed | None:
        parents = {
            paths.checkpoint(mix.generation, checkpoint): checkpoint
            for checkpoint in (mix.base_checkpoint, mix.donor_checkpoint)
        }
        if mix.generation not in self._cleared:
            clear_overlays(self.store.root, mix.generation)
            self._cleared.add(mix.generation)
        what = f"{mix.birth.member:02d}"
        private = paths.private_checkpoint(mix.generation, self._writer, what)
        try:
            if self._in_force is not None:
                self._in_force.check()
            with as_in_the_search(self._threads):
                written = self._written(mix, private)
            self.report("")
            return written
        except CorruptCheckpoint as error:
            log.warning("%s; put aside, to be computed again", error)
            damaged = paths.checkpoint(mix.generation, Digest(error.path.stem))
            assert damaged in parents, "nothing else was read"
            self.store.execute(Quarantine(damaged))
        except OSError as error:
            missing = isinstance(error, FileNotFoundError)
            if not (missing and str(error.filename).endswith(tuple(parents))):
                self.report(str(error))
        with suppress(OSError):  # what is left is litter
            self.store.private(private).unlink(missing_ok=True)
        return None

    def _written(self, mix: Mix, private: str) -> Mixed:
        """The child in a private file.

        Raises `CorruptCheckpoint` unless the bytes it was made from have the digests of its
        parents; `FileNotFoundError` for a parent that is absent.
        """
        birth, space = mix.birth, self._task.space
        with ExitStack() as opened:
            ours, theirs = (
                self._parent(mix.generation, checkpoint, opened)
                for checkpoint in (mix.base_checkpoint, mix.donor_checkpoint)
            )
            seed_everything(birth.seed, "cpu")
            fresh = fresh_tensors(self._task, birth.architecture, birth.seed)
            child = carry_out(space, birth, base=ours, donor=theirs, fresh=fresh)
            path = self.store.private(private)
            overlay = write_overlay(path, child.overlay, child.origins, algorithm=self._algorithm)
        origins: Mapping[str, Any] = report(space, child.origins)
        return Mixed(private, Digest(overlay), origins)

    def _parent(self, generation: int, checkpoint: Digest, opened: ExitStack) -> Layers:
        path = self.store.fetch(paths.checkpoint(generation, checkpoint))
        return opened.enter_context(read_lazily(path, checkpoint, algorithm=self._algorithm))


@dataclass(frozen=True)
class OpenCoordinator:
    """Holds a coordinator that is ready to begin, and the driver that carries it out.

    Args:
        protocol: The coordinator.
        driver: The driver.
        remark: A sentence on what is other here than where the run was started; "" if nothing is.
    """

    protocol: Coordinator
    driver: CoordinatorDriver
    remark: str

    def finish(self, ending: CoordinatorEnding) -> None:
        """Clear up after it has ended."""
        if ending in (CoordinatorEnding.FINISHED, CoordinatorEnding.CANCELLED):
            self.driver.finish()


def coordinate(
    root: Path,
    config: Config,
    task: Task,
    *,
    scratch: Path,
    stop: StopRequest,
    accept: bool = False,
) -> CoordinatorEnding:
    """Coordinate a run from wherever it is to its end, or until this process is asked to stop.

    With `accept`, other code of the task than that of the run is recorded and goes on.

    Raises `ChangedConfig`, `NotARun`, `OtherCode`, `TaskError`, `UnfitProcessor`,
    `NoParentsError`, `BrokenChain`, `ForeignRecord`.
    """

    def prepared(store: Store) -> Prepared:
        return prepare(task, Products(store, scratch), threads=config.run.threads)

    make_directory(scratch)
    with open_coordinator(root, config, task, prepared, stop=stop, accept=accept) as opened:
        if isinstance(opened, CoordinatorEnding):
            return opened
        if opened.remark:
            log.warning("%s", opened.remark)
        ending = drive(opened.protocol.coordinate(), opened.driver.execute)
        opened.finish(ending)
    log.info("coordinator: %s", ending.value)
    return ending


@contextmanager
def open_coordinator(
    root: Path,
    config: Config,
    task: Task,
    prepared: Callable[[Store], Prepared],
    *,
    stop: StopRequest,
    label: str = "",
    accept: bool = False,
) -> Iterator[OpenCoordinator | CoordinatorEnding]:
    """Make or open a run and get ready to coordinate it; or the ending, if that is not to be.

    Args:
        root: The run directory.
        config: The configuration of the run.
        task: Its task, prepared or not.
        prepared: The task, prepared for the run in that directory.
        stop: The request to stop.
        label: The label of the run, where several are coordinated.
        accept: Whether to go on with other code of the task than that of the run.

    Raises `ChangedConfig`, `NotARun`, `OtherCode`, `TaskError` and `UnfitProcessor`.
    """
    check_pinned(config.run.cpu_capability)
    identity = this_process("c")

    def begun(step: Callable[[], T]) -> T:
        return once_reachable(step, root, stop, label)

    def opened_store() -> Store:
        return open_store(root, identity["worker"], primitive=run.primitive)

    ending: CoordinatorEnding | None = None
    with ExitStack() as opened:
        try:
            complete, code = partial(complete_options, task), code_of(task)
            run = begun(lambda: start_run(root, config, task.space, complete, code, accept=accept))
            store = begun(opened_store)
            opened.callback(store.close)
            lock = store.private(paths.COORDINATOR_LOCK)
            opened.enter_context(begun(lambda: quick_lock(lock)))
            sweep(root)
            ready = begun(lambda: prepared(store))
        except AskedToStop:
            ending = CoordinatorEnding.STOPPED
        except Timeout:
            ending = CoordinatorEnding.HELD
        if ending is not None:
            yield ending
            return
        check_networks(config, ready.task)
        driver = CoordinatorDriver(
            store,
            stop,
            ready.task,
            run.hash,
            identity["worker"],
            label,
            threads=config.run.threads,
            in_force=CodeInForce(root, run, code_of(ready.task)),
        )
        engine = config.engine
        claims = Claims(run.id, identity, lease_s=engine.lease_s, new_nonce=new_nonce)
        search = search_of(config, task.space, run.config, ready.products)
        protocol = Coordinator(run.id, search, claims, beat_s=engine.beat_s, poll_s=engine.poll_s)
        opened.enter_context(closing(driver))
        said = remark(run.processor, config.run.cpu_capability)
        yield OpenCoordinator(protocol, driver, said)


def holder_of(root: Path) -> str:
    """Who coordinates a run, in words, from the newest claim of a term; "" if unknown."""
    try:
        with open_files(root) as reader:
            terms = read_attempts(RecordFiles(reader), paths.TERM)
    except OSError as error:
        return f" (by whom cannot be read: {error.strerror})"
    holder = terms[-1].holder if terms else {}
    return f": {holder['worker']} on {holder['host']} (process {holder['pid']})" if holder else ""
