"""Carries out the work after the search: loads, averages and evaluates, and writes soups."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from pbtnas.checkpoints.files import CorruptCheckpoint, read_verified, write
from pbtnas.checkpoints.one_pass import UnreadableCheckpoint
from pbtnas.config import Config
from pbtnas.cuda import check_computes, make_current
from pbtnas.determinism import as_in_the_search, seed_everything
from pbtnas.engine.driver import Driver
from pbtnas.engine.signals import StopRequest
from pbtnas.errors import PbtnasError
from pbtnas.processor import this_processor
from pbtnas.protocol.operations import Get
from pbtnas.protocol.postsearch import (
    CarryOut,
    Completed,
    Evaluate,
    GetReady,
    HeldClaim,
    Mixture,
    Rate,
    WriteAverage,
)
from pbtnas.records import paths
from pbtnas.records.names import Digest, Name
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.store.opening import Store
from pbtnas.store.patience import patiently
from pbtnas.store.private_files import clear_soup
from pbtnas.store.products import Products, check_products
from pbtnas.store.run_directory import Run, make_directory
from pbtnas.tasks.base import Diverged, Evaluation, HandedBack, HasSubnets, Task, Trainee
from pbtnas.tasks.faults import blamed
from pbtnas.tasks.findings import artifact_faults, numbers_of
from pbtnas.tasks.preparing import prepare
from pbtnas.weights.averaging import average

T = TypeVar("T")
log = logging.getLogger("pbtnas")

LOOK_S = 1.0  # between two looks whether somebody else has done the item


class LostCheckpoint(PbtnasError):
    """A checkpoint without which there is nothing to evaluate; one sentence with what to do."""


class EvaluationContext:
    """The `Context` of an evaluation after the search.

    Args:
        seed: The seed of the evaluation.
        device: A torch device.
        scratch: A directory of this machine.
        final: Whether the evaluation is for the number to report.
        on_tick: The function called at every tick with the number of ticks so far.
    """

    def __init__(
        self, seed: int, device: str, scratch: Path, final: bool, on_tick: Callable[[int], None]
    ) -> None:
        self.seed = seed
        self.device = device
        self.scratch = scratch
        self.final = final
        self.done = 0
        self._ticks = 0
        self._on_tick = on_tick

    def tick(self, done: int | None = None) -> None:
        """Show that this process lives, and leave when it was asked to stop."""
        self._ticks += 1
        self._on_tick(self._ticks)

    def log(self, **values: float | int | str) -> None:
        log.info("%s", " ".join(f"{name}={value}" for name, value in values.items()))


class Evaluator(Driver):
    """Carries out the operations of `protocol.postsearch`.

    Args:
        store: The run directory.
        stop: The request to stop.
        run: The run in that directory.
        config: The configuration of the run.
        task: The task of the run; prepared when the first item is begun.
        writer: The name for private files.
        device: A torch device.
        scratch: A directory of this machine, made if missing.
    """

    def __init__(
        self,
        store: Store,
        stop: StopRequest,
        run: Run,
        config: Config,
        task: Task,
        writer: str,
        device: str,
        scratch: Path,
    ) -> None:
        super().__init__(store, stop)
        self._run = run
        self._config = config
        self._task = task
        self._writer = writer
        self._device = device
        self._scratch = scratch
        self._claim: HeldClaim | None = None
        self._next_beat_s = self._next_look_s = 0.0

    def execute(self, operation: Any) -> Any:
        match operation:
            case GetReady():
                return self._get_ready()
            case CarryOut(claim):
                return self._carry_out(claim)
        return super().execute(operation)

    def _get_ready(self) -> bool:
        check_computes(self._device)
        make_current(self._device)

        def ready() -> None:
            for name in paths.AFTERWARDS_DIRECTORIES:
                self.store.make(Name(name))
            make_directory(self._scratch)
            products = Products(self.store, self._scratch)
            used = prepare(self._task, products, threads=self._config.run.threads).products
            check_products(self.store, self._run.id, used)

        try:
            self._patiently(ready)
        except HandedBack:
            return False
        return True

    # -- work items ---------------------------------------------------------------------------

    def _carry_out(self, claim: HeldClaim) -> Completed | None:
        self._claim, self._next_beat_s, self._next_look_s = claim, 0.0, 0.0
        self._tick(0)
        try:
            with as_in_the_search(self._config.run.threads):
                match claim.item.work:
                    case Evaluate() as work:
                        done = self._evaluate(claim.item.what, work)
                    case Rate() as work:
                        done = self._rate(work)
                    case WriteAverage(mixture):
                        item = claim.item.record.rpartition("/")[2].removesuffix(".json")
                        done = self._write_average(mixture, item)
            where = {"device": self._device, "torch": torch.__version__}
            return replace(done, where={**where, **this_processor().to_json()})
        except HandedBack:
            return None
        finally:
            self._claim = None

    def _evaluate(self, what: str, work: Evaluate) -> Completed:
        mixture = work.mixture
        try:
            state = self._average(mixture)
        except _Missing as missing:
            # A candidate of an old generation is no loss.
            if work.final or missing.file != mixture.files[-1]:
                raise self._lost(missing.file, "missing") from None
            return Completed({"outcome": "missing", "score": None, "metrics": {}})
        trainee = self._created(mixture.architecture, work.seed)
        evaluation = self._found(trainee, state, work.seed, final=work.final)
        score, metrics = _finite(*numbers_of(evaluation, trainee))
        if score is None:
            log.warning("%s: the score is not finite", what)
        if not work.final:
            outcome = "diverged" if score is None else "ok"
            return Completed({"outcome": outcome, "score": score, "metrics": metrics})
        artifacts = _usable_artifacts(evaluation, trainee)
        for leaf, content in artifacts.items():
            name = paths.artifact_of(mixture.digests[0], leaf)
            self._patiently(partial(self.store.replace, name, content))
        return Completed({"score": score, "metrics": metrics, "artifacts": sorted(artifacts)})

    def _created(self, architecture: Architecture, seed: int) -> Trainee:
        with blamed("create()", type(self._task)):
            return self._task.create(architecture, derive(seed, "load"))

    def _found(self, trainee: Trainee, state: State, seed: int, *, final: bool) -> Evaluation:
        cls = type(self._task)
        with blamed("load()", cls):
            trainee.load(state)
        seed_everything(seed, self._device)
        context = EvaluationContext(seed, self._device, self._scratch, final, self._tick)
        try:
            with blamed("evaluate()", cls):
                return trainee.evaluate(context)
        except Diverged as error:
            log.warning("%s", error)
            return Evaluation(math.nan)

    def _rate(self, work: Rate) -> Completed:
        (file,) = work.mixture.files
        try:
            state = self._average(work.mixture)
        except _Missing:
            raise self._lost(file, "missing") from None
        assert isinstance(self._task, HasSubnets), "it was asked for its subnets"
        with blamed("rater()", type(self._task)):
            trainee = self._task.rater(
                work.mixture.architecture, work.subnets, at=work.at, statistics=work.statistics
            )
        evaluation = self._found(trainee, state, work.seed, final=False)
        _, metrics = _finite(*numbers_of(evaluation, trainee))
        scores = {
            name: [metrics.get(f"{name}@{steps}") for steps in work.at] for name in work.subnets
        }
        return Completed({"scores": scores})

    def _write_average(self, mixture: Mixture, item: str) -> Completed:
        try:
            soup = self._average(mixture)
        except _Missing as missing:
            raise self._lost(missing.file, "missing") from None
        clear_soup(self.store.root, item)
        private = f"{paths.SOUPS}/{paths.PRIVATE}{self._writer}-{item}"
        path = self.store.private(private)
        digest = self._patiently(lambda: write(path, soup, algorithm=self._run.hash))
        return Completed({"checkpoint": digest}, private)

    def _average(self, mixture: Mixture) -> State:
        best, *others = (
            partial(self._read, file, digest)
            for file, digest in zip(mixture.files, mixture.digests, strict=True)
        )
        if not others:
            return best()
        return average(best(), (read() for read in others), mixture.modules)

    def _read(self, file: Name, digest: Digest) -> State:
        self._tick(0)

        def read() -> State:
            return read_verified([self.store.fetch(file)], [digest], algorithm=self._run.hash)

        try:
            return self._patiently(read)
        except FileNotFoundError:
            raise _Missing(file) from None
        except UnreadableCheckpoint as error:
            raise self._lost(file, f"cannot be read ({error.found})") from None
        except CorruptCheckpoint:
            raise self._lost(file, "damaged") from None

    def _lost(self, file: Name, how: str) -> LostCheckpoint:
        """What to do about a checkpoint that nobody can do without."""
        if file.startswith(f"{paths.SOUPS}/"):
            remedy = "`pbtnas soup` makes it again"
            if how != "missing":
                remedy += ", delete it first"
        elif self._is_last(int(file.split("/")[1])):
            remedy = (
                f"`pbtnas fsck {self.store.root} --repair`, twice if it finds something, and then "
                "a coordinator and a worker compute it again"
            )
        else:
            remedy = "restore it from a backup"
        return LostCheckpoint(f"{self.store.root}/{file}: {how}; {remedy}")

    def _is_last(self, generation: int) -> bool:
        return not self.store.published(paths.manifest(generation + 1))

    # -- while an item is in work -------------------------------------------------------------

    def _tick(self, done: int) -> None:
        """Beat, and leave the item if asked to stop or if somebody else has done it."""
        if self._claim is None:
            return
        now_s = time.monotonic()
        if now_s >= self._next_beat_s:
            self._next_beat_s = now_s + self._config.engine.beat_s
            self.store.execute(self._claim.beat(done))
        if self.stop.asked:
            raise HandedBack
        if now_s >= self._next_look_s:
            self._next_look_s = now_s + LOOK_S
            item = self._claim.item
            if not isinstance(item.work, WriteAverage):
                if isinstance(self.store.execute(Get(item.record)), bytes):
                    raise HandedBack

    def _patiently(self, act: Callable[[], T]) -> T:
        """Read or write, and while the disk is full or refuses, wait and say so."""
        return patiently(act, self.store.root, wait=self._pause, report=self.report)

    def _pause(self, seconds: float) -> None:
        self.stop.wait(seconds)
        if self.stop.asked:
            raise HandedBack
        self._tick(0)


class _Missing(Exception):
    def __init__(self, file: Name) -> None:
        super().__init__(file)
        self.file = file


def _usable_artifacts(evaluation: Evaluation, trainee: Trainee) -> dict[str, bytes]:
    """The artifacts that can be kept; of the others it says why: the number is worth keeping."""
    unusable = set()
    for name, sentence in artifact_faults(evaluation, trainee):
        log.warning("%s; it is left out", sentence)
        unusable.add(name)
    if None in unusable:
        return {}
    return {n: content for n, content in evaluation.artifacts.items() if n not in unusable}


def _finite(score: float, metrics: Mapping[str, float]) -> tuple[float | None, dict[str, float]]:
    """Score and metrics as records hold them: None for a score that is not finite."""
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return (score if math.isfinite(score) else None), finite
