"""The number to report: the best members of a finished run, evaluated with care.

The search score is a noisy maximum over many looks; here the best-ever and the best member of
the last generation are evaluated again, with as many images or episodes as the task's final
evaluation takes.  Each evaluation is a write-once record, so an interrupted command goes on
where it was.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pbtnas.config import Config, from_json
from pbtnas.search.seeding import derive
from pbtnas.store import paths
from pbtnas.store.checkpoints import read_verified
from pbtnas.store.identity import this_process
from pbtnas.store.posix import PosixStore
from pbtnas.store.products import Products
from pbtnas.store.records import Record, decode, encode
from pbtnas.store.run_directory import NotARun, Run, open_run, store_nonce
from pbtnas.store.schema import Champion
from pbtnas.tasks.base import Task, Trainee

log = logging.getLogger("pbtnas")


@dataclass(frozen=True)
class Final:
    """A member's final evaluation.

    Args:
        which: best-ever or best-last.
        champion: the member, and its score during the search.
        score: in the final evaluation.
        metrics: further numbers.
        artifacts: files for people.
    """

    which: str
    champion: Champion
    score: float
    metrics: Mapping[str, float]
    artifacts: tuple[Path, ...]


class Quietly:
    """A `Context` for an evaluation outside of a job."""

    def __init__(self, seed: int, device: str, scratch: Path) -> None:
        self.seed = seed
        self.device = device
        self.scratch = scratch
        self.done = 0
        self.final = True

    def tick(self, done: int | None = None) -> None:
        """Nobody waits for it."""

    def log(self, **values: float | int | str) -> None:
        log.info("%s", " ".join(f"{name}={value}" for name, value in values.items()))


def evaluate(root: Path, task: Task, *, device: str, scratch: Path) -> list[Final]:
    """Evaluate best-ever and best-last of a finished run, once each.

    Artifacts go to `artifacts/<which>-<name>` in the run directory.  Raises `NotARun` when the
    run is not finished, `CorruptCheckpoint` when a member's checkpoint is damaged.
    """
    run = open_run(root)
    config = from_json(run.config)
    store = PosixStore(root, this_process("e")["worker"], primitive=run.primitive)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        task.prepare(Products(store, scratch))
        return [
            _evaluated(which, champion, store, run, config, task, Quietly(seed, device, scratch))
            for which, champion, seed in _champions(store, run, config)
        ]
    finally:
        store.close()


def champions(store: PosixStore, run: Run) -> dict[str, Champion]:
    """The best members of a finished run: "best-ever" by score, and "best-last".

    Raises `NotARun` when it is not finished.
    """
    data = store.get(paths.FINAL)
    if data is None:
        raise NotARun(f"{store.root}: the run is not finished yet; `pbtnas status` tells how far")
    core = decode(data, paths.FINAL, kind="final", run=run.id).core
    found = {"best-ever": core["best_ever"], "best-last": core["best_last"]}
    return {which: Champion.from_json(best) for which, best in found.items() if best}


def load_member(
    store: PosixStore, run: Run, config: Config, task: Task, champion: Champion
) -> Trainee:
    """A trained member as it was when its checkpoint was written."""
    trainee = task.create(champion.architecture, derive(config.run.seed, "load"))
    file = store.root / paths.checkpoint(champion.generation, champion.checkpoint)
    trainee.load(read_verified([file], [champion.checkpoint], algorithm=run.hash))
    return trainee


def _champions(store: PosixStore, run: Run, config: Config) -> list[tuple[str, Champion, int]]:
    seed = derive(config.run.seed, "final evaluation")
    return [(which, best, seed) for which, best in champions(store, run).items()]


def _evaluated(
    which: str,
    champion: Champion,
    store: PosixStore,
    run: Run,
    config: Config,
    task: Task,
    context: Quietly,
) -> Final:
    name = paths.evaluation(champion.checkpoint)
    data = store.get(name)
    if data is None:
        torch.manual_seed(context.seed)
        np.random.seed(context.seed % 2**32)  # noqa: NPY002  (for libraries that draw globally)
        random.seed(context.seed)
        evaluation = load_member(store, run, config, task, champion).evaluate(context)
        for leaf, content in evaluation.artifacts.items():
            store.replace(paths.artifact(f"{champion.checkpoint[:12]}-{leaf}"), content)
        found = {
            "checkpoint": champion.checkpoint,
            "score": float(evaluation.score),
            "metrics": {key: float(value) for key, value in evaluation.metrics.items()},
            "artifacts": sorted(evaluation.artifacts),
        }
        store.put(name, encode(Record("evaluation", run.id, found, {}, store_nonce())))
        data = store.get(name)
        assert data is not None, "what was published is there"
    core = decode(data, name, kind="evaluation", run=run.id).core
    files = tuple(
        store.root / paths.artifact(f"{champion.checkpoint[:12]}-{leaf}")
        for leaf in core["artifacts"]
    )
    return Final(which, champion, core["score"], core["metrics"], files)
