"""Checks one member after the other: its weights, jobs, checkpoint, score and export."""

from __future__ import annotations

import copy
import math
import resource
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pbtnas.determinism import global_rngs, seed_everything
from pbtnas.search.objectives import COUNTED
from pbtnas.search.space import Architecture
from pbtnas.state import State, assemble
from pbtnas.tasks.base import Diverged, Evaluation, Task, Trainee
from pbtnas.tasks.checking.keeping import check_export, poisoned, written
from pbtnas.tasks.checking.rehearsal import (
    Rehearsal,
    RehearsalSnapshot,
    copy_of,
    difference,
    evaluate,
    train,
)
from pbtnas.tasks.checking.report import Level, Report, Tell
from pbtnas.tasks.costs import costs_of
from pbtnas.tasks.findings import artifact_faults, numbers_of, preview_fault
from pbtnas.tasks.fresh import fresh_tensors, offers_modules
from pbtnas.tasks.optional import HasNetwork

STEPS = 2  # of every training; the shortest that can be interrupted

_OF_A_MEMBER = ("interruption", "checkpoint", "score", "final evaluation", "export", "child")
"""What only a member that does not diverge can be checked for."""


class MemberChecks(Report):
    """Checks of members, on a task that is prepared meanwhile.

    Args:
        task: the task.
        directory: a directory for what is written.
        device: a torch device to train and evaluate on.
        tell: hears of each finding.
    """

    def __init__(self, task: Task, directory: Path, device: str, tell: Tell) -> None:
        super().__init__(task, device, tell)
        self.task = task
        self.unprepared = task
        self.other: Task | None = None  # the task as another process prepares it
        self.made: Mapping[str, bytes] = {}  # products
        self.directory = directory
        self.device = device
        self.passed: set[str] = set()
        self._tried = self._scored = 0
        self._step_s = self._score_s = math.inf  # the least; the first pays for warming up
        self._bytes = 0

    def context(
        self, seed: int = 0, stop_at: int | None = None, *, final: bool = False
    ) -> Rehearsal:
        return Rehearsal(
            self.directory, seed=seed, device=self.device, stop_at=stop_at, final=final
        )

    def create(self, architecture: Architecture, seed: int) -> Trainee:
        self.doing, self.architecture = "create()", architecture
        return self.task.create(architecture, seed)

    def train(self, trainee: Trainee, seed: int, stop_at: int) -> RehearsalSnapshot:
        self.doing = "train()"
        began_s = time.perf_counter()
        snapshot = train(trainee, STEPS, self.context(seed, stop_at))
        took_s = time.perf_counter() - began_s
        self._step_s = min(self._step_s, took_s / max(1, snapshot.done))
        return snapshot

    def score(self, trainee: Trainee, seed: int) -> tuple[float, Evaluation]:
        """What a job of the search would record."""
        self.doing = "evaluate()"
        began_s = time.perf_counter()
        evaluation = evaluate(trainee, self.context(seed))
        self._score_s = min(self._score_s, time.perf_counter() - began_s)
        return numbers_of(evaluation, trainee)[0], evaluation

    def member(self, architecture: Architecture, seed: int) -> State:
        """Create, train, save, load and evaluate one member; its state after training."""
        self._tried += 1
        trainee = self.created(architecture, seed)
        self.modules(trainee.state(), architecture, seed)
        snapshot = self.train(trainee, seed, STEPS)
        self.trained(snapshot, architecture, seed)
        loaded = self.saved(snapshot.state, architecture)
        if self.evaluated(snapshot.state, trainee, loaded, seed):
            self._scored += 1
            self.finally_evaluated(snapshot.state, trainee, seed)
            self.exported(trainee, architecture)
            self.counted(trainee)
            self.judged(snapshot.state, architecture, seed)
        return snapshot.state

    def survivor(self, architecture: Architecture, seed: int) -> State | None:
        """The state of a member that was checked; None if it diverged in training."""
        try:
            return self.member(architecture, seed)
        except Diverged as error:
            self.diverged(error)
            return None

    def created(self, architecture: Architecture, seed: int) -> Trainee:
        seed_everything(seed, self.device)
        first = self.create(architecture, seed)
        left = _generators()
        seed_everything(seed + 1, self.device)
        differs = difference(first.state(), self.create(architecture, seed).state())
        if differs:
            self.say(
                Level.ERROR,
                "create() must make the same weights for the same seed, whatever the state of the "
                f"global random numbers: the second time {differs}",
            )
        seeded = [name for name, state in _generators().items() if torch.equal(state, left[name])]
        if seeded:
            self.say(
                Level.WARNING,
                f"create() seeds the global generator of {' and '.join(seeded)}: all members would "
                "draw the same numbers when they train; seed nothing in a constructor",
            )
        if difference(first.state(), self.create(architecture, seed + 1).state()) is None:
            self.say(
                Level.WARNING,
                "create() makes the same weights for different seeds: does a constructor seed the "
                "generator that it draws from?",
            )
        return first

    def modules(self, made: State, architecture: Architecture, seed: int) -> None:
        """Compare what `create_modules` makes, if the task offers it, with what `create` has made.

        Each tensor is made twice and in any order, as children may need it.
        """
        if not offers_modules(self.task):
            return
        self.doing = "create_modules()"
        fresh = fresh_tensors(self.task, architecture, seed)
        whole = State(made.live, made.buffers, made.averaged)
        for keys in (list(fresh), list(fresh)[::-1]):
            seed_everything(seed + 1, self.device)
            parts = assemble({key: fresh[key].make() for key in keys}, {})
            differs = difference(whole, State(parts.live, parts.buffers, parts.averaged))
            if differs:
                self.say(
                    Level.ERROR,
                    "create_modules() must make the same tensors as create(), in any order, but "
                    f"{differs}: does every tensor have a random stream of its own?",
                )
                return
        self.say(Level.OK, "create_modules() makes the same tensors as create()")

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
        if half.done >= whole.done:  # a state can be had now and then only, as between episodes
            whole = self.train(self.create(architecture, seed), seed, stop_at=half.done + 1)
        other = self.create(architecture, seed + 1)
        self.doing = "load() of a state in the middle of a job"
        other.load(half.state)
        self.doing = "train() of an interrupted job"
        resumed = train(other, STEPS, self.context(seed, whole.done), half)
        differs = difference(whole.state, resumed.state)
        self.passed.add("interruption")
        if differs:
            self.say(
                Level.ERROR,
                "a job that is interrupted after a step and continued from state() must end with "
                f"the same bits, but {differs}: state() and load() leave something out (layers in "
                "a list belong into an nn.ModuleList), or train() does not go on behind "
                "context.done",
            )
        else:
            self.say(Level.OK, "an interrupted job ends with the same bits")

    def saved(self, state: State, architecture: Architecture) -> Trainee:
        """Another trainee that has loaded the state from a checkpoint, which is checked."""
        self.doing = "saving the state"
        file = self.directory / "checkpoint.safetensors"
        restored = written(state, file)
        self._bytes = max(self._bytes, file.stat().st_size)
        loaded = self.create(architecture, 0)
        self.doing = "load() of a saved state"
        loaded.load(restored)
        differs = difference(state, loaded.state())
        self.passed.add("checkpoint")
        if differs:
            self.say(Level.ERROR, f"load() must restore all of state(), but {differs}")
        return loaded

    def evaluated(self, state: State, trainee: Trainee, loaded: Trainee, seed: int) -> bool:
        """Check that the score is a number, and a function of the state and the seed.

        False if the member has diverged.
        """
        (score, evaluation), (again, _) = (self.score(t, seed) for t in (trainee, loaded))
        self.artifacts(evaluation, trainee)
        if unkept := preview_fault(evaluation, trainee):
            self.say(Level.ERROR, unkept)
        differs = difference(state, trainee.state())
        if differs:
            self.say(Level.ERROR, f"evaluate() must not change the state, but {differs}")
        if not (math.isfinite(score) and math.isfinite(again)):
            self.say(Level.WARNING, f"the score of a random member is {score}")
            return False
        self.passed.add("score")
        if score != again:
            self.say(
                Level.ERROR,
                "evaluate() must be a function of the state and context.seed, but the same state "
                f"scored {score} and {again}",
            )
        elif (elsewhere := self.elsewhere(state, seed)) not in (None, score):
            self.say(
                Level.ERROR,
                f"the same state scored {score}, and {elsewhere} with the task prepared anew: all "
                "processes of a run must have the same data; give a split that is drawn a seed",
            )
        else:
            self.say(Level.OK, "scores are finite and repeatable")
        return True

    def elsewhere(self, state: State, seed: int) -> float | None:
        """The score of the state in another process; once, for it may take long."""
        if self.other is None or self.architecture is None:
            return None
        other, self.other = self.other.create(self.architecture, 0), None
        other.load(copy_of(state))
        return self.score(other, seed)[0]

    def artifacts(self, evaluation: Evaluation, trainee: Trainee) -> bool:
        """Whether `pbtnas evaluate` could keep all artifacts."""
        faults = [sentence for _, sentence in artifact_faults(evaluation, trainee)]
        for sentence in faults:
            self.say(Level.ERROR, sentence)
        return not faults

    def finally_evaluated(self, state: State, trainee: Trainee, seed: int) -> None:
        """Evaluate as `pbtnas evaluate` does; once, for it may take long."""
        if "final evaluation" in self.passed:
            return
        self.passed.add("final evaluation")
        self.doing = "evaluate() with context.final"
        evaluation = evaluate(trainee, self.context(seed, final=True))
        numbers_of(evaluation, trainee)
        kept = self.artifacts(evaluation, trainee)
        differs = difference(state, trainee.state())
        if differs:
            self.say(Level.ERROR, f"{self.doing} must not change the state, but {differs}")
        if kept:
            self.say(Level.OK, "the final evaluation has a score, and its artifacts can be kept")

    def exported(self, trainee: Trainee, architecture: Architecture) -> None:
        """Take the network out, and load it without data, once."""
        if "export" in self.passed:
            return
        self.passed.add("export")
        if not isinstance(trainee, HasNetwork):
            return
        # No error: a search goes well without it.
        with self.reporting("loading an exported network without data", Level.WARNING):
            check_export(trainee, copy.deepcopy(self.unprepared), architecture, self.made)
            self.say(Level.OK, "its network can be exported, and loaded without data")

    def counted(self, trainee: Trainee) -> None:
        """Count what the network costs, as a job does where an objective asks for it."""
        # No error: a search for the score alone goes well without it.
        with self.reporting("costs(), which objectives may ask for,", Level.WARNING):
            costs_of(trainee, COUNTED)

    def judged(self, state: State, architecture: Architecture, seed: int) -> None:
        """Check that a network of NaN has no score.

        On the CPU only: a kernel that stumbles over NaN can make a GPU unusable.
        """
        if self.device != "cpu":
            return
        other = self.create(architecture, 0)
        with self.reporting("evaluate() of a network whose weights are NaN", Level.WARNING):
            other.load(poisoned(state))
            try:
                evaluation = evaluate(other, self.context(seed))
            except Diverged:
                return
            score, _ = numbers_of(evaluation, other)
            if math.isfinite(score):
                self.say(
                    Level.ERROR,
                    f"evaluate() gives a network whose weights are all NaN the score {score}: it "
                    "could win; return a score of NaN, or raise Diverged, where outputs are not "
                    "finite",
                )

    def alike(self, one: Architecture, other: Architecture) -> bool:
        """Whether two architectures have equal members: at first, after training, and by score."""
        ours, theirs = self.create(one, 0), self.create(other, 0)
        if difference(ours.state(), theirs.state()) is not None:
            return False
        try:
            for trainee, architecture in ((ours, one), (theirs, other)):
                self.architecture = architecture
                self.train(trainee, 0, STEPS)
            if difference(ours.state(), theirs.state()) is not None:
                return False
            return self.score(ours, 0)[0] == self.score(theirs, 0)[0]
        except Diverged:
            return False

    def conclude(self) -> None:
        """Say what a member costs, or that none could be checked."""
        self.architecture = None
        if self._scored:
            self.say(
                Level.OK,
                f"a member takes {self._step_s:.2g} s a step of training, {self._score_s:.2g} s to "
                f"score, {self._bytes / 1e6:.2g} MB as a checkpoint; {self._memory()}",
            )
        elif self._tried and not any(f.level is Level.ERROR for f in self.findings()):
            skipped = [what for what in _OF_A_MEMBER if what not in self.passed]
            self.say(
                Level.ERROR,
                f"every random member diverged ({self._tried} were tried): a search would end "
                f"without a usable member; not checked: {', '.join(skipped)}",
            )

    def _memory(self) -> str:
        if self.device.startswith("cuda"):
            peak = torch.cuda.max_memory_allocated(self.device)
            return f"at most {peak / 1e6:.0f} MB of GPU memory were in use"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return f"this process had at most {peak / 1e6:.0f} MB of memory"


def _generators() -> dict[str, Tensor]:
    """The states of the global generators by the library they belong to."""
    tensors, python = global_rngs("cpu")
    return {**tensors, "random": torch.tensor(python["internal"])}
