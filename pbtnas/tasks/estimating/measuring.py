"""Measures what members of generation 0 cost, with the engine's own code: `pbtnas estimate`.

Of each measured member a job is taken apart: making it, an epoch, an evaluation, saving and
loading its checkpoint, and its memory.  How an epoch is measured:

- A member trains for two jobs.  The first, of one epoch, pays for warming up, and for steps that
  only a new member makes (an agent's random ones).  The second counts: an epoch, or some if they
  are short.
- When half of the time is over, the second is left at a tick, as the engine leaves a job that it
  hands back.  Then its steps count, times those of an epoch.
- The first is trained to its end, however long that takes, unless the task says how many steps an
  epoch has (`CountsSteps`).  Then it is left at a tick too, and the second half of its steps is
  what counts.
"""

from __future__ import annotations

import math
import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch

from pbtnas.checkpoints.files import read_verified, write
from pbtnas.config.algorithms import load_algorithm
from pbtnas.config.schema import Config
from pbtnas.determinism import as_in_the_search, seed_everything
from pbtnas.search.algorithms import pbtnas
from pbtnas.search.births import Birth
from pbtnas.search.population import Member, initial_population
from pbtnas.search.seeding import derive, stream
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import State
from pbtnas.tasks.base import Diverged, Task, TaskError, Trainee
from pbtnas.tasks.checking.check import MixesStates
from pbtnas.tasks.checking.rehearsal import Interrupted, Rehearsal, RehearsalProducts
from pbtnas.tasks.estimating.costs import Costs, MemberCosts
from pbtnas.tasks.faults import blamed
from pbtnas.tasks.findings import numbers_of
from pbtnas.tasks.optional import epoch_steps
from pbtnas.tasks.preparing import prepare

T = TypeVar("T")

_ENOUGH_S = 5.0  # of training; a few short epochs make one long enough to be measured
_FEW = 4  # steps of which half would be too few to leave out what the first ones pay for


@dataclass(frozen=True)
class Plan:
    """What is measured, and how.

    Args:
        config: the configuration of the run.
        count: members to measure.
        seconds: time for the training of each, see above.
        device: a torch device.
        directory: an existing directory for what is written.
        mix: function that builds a child's state.
        say: told what is done, in words.
    """

    config: Config
    count: int
    seconds: float
    device: str
    directory: Path
    mix: MixesStates
    say: Callable[[str], None]


def measure(task: Task, plan: Plan) -> Costs:
    """Prepare a task, and measure members of its generation 0, under the settings of a job.

    By the number of their parameters, they are spread from the smallest to the largest; where one
    diverges at once, another is taken.

    Raises `TaskError` for what the user's code raises, and if no member has a score.
    """
    with as_in_the_search(plan.config.run.threads):
        began_s = time.perf_counter()
        prepare(task, RehearsalProducts(plan.directory), threads=plan.config.run.threads)
        return _measured(task, plan, time.perf_counter() - began_s)


def _measured(task: Task, plan: Plan, prepare_s: float) -> Costs:
    seed = plan.config.run.seed
    population = plan.config.search.population
    architectures = initial_population(task.space, population, stream(seed, "population"))
    bench = _Bench(task, plan, dict(enumerate(architectures)))
    measured: list[MemberCosts] = []
    for member in spread(bench.sizes(), plan.count):
        if len(measured) == min(plan.count, population):
            break
        plan.say(f"measuring member {member} of generation 0")
        try:
            measured.append(bench.measured(member))
        except Diverged as error:
            plan.say(f"member {member} diverged at once: {error}")
    if not measured:
        raise TaskError(f"all {population} members of generation 0 diverged at once")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    child_s = bench.child_s(measured[0].member, measured[-1].member)
    return Costs(tuple(measured), child_s, prepare_s, memory)


def children(space: SearchSpace, config: Config) -> int:
    """How many children a selection asks for, if every member has a score."""
    search, seed = config.search, config.run.seed
    architectures = initial_population(space, search.population, stream(seed, "population"))
    members = [Member(i, a, -float(i)) for i, a in enumerate(architectures)]
    choose = load_algorithm(search.algorithm)
    return len(choose(members, space, search.selection(), seed, 0))


def spread(sizes: dict[int, int], count: int) -> Iterator[int]:
    """All members, first those that lie evenly between the smallest and the largest one."""
    ordered = sorted(sizes, key=lambda member: (sizes[member], member))
    last = len(ordered) - 1
    chosen = [ordered[round(i * last / max(1, count - 1))] for i in range(count)]
    yield from dict.fromkeys([*chosen, *ordered])


@dataclass
class _Clocked(Rehearsal):
    """A rehearsal that knows when each step was done, and is over at a time of its own."""

    until_s: float = math.inf
    done_s: list[tuple[int, float]] = field(default_factory=list)
    cut: bool = False

    def tick(self, done: int | None = None) -> None:
        super().tick(done)
        if done is None:
            return
        now_s = time.perf_counter()
        self.done_s.append((done, now_s))
        if now_s >= self.until_s:
            self.cut = True
            raise Interrupted


class _Bench:
    """Measures one member after the other."""

    def __init__(self, task: Task, plan: Plan, architectures: dict[int, Architecture]) -> None:
        self._task = task
        self._plan = plan
        self._architectures = architectures
        self._seed = plan.config.run.seed
        self._algorithm = plan.config.run.checkpoint_hash
        self._digests: dict[int, str] = {}

    def sizes(self) -> dict[int, int]:
        """The number of trained weights by member."""
        return {
            member: sum(weight.numel() for weight in self._created(member).state().live.values())
            for member in self._architectures
        }

    def measured(self, member: int) -> MemberCosts:
        """Every part of a job of the member, and its memory.  Raises `Diverged`."""
        self._forget()
        create_s, trainee = self._timed(lambda: self._created(member))
        steps, epoch_s = self._epoch(trainee, member)
        with self._blamed("evaluate()"):
            evaluate_s = self._evaluate_s(trainee, member)
            if not self._digests:  # of the first, it pays for warming up
                evaluate_s = min(evaluate_s, self._evaluate_s(trainee, member))
            state = trainee.state()
        file = self._file(member)
        save_s, _ = self._timed(lambda: self._save(member, state))
        load_s, _ = self._timed(lambda: trainee.load(self._read(member)))
        return MemberCosts(
            member=member,
            weights=sum(weight.numel() for weight in state.live.values()),
            steps=steps,
            create_s=create_s,
            epoch_s=epoch_s,
            evaluate_s=evaluate_s,
            save_s=save_s,
            load_s=load_s,
            checkpoint_bytes=file.stat().st_size,
            gpu_bytes=self._peak(),
        )

    def child_s(self, base: int, donor: int) -> float:
        """What a coordinator needs for a child of two measured members; others cost as much."""
        members = [
            Member(i, self._architectures[m], -float(i)) for i, m in enumerate((base, donor))
        ]
        rule = replace(self._plan.config.search.selection(), parents=2, replaced=1)
        (birth,) = pbtnas(members, self._task.space, rule, self._seed, 0)
        seconds, _ = self._timed(lambda: self._child(birth, base, donor))
        return seconds

    def _child(self, birth: Birth, base: int, donor: int) -> None:
        with self._blamed("create()"):
            fresh = self._task.create(birth.architecture, birth.seed).state()
        parents = {"base": self._read(base), "donor": self._read(donor)}
        child = self._plan.mix(self._task.space, birth, **parents, fresh=fresh)
        self._write(self._plan.directory / "child.safetensors", child)

    def _created(self, member: int) -> Trainee:
        seed = derive(derive(self._seed, "job", 0, member), "create")
        with self._blamed("create()"):
            return self._task.create(self._architectures[member], seed)

    def _epoch(self, trainee: Trainee, member: int) -> tuple[int | None, float]:
        """Steps and seconds of an epoch."""
        share_s = self._plan.seconds / 2
        choices = self._task.space.decode(self._architectures[member])
        with self._blamed("epoch_steps()"):
            steps = epoch_steps(self._task, choices)
        longest_s = math.inf if steps is None else share_s
        first, took_s = self._train(trainee, member, 0, 1, longest_s)
        if first.cut and steps is not None:
            return steps, steps * step_s(first.done_s, took_s)
        epochs = max(1, int(min(share_s, _ENOUGH_S) / max(took_s, 1e-3)))
        second, took_s = self._train(trainee, member, 1, epochs, share_s)
        if second.cut:
            return first.reached, first.reached * took_s / second.reached
        return first.reached or None, took_s / epochs

    def _train(
        self, trainee: Trainee, member: int, generation: int, epochs: int, share_s: float
    ) -> tuple[_Clocked, float]:
        """Train for so many seconds at most; what was done, and how long it took."""
        seed = derive(self._seed, "job", generation, member)
        directory, device = self._plan.directory, self._plan.device
        seed_everything(seed, device)
        began_s = time.perf_counter()
        context = _Clocked(directory, seed=seed, device=device, until_s=began_s + share_s)
        try:
            with self._blamed("train()"):
                trainee.train(epochs, context)
        except Interrupted:
            pass
        self._synchronise()
        ended_s = time.perf_counter()
        # Steps count from the beginning of the job, and the last ends when the device is done.
        context.done_s = [(done, at_s - began_s) for done, at_s in context.done_s]
        return context, ended_s - began_s

    def _evaluate_s(self, trainee: Trainee, member: int) -> float:
        seed = derive(self._seed, "job", 0, member)
        context = Rehearsal(self._plan.directory, seed=seed, device=self._plan.device)
        seed_everything(derive(seed, "evaluate"), self._plan.device)
        seconds, evaluation = self._timed(lambda: trainee.evaluate(context))
        score, _ = numbers_of(evaluation, trainee)
        if not math.isfinite(score):
            raise Diverged(f"the score is {score}")
        return seconds

    # -- checkpoints, time and memory ----------------------------------------------------------

    def _file(self, member: int) -> Path:
        return self._plan.directory / f"{member}.safetensors"

    def _save(self, member: int, state: State) -> None:
        self._digests[member] = self._write(self._file(member), state)

    def _write(self, file: Path, state: State) -> str:
        digest = write(file, state, algorithm=self._algorithm)
        with file.open("rb") as written:
            os.fsync(written.fileno())
        return digest

    def _read(self, member: int) -> State:
        digest = self._digests[member]
        return read_verified([self._file(member)], [digest], algorithm=self._algorithm)

    def _timed(self, act: Callable[[], T]) -> tuple[float, T]:
        began_s = time.perf_counter()
        done = act()
        self._synchronise()
        return time.perf_counter() - began_s, done

    @property
    def _on_gpu(self) -> bool:
        return self._plan.device.startswith("cuda")

    def _synchronise(self) -> None:
        if self._on_gpu:
            torch.cuda.synchronize(self._plan.device)

    def _forget(self) -> None:
        if self._on_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self._plan.device)

    def _peak(self) -> int | None:
        return torch.cuda.max_memory_reserved(self._plan.device) if self._on_gpu else None

    def _blamed(self, what: str) -> AbstractContextManager[None]:
        return blamed(what, type(self._task))


def step_s(done_s: Sequence[tuple[int, float]], took_s: float) -> float:
    """Seconds of a step, of the second half of those that were done where there are enough.

    Args:
        done_s: the number of steps done, and when, in seconds since the first began.
        took_s: when the last was over.
    """
    steps, _ = done_s[-1]
    if len(done_s) < _FEW:
        return took_s / steps
    before, at_s = done_s[len(done_s) // 2 - 1]
    return (took_s - at_s) / (steps - before)
