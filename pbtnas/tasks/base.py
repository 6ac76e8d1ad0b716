"""The task interface: what a problem must offer so that its networks can be searched.

A `Task` declares the space and makes trainees; a `Trainee` is one member's networks and
optimisers, which can be trained, evaluated, and turned into a `State` and back.  Above
`tasks/` no code knows which task runs.  `tests/tasks/contract.py` is the contract as tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pbtnas.config.fields import show
from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.records.schema import CHOSEN, ENTROPY, SPENT, SUBNET
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import Json, State

__all__ = [
    "CHOSEN",
    "Context",
    "Diverged",
    "ENTROPY",
    "Evaluation",
    "HasParts",
    "HasSubnets",
    "Json",
    "NoSubnets",
    "Options",
    "Preparation",
    "SPENT",
    "SUBNET",
    "State",
    "Task",
    "TaskError",
    "Trainee",
]


@dataclass(frozen=True)
class Evaluation:
    """The score of an evaluation, with further numbers and files.

    Args:
        score: the number selection maximises.  Not finite means the member diverged.
        metrics: further numbers for the records, e.g. {"fid": 13.2}.
        artifacts: files to keep for people, by name with suffix, e.g. {"grid.png": b"..."};
            they take no part in the search.
        preview: a small picture (PNG, JPEG, GIF or WebP) of what the member makes, which the
            search keeps by generation for people; it takes no part in it either.
    """

    score: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: Mapping[str, bytes] = field(default_factory=dict)
    preview: bytes | None = None


class Diverged(ArithmeticError):
    """Training produced NaN or infinity: the member has no score, and is not retried."""


class Context(Protocol):
    """A job as a trainee sees it: its seed, its device, and how to report progress."""

    seed: int
    """Of this job; all randomness of training derives from it (or from the global RNGs of
    torch, numpy and random, which the engine seeds with it and saves in snapshots)."""

    device: str
    """A torch device, e.g. "cpu" or "cuda:0"."""

    scratch: Path
    """A directory of this machine that outlives the job, for caches and replay buffers."""

    done: int
    """Steps of this job already done when `train` is called: 0, or what the snapshot says
    from which an interrupted job goes on."""

    final: bool
    """In `evaluate`: False for the score of the search, True for the number to report (more
    images or episodes, and artifacts such as an image grid)."""

    def tick(self, done: int | None = None) -> None:
        """Report that the job makes progress; call it at least once a second or so.

        With `done` (in `train`, after each whole step): the number of steps of this job that
        `state()` now includes.  The engine may take a snapshot here, and leaves `train` from
        here, by an exception that must be let through, when the job is to be handed back.
        """

    def log(self, **values: float | int | str) -> None:
        """Add a line to the member's metrics file (JSON lines)."""


class Trainee(Protocol):
    """One member: networks, optimisers and averaged copies of one architecture.

    `train` and `evaluate` move it to `context.device` themselves.
    """

    def train(self, epochs: int, context: Context) -> None:
        """Train for so many epochs, going on behind `context.done` steps of them.

        Interrupted at any tick and continued in another process from `state()`, it must end
        with the same bits: derive the order of the data from `context.seed` and the step.
        """

    def evaluate(self, context: Context) -> Evaluation:
        """Score the member without changing its state, at its ticks either.

        The engine may take a snapshot at a tick here, too: put back what is exchanged for scoring,
        such as averaged weights, or tick when that is done.
        """

    def state(self) -> State:
        """Everything needed to go on; tensors may alias the live networks."""

    def load(self, state: State) -> None:
        """Become that state.

        Raises `ValueError` naming the tensor when a `live` tensor is missing, left over or of
        another shape.  A missing optimiser moment means a fresh one.
        """


class Preparation(Protocol):
    """What a task may use before any job: products of the run, and a cache directory."""

    directory: Path
    """Of this machine, for what need not be shared (downloaded data sets)."""

    def publish(self, name: str, data: bytes) -> bytes:
        """Publish a small product of the run, write-once; returns what was there first.

        The name is [A-Za-z0-9._-]; coordinator and workers see the same bytes, whoever made
        them.  `lookup` first: making it twice is work, not harm.
        """

    def lookup(self, name: str) -> bytes | None:
        """The product of that name, or None if nobody published it yet."""

    def unique(self, name: str) -> str:
        """A word that no other run has, to name things of this machine with.

        All processes of the run see the same.  No result may depend on it.
        """


class Task(Protocol):
    """A problem to search networks for.  Made from the `task:` section of the config."""

    space: SearchSpace

    def prepare(self, run: Preparation) -> None:
        """Load data and models that jobs need; called once in every process before the first job.

        Raises `TaskError` with one sentence for what the user has to do, `MachineTrouble` for what
        may be over soon, such as a failed download.
        """

    def create(self, architecture: Architecture, seed: int) -> Trainee:
        """A freshly initialised member on the CPU; the same bits for the same arguments."""


@runtime_checkable
class HasParts(Protocol):
    """A task whose networks have parts of which a soup makes sense by itself; optional."""

    parts: Mapping[str, Sequence[str]]
    """Dotted paths of the modules by name of the part, for `pbtnas soup --part`."""


@runtime_checkable
class HasSubnets(Protocol):
    """A task whose members hold subnets: networks that share weights; optional."""

    def subnets(self, architecture: Architecture) -> Sequence[str]:
        """The names of the subnets of a member of this architecture, in order."""

    def rater(
        self,
        architecture: Architecture,
        names: Sequence[str],
        *,
        at: Sequence[int] = (0,),
        statistics: str | None = None,
    ) -> Trainee:
        """A trainee that loads the state of such a member, and rates some of its subnets.

        Its `evaluate` tunes each subnet alone from that state and scores it after each number of
        steps in `at`, as the metric "NAME@STEPS"; a subnet whose outputs are not finite has NaN.
        What it finds of a subnet depends on the context's seed, not on what else is rated.  Its
        `trained_network` is a plain network of the first of the names.

        Args:
            architecture: the architecture of the member.
            names: some of `subnets(architecture)`.
            at: numbers of steps of tuning; 0 means with the shared weights.
            statistics: what normalisation uses, if the task has a choice; None means its own.

        It may be asked for before `prepare`, so that these are known before any work.  Raises
        `TaskError` for another name, and for statistics that it does not know.
        """


class TaskError(PbtnasError):
    """The task cannot run until the user fixes something; the message is one sentence."""

    exit_code = ExitCode.USAGE


class UnfitOptions(TaskError):
    """Options do not fit what their task makes of them, such as its space.

    A task may raise it in its constructor; `pbtnas` then names the file and line of each key.

    Args:
        options: the options of the task, by key.
        expected: for each key that is wrong, what was expected instead of its value.
    """

    def __init__(self, options: object, expected: Iterable[tuple[str, str]]) -> None:
        self.problems = [
            (key, f"task.{key}: expected {words}, not {show(getattr(options, key))}")
            for key, words in expected
        ]
        super().__init__("; ".join(problem for _, problem in self.problems))


class NoSubnets(PbtnasError):
    """The networks of the task share no weights, or have no subnet of that name."""

    exit_code = ExitCode.USAGE


Options = Mapping[str, Any]
"""The `task:` section of a config without its `name`."""


class HandedBack(BaseException):
    """Raised at a tick to leave training or an evaluation, because the work is handed back.

    Not an `Exception`, so that a task which catches those lets it through.
    """
