"""Tests a task before a search runs it: `pbtnas task check`, for people who write tasks.

Builds random architectures, trains two steps, interrupts, saves, loads and mixes, and says in
plain words what would go wrong.
"""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from pbtnas.config import SearchConfig
from pbtnas.determinism import as_in_the_search
from pbtnas.search.algorithms import pbtnas
from pbtnas.search.births import Birth
from pbtnas.search.population import Member
from pbtnas.search.seeding import derive
from pbtnas.search.space import SearchSpace
from pbtnas.state import State
from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.effects import exchanged, tried_options, without_effect
from pbtnas.tasks.checking.ladders import LadderChecks
from pbtnas.tasks.checking.members import STEPS
from pbtnas.tasks.checking.naming import ladder_faults, naming_faults, ownership
from pbtnas.tasks.checking.rehearsal import RehearsalProducts
from pbtnas.tasks.checking.report import Finding, Level, Tell
from pbtnas.tasks.preparing import prepare

_THREADS = 4  # of another preparation
_CONTEXTS = 8  # architectures in which the options of a variable are exchanged


class MixesStates(Protocol):
    """Builds a child's state from those of its parents: `weights.mixing.mix_states`."""

    def __call__(
        self, space: SearchSpace, birth: Birth, *, base: State, donor: State, fresh: State
    ) -> State: ...


def check(
    task: Task,
    *,
    mix: MixesStates,
    rounds: int = 5,
    seed: int = 0,
    device: str = "cpu",
    tell: Tell = lambda finding: None,
) -> list[Finding]:
    """Test a task; the findings, each once, in the order they were seen.

    Threads, precision and determinism are those of a search.

    Args:
        task: the task, not yet prepared.
        mix: function that builds a child's state.
        rounds: pairs of random architectures that are trained and mixed.
        seed: seed of architectures, weights and jobs.
        device: a torch device to train and evaluate on.
        tell: hears of each finding as soon as it is made; a check can take minutes.
    """
    with tempfile.TemporaryDirectory() as directory, as_in_the_search(threads=1):
        checks = _Checks(task, mix, seed, Path(directory), device, tell)
        with checks.reporting("prepare()"):
            checks.prepared()
            checks.names()
            for number in range(rounds):
                with checks.reporting("create()"):
                    checks.family(number)
            if rounds:
                with checks.reporting("create()"):
                    checks.ladders(seed)
                with checks.reporting("create()"):
                    checks.effects()
                checks.conclude()
        return checks.findings()


class _Checks(LadderChecks):
    """A check of a task in progress."""

    def __init__(
        self, task: Task, mix: MixesStates, seed: int, directory: Path, device: str, tell: Tell
    ) -> None:
        super().__init__(task, directory, device, tell)
        self.mix = mix
        self.seed = seed

    def prepared(self) -> None:
        """Prepare the task, and copies of it in other circumstances, and compare the products."""
        again, threaded = copy.deepcopy(self.task), copy.deepcopy(self.task)
        self.unprepared = copy.deepcopy(self.task)
        ours = self.made = self.products(self.task, threads=1)
        self.other = again
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
        """Build every option once, of ladders the ends, and judge the names of all tensors."""
        space = self.task.space
        usual = space.sample(random.Random(derive(self.seed, "check-names")))
        states = {usual: self.create(usual, 0).state()}
        for i, variable in enumerate(space):
            for option in tried_options(variable):
                architecture = exchanged(usual, i, option)
                states[architecture] = self.create(architecture, 0).state()
        self.architecture = None
        for variable in space:
            if len(variable.options) == 1:
                self.say(Level.WARNING, f"variable {variable.name!r} has a single option")
        for sentence in naming_faults(space, usual, states):
            self.say(Level.WARNING, sentence)
        for sentence in ladder_faults(space, usual, states):
            self.say(Level.ERROR, sentence)
        self.say(Level.OK, f"all {len(states)} networks that differ in one option can be built")
        self.say(Level.OK, ownership(space, states.values()))

    def family(self, number: int) -> None:
        """Train two random members, and a child mixed from them."""
        rng = random.Random(derive(self.seed, "check-family", number))
        architectures = [self.task.space.sample(rng) for _ in range(2)]
        seeds = [derive(self.seed, "check-member", number, i) for i in range(2)]
        base, donor = (self.survivor(a, s) for a, s in zip(architectures, seeds, strict=True))
        if base is None or donor is None:
            return

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
        self.train(child, birth.seed, STEPS)
        self.passed.add("child")
        self.say(Level.OK, "a child mixed from two random members loads and trains")

    def effects(self) -> None:
        """Say which options make no difference, unless something worse was found."""
        if any(finding.level is Level.ERROR for finding in self.findings()):
            return
        space = self.task.space
        rng = random.Random(derive(self.seed, "check-effects"))
        usual = [space.sample(rng) for _ in range(_CONTEXTS)]
        # A ladder may be of training that does not begin in the few steps of a check.
        found = list(without_effect(space, usual, self.alike, ladders=self.steps_seen))
        self.architecture = None
        for sentence in found:
            self.say(Level.WARNING, sentence)
