"""Opens a run for the work after its search, which any number of processes share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pbtnas.config import Config, from_json
from pbtnas.engine.driver import drive, once_reachable
from pbtnas.engine.evaluator import Evaluator
from pbtnas.engine.signals import StopRequest
from pbtnas.processor import check_pinned, remark
from pbtnas.protocol.claims import Claims
from pbtnas.protocol.operations import AskedToStop
from pbtnas.protocol.postsearch import Outcomes, Plan, PostSearch
from pbtnas.records import paths
from pbtnas.records.names import Name
from pbtnas.records.schema import Manifest, Selected
from pbtnas.store.identity import new_nonce, this_process
from pbtnas.store.opening import Store, open_store
from pbtnas.store.run_directory import NotARun, Run, open_run
from pbtnas.tasks.base import HandedBack, Task

T = TypeVar("T")
log = logging.getLogger("pbtnas")


@dataclass(frozen=True)
class Work:
    """A finished run, and this process as one of those that work on it.

    Args:
        store: The run directory.
        run: The run in that directory.
        config: The configuration of the run.
        protocol: The protocol that this process follows.
        evaluator: The driver that carries out the protocol's operations.

    What takes time raises `HandedBack` when this process was asked to stop.
    """

    store: Store
    run: Run
    config: Config
    protocol: PostSearch
    evaluator: Evaluator

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.config.run.seed

    def read(self, look: Callable[[], T]) -> T:
        """What is read of the run, as soon as its directory can be reached."""
        return _or_handed_back(look, self.store.root, self.evaluator.stop)

    def generation(self, number: int) -> tuple[Manifest, Selected]:
        """The records of a finished generation.  Raises `NotARun` if one is missing."""

        def found(name: Name, kind: str) -> Mapping[str, Any]:
            record = self.read(lambda: self.store.record(name, kind, self.run.id))
            if record is None:
                root = self.store.root
                raise NotARun(f"{root}/{name}: missing; `pbtnas fsck {root}` says more")
            return record.core

        manifest = found(paths.manifest(number), "manifest")
        selected = found(paths.selection(number), "selection")
        return Manifest.from_json(manifest), Selected.from_json(selected)

    def complete(self, plan: Plan) -> Outcomes:
        """The outcomes of a plan.  Raises `HandedBack` when this process was asked to stop."""
        known = drive(self.protocol.complete(plan), self.evaluator.execute)
        if known is None:
            raise HandedBack
        return known


def _or_handed_back(step: Callable[[], T], root: Path, stop: StopRequest) -> T:
    try:
        return once_reachable(step, root, stop)
    except AskedToStop:
        raise HandedBack from None


@contextmanager
def opened_work(
    root: Path, task: Task, device: str, scratch: Path, stop: StopRequest | None
) -> Iterator[Work]:
    """Open a run, as soon as its directory can be reached.

    Args:
        root: The run directory.
        task: The task of the run.
        device: A torch device.
        scratch: A directory of this machine.
        stop: The request to stop; None for one that nobody makes.

    Raises `NotARun`, `UnfitProcessor`, and `HandedBack` when `stop` was asked before.
    """
    stop = stop or StopRequest(())
    identity = this_process("e")
    name = identity["worker"]

    def opened() -> tuple[Run, Store]:
        run = open_run(root)
        return run, open_store(root, name, primitive=run.primitive)

    run, store = _or_handed_back(opened, root, stop)
    config = from_json(run.config, recorded=run.options)
    engine = config.engine
    claims = Claims(run.id, identity, lease_s=engine.lease_s, new_nonce=new_nonce)
    protocol = PostSearch(run.id, name, claims, poll_s=engine.poll_s)
    with store:
        check_pinned(config.run.cpu_capability)
        if said := remark(run.processor, config.run.cpu_capability):
            log.warning("%s", said)
        evaluator = Evaluator(store, stop, run, config, task, name, device, scratch)
        yield Work(store, run, config, protocol, evaluator)
