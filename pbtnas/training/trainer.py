"""The training process: carries out jobs for the worker that started it.

It stays warm from job to job, so that imports, CUDA and the data set are paid once.  Worker
and training process speak JSON lines over a socket; whatever happens to this process (a
segmentation fault, the out-of-memory killer, a hang) costs the worker one attempt.
"""

from __future__ import annotations

import logging
import math
import secrets
import socket
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from pbtnas.checkpoints.files import CorruptCheckpoint, read_verified, write
from pbtnas.config import ConfigError, from_json
from pbtnas.cuda import (
    check_computes,
    failure_of,
    give_back_memory,
    make_current,
    taken_by_others,
)
from pbtnas.determinism import full_float32, refuse_nondeterminism, seed_everything, use_threads
from pbtnas.errors import ExitCode, MachineTrouble, PbtnasError
from pbtnas.processor import UnfitProcessor, check_pinned, remark, this_processor
from pbtnas.records import paths
from pbtnas.records.names import Digest, Name
from pbtnas.records.schema import Job, Result
from pbtnas.search.seeding import derive
from pbtnas.state import State
from pbtnas.store.opening import Store, open_files, open_store
from pbtnas.store.patience import UNWRITABLE, patiently
from pbtnas.store.previews import keep_preview
from pbtnas.store.products import check_products
from pbtnas.store.run_directory import OtherSpace, check_space, open_run
from pbtnas.store.task_code import ACCEPT, CodeInForce, OtherCode, check_code
from pbtnas.tasks.base import Diverged, Evaluation, HandedBack, Task, TaskError, Trainee
from pbtnas.tasks.code import code_of
from pbtnas.tasks.costs import costs_of
from pbtnas.tasks.faults import TaskFault, mistake
from pbtnas.tasks.findings import numbers_of, preview_fault
from pbtnas.tasks.optional import parameters_of
from pbtnas.training import snapshots
from pbtnas.training.channel import Channel
from pbtnas.training.context import JobContext
from pbtnas.training.prepared_tasks import PreparedTasks
from pbtnas.versions import versions

T = TypeVar("T")
log = logging.getLogger("pbtnas")


@dataclass(frozen=True)
class Setting:
    """What a training process is told when it is started.

    Args:
        root: The run directory to get ready for; every job names its own.
        writer: The name of its worker; part of the names of private files.
        task_file: "FILE.py:Class" of the command line, or None.
        device: A torch device.
        scratch: A directory of this machine.
        accept: Whether to go on with other code of the task than that of a run.
    """

    root: str
    writer: str
    task_file: str | None
    device: str
    scratch: str
    accept: bool = False


@dataclass(frozen=True)
class Place:
    """A run, as far as training in it needs to know.

    Args:
        root: The run directory.
        store: Its files.
        run: The id of the run.
        hash: The algorithm of its checkpoints' digests.
        snapshot_s: Seconds between two snapshots.
        task: The prepared task.
        products: The SHA-256 of what it was prepared with, by name.
        costs: Numbers of trained networks that are counted, because objectives ask for them.
        in_force: Looks whether the run still goes on with the code of that task.
        previews: Whether pictures of members are kept.
    """

    root: Path
    store: Store
    run: str
    hash: str
    snapshot_s: float
    task: Task
    products: Mapping[str, str]
    costs: frozenset[str]
    in_force: CodeInForce
    previews: bool


class StateOfOtherCode(PbtnasError):
    """A state of the run does not fit the code of the task that was accepted since."""

    exit_code = ExitCode.USAGE


class Trainer:
    """Carries out jobs, one after the other.

    Raises `UnfitDevice`, `UnfitProcessor`, `TaskError`, `MachineTrouble`, `ConfigError`, `NotARun`
    or `RecordError` with one sentence when it cannot start.
    """

    def __init__(self, setting: Setting, channel: Channel) -> None:
        self._channel = channel
        self._device = setting.device
        self._scratch = Path(setting.scratch)
        self._writer = setting.writer
        self._threads: int | None = None  # none are set yet
        self._processor = this_processor()
        self._host = socket.gethostname()
        self._doing = ""  # what of the task runs
        refuse_nondeterminism()
        check_computes(self._device)
        make_current(self._device)
        self._task_file = setting.task_file
        self._accept = setting.accept
        self._tasks = PreparedTasks(self._scratch, setting.task_file, channel.at_disk)
        self._places: dict[Path, Place] = {}
        self._agreed: set[Path] = set()  # runs that were started with the products used here
        root = Path(setting.root)
        self._place = self._once_reachable(lambda: self._at(root), root, time.sleep)

    @property
    def task(self) -> Task:
        """The task of the run that it got ready for, or worked for last."""
        return self._place.task

    def _at(self, root: Path) -> Place:
        """The run in that directory, its task prepared."""
        if root not in self._places:
            with self._channel.at_disk("opening the run"):
                run = open_run(root)
            config = from_json(run.config, recorded=run.options)
            check_pinned(config.run.cpu_capability)
            if said := remark(run.processor, config.run.cpu_capability):
                self._channel.send(remark=said)
            # Unlike that of the process before this one, whose private files may be there yet.
            writer = f"{self._writer}-training-{secrets.token_hex(3)}"

            def fits(task: Task) -> None:
                check_space(root, run, task.space, self._task_file or config.task.name)
                with self._channel.at_disk("comparing the code of the task"):
                    check_code(root, run, code_of(task), accept=self._accept)

            store = open_store(root, writer, primitive=run.primitive)  # for as long as this lives
            try:
                ready = self._tasks.of(config.task, store, threads=config.run.threads, fits=fits)
            except BaseException:
                store.close()
                raise
            in_force = CodeInForce(root, run, code_of(ready.task))
            self._places[root] = Place(
                root,
                store,
                run.id,
                run.hash,
                config.engine.snapshot_s,
                ready.task,
                ready.products,
                config.search.ranking().counted,
                in_force,
                previews=config.engine.previews_mib > 0,
            )
        return self._places[root]

    def _once_reachable(
        self, step: Callable[[], T], root: Path, wait: Callable[[float], None]
    ) -> T:
        """What a step returns as soon as the directory can be used: no job has begun, so this is
        not even an attempt that failed."""

        def report(trouble: str) -> None:
            self._channel.send(progress=0, waiting=trouble)

        return patiently(step, root, wait=wait, report=report)

    def _unless_halted(self, seconds: float) -> None:
        if self._channel.waiting(seconds):
            raise HandedBack

    def _for_a_job(self, root: Path) -> Place:
        """The run in that directory, which has a first manifest by now.

        Raises `OtherProducts` when it was started with other products than are here, `OtherCode`
        when it goes on with other code since.
        """
        if root not in self._places:
            self._channel.send(ready=False)  # to get ready takes longer than a tick may
            self._at(root)
            self._channel.send(ready=True)
        place = self._places[root]
        if place.in_force.due:
            with self._channel.at_disk("looking for other code of the task"):
                place.in_force.check()
        if place.root not in self._agreed:
            with self._channel.at_disk("reading the first manifest"), open_files(root) as files:
                if check_products(files, place.run, place.products):
                    self._agreed.add(place.root)
        return place

    def carry_out(self, root: Path, job: Job, attempt: int) -> dict[str, Any]:
        """Do a job of the run in that directory; the message that says what came of it."""
        began_s = time.monotonic()
        try:
            self._place = self._once_reachable(
                lambda: self._for_a_job(root), root, self._unless_halted
            )
        except HandedBack:
            return {"interrupted": True}
        except PbtnasError as error:
            return cannot_begin(error)
        except Exception:  # noqa: BLE001  (no job has begun: nothing of this is held against one)
            return {"unable": traceback.format_exc()}
        try:
            told = self._train(job, attempt, began_s)
            give_back_memory(self._device)  # a process that fails ends, and so does its memory
            return told
        except HandedBack:
            return {"interrupted": True}
        except StateOfOtherCode as error:
            return {"failure": "task", "text": str(error)}
        except TaskFault as error:
            return {"failure": "error", "text": str(error)}
        except MachineTrouble as error:
            return {"failure": "infra", "text": str(error)}
        except Diverged as error:
            result = Result(job.member, "diverged", None, {}, None)
            meta = {"diverged": str(error), "device": self._device}
            return {"result": result.to_json(), "meta": meta, "file": None}
        except CorruptCheckpoint as error:
            return {"failure": "input", "text": str(error), "damaged": error.path.stem}
        except FileNotFoundError as error:
            if str(error.filename).startswith(f"{root}/{paths.GENERATIONS}/"):
                return {"failure": "input", "text": str(error), "damaged": None}
            return self._raised(error)
        except OSError as error:
            # A full or failing disk is the machine's fault, not the job's.
            if error.errno in UNWRITABLE:
                return {"failure": "infra", "text": traceback.format_exc()}
            return self._raised(error)
        # Whatever a task raises is its attempt's outcome.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return self._raised(error)

    def _raised(self, error: BaseException) -> dict[str, Any]:
        """What an exception of the task, or of its device, makes of the attempt."""
        text = traceback.format_exc()
        of_cuda = failure_of(error)
        if of_cuda is not None:
            kind, words = of_cuda
            if kind == "oom" and taken_by_others(words, self._device):
                kind, words = "infra", f"{words}; other processes hold memory of this GPU"
            # A traceback's last line is what people see first; torch ends these with other advice.
            return {"failure": kind, "text": f"{text}{words}"}
        kind = "oom" if isinstance(error, MemoryError) else "error"
        # By the same sentence of all members, a coordinator knows a mistake in the user's file.
        sentence = mistake(self._doing, error, type(self._place.task))
        return {"failure": kind, "text": f"{text}{sentence}"}

    def _train(self, job: Job, attempt: int, began_s: float) -> dict[str, Any]:
        if self._threads != job.threads:
            use_threads(job.threads)
            self._threads = job.threads
        seed_everything(job.seed, self._device)
        full_float32()  # whatever the task of another run has allowed before
        self._doing = "create()"
        trainee = self._place.task.create(job.architecture, derive(job.seed, "create"))
        names = [
            paths.attempt(job.generation, job.member, number) for number in range(1, attempt + 1)
        ]
        context = self._context(job, trainee, names)
        self._doing = "load()"
        self._begin(job, names, trainee, context)
        self._doing = "train()"
        if not context.trained:
            trainee.train(job.epochs, context)
        context.trained = True
        trained_s = time.monotonic()
        seed_everything(derive(job.seed, "evaluate"), self._device)
        self._doing = "evaluate()"
        evaluation = trainee.evaluate(context)
        score, metrics = numbers_of(evaluation, trainee)
        if unknown := self._place.costs - metrics.keys():
            self._doing = "costs()"
            metrics |= costs_of(trainee, unknown)
        evaluated_s = time.monotonic()
        self._doing = "state()"
        result, file = self._outcome(job, trainee, score, metrics, context)
        self._keep_preview(job, evaluation, trainee)
        context.patiently(
            lambda: self._place.store.share(paths.attempt_log(job.generation, job.member, attempt)),
            "writing its log",
        )
        diverged = f"the score is {score}"
        meta = {
            **({"diverged": diverged} if result.outcome == "diverged" else {}),
            "train_s": round(trained_s - began_s, 3),
            "evaluate_s": round(evaluated_s - trained_s, 3),
            "wall_s": round(time.monotonic() - began_s, 3),
            "device": self._device,
            **versions(),
            "torch": torch.__version__,  # which names its build too
            "host": self._host,
            **self._processor.to_json(),
            **_counted(trainee),
        }
        return {"result": result.to_json(), "meta": meta, "file": file}

    def _context(self, job: Job, trainee: Trainee, names: Sequence[Name]) -> JobContext:
        store = self._place.store
        *earlier, directory = (store.private(name) for name in names)

        def save(state: State, done: int) -> None:
            written = snapshots.save(
                directory,
                state,
                done=done,
                trained=context.trained,
                device=self._device,
                algorithm=self._place.hash,
                earlier=earlier,
            )
            older = partial(snapshots.has_no_more_steps, done)
            store.share(paths.within(names[-1], written.name), instead_of=older, among=names)
            store.share(paths.within(names[-1], "log.jsonl"))

        def snapshot(done: int) -> None:
            state = self._state(trainee)
            try:
                context.patiently(lambda: save(state, done), "writing a snapshot")
            except snapshots.Superseded:
                raise HandedBack from None

        context = JobContext(
            job,
            self._channel,
            device=self._device,
            scratch=self._scratch,
            directory=directory,
            snapshot=snapshot,
            snapshot_s=self._place.snapshot_s,
        )
        return context

    def _begin(
        self, job: Job, names: Sequence[Name], trainee: Trainee, context: JobContext
    ) -> None:
        """Go on from the newest snapshot of any attempt, else from the inputs, else fresh."""
        with self._channel.at_disk("reading what it begins with"):
            for name in names:
                self._place.store.bring(name, snapshots.steps_in)
            snapshot = self._snapshot_of([self._place.store.private(name) for name in names])
            state = self._input_of(job) if snapshot is None else snapshot.state
        if state is not None:
            self._load(trainee, state)
        if snapshot is not None:
            context.done, context.trained = snapshot.done, snapshot.trained

    def _snapshot_of(self, directories: Sequence[Path]) -> snapshots.Snapshot | None:
        """The newest snapshot that can be used."""
        unusable: set[Path] = set()
        while True:
            found = snapshots.newest(directories, algorithm=self._place.hash, but=unusable)
            if found is None:
                return None
            path, digest, _ = found
            try:
                return snapshots.load(path, digest, device=self._device, algorithm=self._place.hash)
            except (CorruptCheckpoint, FileNotFoundError):
                unusable.add(path)  # it would only have saved work
                snapshots.remove(path)

    def _input_of(self, job: Job) -> State | None:
        """The state that a job begins with; None in the first generation."""
        if not job.inputs:
            return None
        names = [paths.checkpoint(job.generation - 1, digest) for digest in job.inputs]
        files = [self._place.store.fetch(name) for name in names]
        return read_verified(files, job.inputs, algorithm=self._place.hash)

    def _load(self, trainee: Trainee, state: State) -> None:
        """Let a new network take a state of this run.

        Raises `StateOfOtherCode` when it cannot, and the run goes on with code that was accepted:
        then all members would fail one after the other, and that would end the run for good.
        """
        try:
            trainee.load(state)
        except (ValueError, LookupError, RuntimeError) as error:
            with self._channel.at_disk("looking for other code of the task"):
                codes = open_run(self._place.root).codes
            if failure_of(error) is not None or not any(known.accepted for known in codes.known):
                raise
            raise StateOfOtherCode(
                f"{self._place.root}: a checkpoint of this run does not fit the code that was "
                f"accepted later: {type(error).__name__}: {error}; put the code back that made it, "
                f"with {ACCEPT}, or start a new run"
            ) from error

    def _outcome(
        self,
        job: Job,
        trainee: Trainee,
        score: float,
        metrics: Mapping[str, float],
        context: JobContext,
    ) -> tuple[Result, str | None]:
        """The result, and the private file with the checkpoint, not yet durable."""
        if not math.isfinite(score):
            return Result(job.member, "diverged", None, {}, None), None
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        what = paths.member_name(job.member)
        name = paths.private_checkpoint(job.generation, self._writer, what)
        state = self._state(trainee)
        path, algorithm = self._place.store.private(name), self._place.hash
        digest = context.patiently(
            lambda: write(path, state, algorithm=algorithm), "writing the checkpoint"
        )
        return Result(job.member, "ok", score, finite, Digest(digest)), name

    def _keep_preview(self, job: Job, evaluation: Evaluation, trainee: Trainee) -> None:
        """Keep the picture of the member, if there is one and the run keeps any."""
        if evaluation.preview is None or not self._place.previews:
            return
        if unkept := preview_fault(evaluation, trainee):
            log.warning("%s", unkept)  # for people only: the result is complete without it
            return
        keep_preview(self._place.store, job.generation, job.member, evaluation.preview)

    def _state(self, trainee: Trainee) -> State:
        """What is to be written, once it is computed: an endless kernel is no slow disk."""
        state: State = trainee.state()
        if self._device.startswith("cuda"):
            torch.cuda.synchronize(self._device)
        return state


def cannot_begin(error: PbtnasError) -> dict[str, Any]:
    """The message that says why no job can be begun: because of what the run is, which no other
    try changes, or of the machine."""
    if isinstance(error, TaskError | ConfigError | OtherSpace | OtherCode | UnfitProcessor):
        return {"failure": "task", "text": str(error)}
    return {"unable": str(error)}


def _counted(trainee: Trainee) -> dict[str, int]:
    """The number of parameters of the trained network, for those who look; {} if unknown."""
    try:
        count = parameters_of(trainee)
    except Exception:
        # The result is complete, and an export will say it to the user.
        log.exception("the parameters are not counted: trained_network() failed")
        return {}
    return {} if count is None else {"parameters": count}
