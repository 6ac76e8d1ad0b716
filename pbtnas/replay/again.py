"""Does the jobs of an ancestry again, one after the other in this process, in a directory of its
own: a copy of what a run begins with, which nobody else works on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pbtnas.engine.coordinator import CoordinatorDriver
from pbtnas.engine.signals import StopRequest
from pbtnas.errors import PbtnasError
from pbtnas.protocol.children import Mix
from pbtnas.protocol.operations import MakeGeneration, PutBlob
from pbtnas.records import paths
from pbtnas.records.kinds import ASIDE, PRIVATE, RUN_KINDS
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Job, Result
from pbtnas.replay.ancestry import Step
from pbtnas.search.births import Birth
from pbtnas.store.opening import Store, open_files, open_store
from pbtnas.store.run_directory import Run
from pbtnas.tasks.base import HandedBack
from pbtnas.training.channel import Channel
from pbtnas.training.trainer import Setting, Trainer

WRITER = "replay"
KEPT = 2  # generations of checkpoints that are there at the same time


class Differs(PbtnasError):
    """What was trained or mixed again is not what the run recorded."""


class Alone(Channel):
    """The channel of a training without a worker: nobody listens, and a signal halts.

    Args:
        stop: The request to stop.
    """

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def send(self, **message: Any) -> None:
        """Nobody listens."""

    @contextmanager
    def at_disk(self, what: str) -> Iterator[None]:
        """Nobody watches."""
        yield

    def waiting(self, longest_s: float = 0.0) -> bool:
        """Whether this process was asked to stop within that time."""
        if longest_s and not self._stop.asked:
            self._stop.wait(longest_s)
        return self._stop.asked


def replay(
    root: Path,
    run: Run,
    steps: Sequence[Step],
    *,
    task_file: str | None,
    device: str,
    scratch: Path,
    stop: StopRequest,
    accept: bool,
    told: Callable[[str], None],
) -> None:
    """Train and mix again what the steps say, and compare each with its record.

    `told` is called with a sentence for each.  Raises `Differs` at the first difference,
    `HandedBack` when asked to stop, and what a training process ends with.
    """
    with TemporaryDirectory(prefix="replay-", dir=scratch) as directory:
        copy = Path(directory) / "run"
        _begin(root, copy, run)
        setting = Setting(str(copy), WRITER, task_file, device, str(scratch), accept)
        trainer = Trainer(setting, Alone(stop))
        with open_store(copy, WRITER, primitive=run.primitive) as store:
            driver = CoordinatorDriver(store, stop, trainer.task, run.hash, WRITER)
            with closing(driver):
                for generation, step in enumerate(steps):
                    store.execute(MakeGeneration(generation))
                    for job, result in step.jobs:
                        _train(trainer, store, copy, job, result)
                        told(f"generation {generation} {_name(job.member)}: trained to the same")
                    known = {job.member: result for job, result in step.jobs}
                    for birth, child in step.births:
                        _mix(driver, store, generation, birth, known, child.overlay)
                        told(f"generation {generation} {_name(birth.member)}: mixed to the same")
                    if generation >= KEPT:
                        shutil.rmtree(copy / paths.checkpoints(generation - KEPT))


def _begin(root: Path, copy: Path, run: Run) -> None:
    """Copy what a run begins with: which it is, its settings, products and first manifest."""
    for directory in paths.TOP_DIRECTORIES:
        (copy / directory).mkdir(parents=True)
    with open_files(root) as files, open_store(copy, WRITER, primitive=run.primitive) as store:
        store.execute(MakeGeneration(0))
        names = [paths.FORMAT, paths.RUN, paths.manifest(0)]
        for directory in (paths.SETTINGS, paths.PRODUCTS):
            names += [paths.within(directory, leaf) for leaf in files.names(directory)]
        for name in names:
            content = files.get(name) if RUN_KINDS.of(name) not in (PRIVATE, ASIDE) else None
            if content is not None:
                store.put(name, content)


def _train(trainer: Trainer, store: Store, root: Path, job: Job, recorded: Result) -> None:
    outcome = trainer.carry_out(root, job, 1)
    where = f"generation {job.generation} {_name(job.member)}"
    if outcome.get("interrupted"):
        raise HandedBack
    if "result" not in outcome:
        raise Differs(f"{where}: {outcome.get('text') or outcome.get('unable')}")
    found = Result.from_json(outcome["result"])
    for what in ("outcome", "score", "metrics", "checkpoint"):
        then, now = getattr(recorded, what), getattr(found, what)
        if then != now:
            raise Differs(f"{where}: its {what} was {then}, and is {now} here")
    assert found.checkpoint is not None, "equal to a recorded one"
    store.execute(PutBlob(outcome["file"], paths.checkpoint(job.generation, found.checkpoint)))


def _mix(
    driver: CoordinatorDriver,
    store: Store,
    generation: int,
    birth: Birth,
    known: dict[int, Result],
    recorded: Digest,
) -> None:
    base, donor = (known[parent].checkpoint for parent in (birth.base, birth.donor))
    assert base is not None and donor is not None, "parents have checkpoints"
    mixed = driver.execute(Mix(generation, birth, base, donor))
    where = f"generation {generation} {_name(birth.member)}"
    if mixed is None:
        raise Differs(f"{where}: cannot be mixed here")
    if mixed.digest != recorded:
        raise Differs(f"{where}: its overlay was {recorded}, and is {mixed.digest} here")
    store.execute(PutBlob(mixed.file, Name(paths.checkpoint(generation, recorded))))


def _name(member: int) -> str:
    return paths.member_name(member)
