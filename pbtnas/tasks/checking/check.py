"""Tests a task before a search runs it: `pbtnas task check`, for people who write tasks.

Builds random architectures, trains two steps, interrupts, saves, loads and mixes, and says in
plain words what would go wrong.
"""

from __future__ import annotations

import copy
import json
import math
import random
import tempfile
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import safetensors.torch

from pbtnas.config import SearchConfig
from pbtnas.determinism import as_in_the_search, seed_everything
from pbtnas.search.algorithms import pbtnas
from pbtnas.search.births import Birth
from pbtnas.search.population import Member
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture, SearchSpace
from pbtnas.state import State
from pbtnas.tasks.base import Diverged, Task, Trainee
from pbtnas.tasks.checking.naming import naming_faults, ownership
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalProducts,
    RehearsalSnapshot,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.preparing import prepare

_NOT_DETERMINISTIC = " does not have a deterministic implementation"  # as torch puts it
_THREADS = 4  # of another preparation
_STEPS = 2  # of every training; the shortest that can be interrupted


class Level(StrEnum):
    """The severity of a finding: an error breaks the search or its reproducibility."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One thing the check found.

    Args:
        level: its severity.
        sentence: its description, for people.
        detail: the architecture it was seen with, and the traceback if there is one.
    """

    level: Level
    sentence: str
    detail: str = ""


class MixesStates(Protocol):
    """Builds a child's state from those of its parents: `weights.mixing.mix_states`."""

    def __call__(
        self, space: SearchSpace, birth: Birth, *, base: State, donor: State, fresh: State
    ) -> State: ...


def check(
    task: Task, *, mix: MixesStates, rounds: int = 5, seed: int = 0, device: str = "cpu"
) -> list[Finding]:
    """Test a task; the findings, each once, in the order they were seen.

    Threads, precision and determinism are those of a search.

    Args:
        task: the task, not yet prepared.
        mix: function that builds a child's state.
        rounds: pairs of random architectures that are trained and mixed.
        seed: seed of architectures, weights and jobs.
        device: a torch device to train and evaluate on.
    """
    with tempfile.TemporaryDirectory() as directory, as_in_the_search(threads=1):
        checks = _Checks(task, mix, seed, Path(directory), device)
        with checks.reporting("prepare()"):
            checks.prepared()
            checks.names()
            for number in range(rounds):
                with checks.reporting("create()"):
                    checks.family(number)
        return list(checks.findings.values())


class _Checks:
    """A check in progress: the step it is at, and its findings so far."""

    def __init__(
        self, task: Task, mix: MixesStates, seed: int, directory: Path, device: str
    ) -> None:
        self.task = task
        self.mix = mix
        self.seed = seed
        self.directory = directory
        self.device = device
        self.findings: dict[str, Finding] = {}
        self.doing = ""
        self.architecture: Architecture | None = None

    def say(self, level: Level, sentence: str, detail: str = "") -> None:
        """Add a finding, unless another architecture has shown it already."""
        if level is not Level.OK and self.architecture is not None:
            choices = self.task.space.decode(self.architecture)
            lines = [f"  {name}: {option}" for name, option in choices.items()]
            detail = "\n".join(["seen with", *lines, detail]).rstrip()
        self.findings.setdefault(sentence, Finding(level, sentence, detail))

    @contextmanager
    def reporting(self, doing: str) -> Iterator[None]:
        """Turn whatever the task raises into a finding, which ends this part of the check."""
        self.doing = doing
        try:
            yield
        except Diverged as error:
            self.say(Level.WARNING, f"a random member diverged at once: {error}")
        except Exception as error:  # noqa: BLE001 - a task may raise anything: that is the finding
            self.say(Level.ERROR, self.in_words(error), traceback.format_exc())

    def in_words(self, error: Exception) -> str:
        """Explain what an exception of the task means for a search."""
        operation, refused, _ = str(error).partition(_NOT_DETERMINISTIC)
        if refused:
            return (
                f"{self.doing} uses {operation}, which PyTorch cannot do deterministically on "
                f"{self.device}: a search refuses it, so no job would end; use another operation"
            )
        return f"{self.doing} raised {type(error).__name__}: {error}"

    def context(self, seed: int = 0, stop_at: int | None = None) -> Rehearsal:
        return Rehearsal(self.directory, seed=seed, device=self.device, stop_at=stop_at)

    def create(self, architecture: Architecture, seed: int) -> Trainee:
        self.doing, self.architecture = "create()", architecture
        return self.task.create(architecture, seed)

    def train(self, trainee: Trainee, seed: int, stop_at: int) -> RehearsalSnapshot:
        self.doing = "train()"
        return train(trainee, _STEPS, self.context(seed, stop_at))

    def prepared(self) -> None:
        """Prepare the task, and copies of it in other circumstances, and compare the products."""
        again, threaded = copy.deepcopy(self.task), copy.deepcopy(self.task)
        ours = self.products(self.task, threads=1)
        self.compare_products(
            ours,
            self.products(again, threads=1),
            Level.ERROR,
            "the second time: the outcome of a run must not depend on which process prepares "
            "first, so make products without clocks, names of machines or random numbers of the "
            "operating system (`unique` of what prepare() is given is for those)",
        )
        # No error: a run has one number of threads, and all its processes prepare with it.
        self.compare_products(
            ours,
            self.products(threaded, threads=_THREADS),
            Level.WARNING,
            f"with {_THREADS} threads than with one: runs with another run.threads score "
            "otherwise, so do not compare their scores",
        )

    def products(self, task: Task, threads: int) -> dict[str, bytes]:
        made = RehearsalProducts(self.directory)
        prepare(task, made, threads=threads)
        return made.products

    def compare_products(
        self, ours: Mapping[str, bytes], others: Mapping[str, bytes], level: Level, why: str
    ) -> None:
        for name in sorted(ours.keys() | others.keys()):
            if name not in ours or name not in others:
                self.say(Level.ERROR, f"prepare() publishes {name!r} only now and then")
            elif ours[name] != others[name]:
                self.say(level, f"prepare() makes another product {name!r} {why}")

    def names(self) -> None:
        """Build every option once, and judge the names of all tensors."""
        space = self.task.space
        usual = space.sample(random.Random(derive(self.seed, "check-names")))
        states = {}
        for i, variable in enumerate(space):
            for option in range(len(variable.options)):
                architecture = (*usual[:i], option, *usual[i + 1 :])
                states[architecture] = self.create(architecture, 0).state()
        self.architecture = None
        for sentence in naming_faults(space, usual, states):
            self.say(Level.WARNING, sentence)
        self.say(Level.OK, f"all {len(states)} networks that differ in one option can be built")
        self.say(Level.OK, ownership(space, states.values()))

    def family(self, number: int) -> None:
        """Train two random members, and a child mixed from them."""
        rng = random.Random(derive(self.seed, "check-family", number))
        architectures = [self.task.space.sample(rng) for _ in range(2)]
        seeds = [derive(self.seed, "check-member", number, i) for i in range(2)]
        base, donor = (self.member(a, s) for a, s in zip(architectures, seeds, strict=True))

        members = [Member(i, a, -float(i)) for i, a in enumerate(architectures)]
        search = SearchConfig(
            population=2, generations=1, epochs=1, parents=2, replaced=1, inherit_probability=0.5
        )
        selection = search.selection()
        (birth,) = pbtnas(members, self.task.space, selection, self.seed, number)
        fresh = self.create(birth.architecture, birth.seed).state()
        state = self.mix(self.task.space, birth, base=base, donor=donor, fresh=fresh)
        child = self.create(birth.architecture, 0)
        self.doing = "load() of a state mixed from two members"
        child.load(state)
        self.train(child, birth.seed, _STEPS)
        self.say(Level.OK, "a child mixed from two random members loads and trains")

    def member(self, architecture: Architecture, seed: int) -> State:
        """Create, train, save, load and evaluate one member; its state after training."""
        trainee = self.created(architecture, seed)
        snapshot = self.train(trainee, seed, _STEPS)
        self.trained(snapshot, architecture, seed)
        loaded = self.saved(snapshot.state, architecture)
        self.evaluated(snapshot.state, trainee, loaded, seed)
        return snapshot.state

    def created(self, architecture: Architecture, seed: int) -> Trainee:
        first = self.create(architecture, seed)
        seed_everything(seed + 1, self.device)
        differs = difference(first.state(), self.create(architecture, seed).state())
        if differs:
            self.say(
                Level.ERROR,
                "create() must make the same weights for the same seed, whatever the state of the "
                f"global random numbers: the second time {differs}",
            )
        return first

    def trained(self, whole: RehearsalSnapshot, architecture: Architecture, seed: int) -> None:
        """Check that training moves the weights, and that an interruption changes nothing."""
        if whole.done == 0:
            self.say(
                Level.ERROR,
                "train() never called context.tick(done) with the number of steps done: the job "
                "could not be interrupted, and would count as hung",
            )
            return
        if not difference(self.create(architecture, seed).state(), whole.state):
            self.say(Level.WARNING, f"train() changed nothing in {whole.done} steps")
        half = self.train(self.create(architecture, seed), seed, stop_at=1)
        other = self.create(architecture, seed + 1)
        self.doing = "load() of a state in the middle of a job"
        other.load(half.state)
        self.doing = "train() of an interrupted job"
        resumed = train(other, _STEPS, self.context(seed, _STEPS), half)
        differs = difference(whole.state, resumed.state)
        if differs:
            self.say(
                Level.ERROR,
                "a job that is interrupted after a step and continued from state() must end with "
                f"the same bits, but {differs}: state() and load() leave something out, or "
                "train() does not go on behind context.done",
            )
        else:
            self.say(Level.OK, "an interrupted job ends with the same bits")

    def saved(self, state: State, architecture: Architecture) -> Trainee:
        """Another trainee that has loaded the state from a file, which is checked."""
        self.doing = "saving the state"
        restored = State(info=json.loads(json.dumps(state.info)))
        for section in State.SECTIONS:
            data = safetensors.torch.save(getattr(state, section))
            setattr(restored, section, safetensors.torch.load(data))
        loaded = self.create(architecture, 0)
        self.doing = "load() of a saved state"
        loaded.load(restored)
        differs = difference(state, loaded.state())
        if differs:
            self.say(Level.ERROR, f"load() must restore all of state(), but {differs}")
        return loaded

    def evaluated(self, state: State, trainee: Trainee, loaded: Trainee, seed: int) -> None:
        """Check that the score is a number, and a function of the state and the seed."""
        self.doing = "evaluate()"
        scores = [evaluate(t, self.context(seed)).score for t in (trainee, loaded)]
        differs = difference(state, trainee.state())
        if differs:
            self.say(Level.ERROR, f"evaluate() must not change the state, but {differs}")
        if not all(map(math.isfinite, scores)):
            self.say(Level.WARNING, f"the score of a random member is {scores[0]}")
        elif scores[0] != scores[1]:
            self.say(
                Level.ERROR,
                "evaluate() must be a function of the state and context.seed, but the same state "
                f"scored {scores[0]} and {scores[1]}",
            )
        else:
            self.say(Level.OK, "scores are finite and repeatable")
