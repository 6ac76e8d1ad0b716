"""Checks that a rung which moves is in force: `load` of a parent's state must not undo it.

A child has the weights of its parents and rungs of its own.  Many a `load` brings more back than
weights: `load_state_dict` of an optimiser brings the parent's learning rate.  The child would
train with that, the search would credit its own rung, and nobody would notice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.tasks.base import Trainee
from pbtnas.tasks.checking.effects import exchanged
from pbtnas.tasks.checking.members import STEPS, MemberChecks
from pbtnas.tasks.checking.rehearsal import copy_of, difference
from pbtnas.tasks.checking.report import Level
from pbtnas.tasks.choices import with_choices
from pbtnas.tasks.splits import count, pair_of
from pbtnas.tasks.supervised import SupervisedTask
from pbtnas.tasks.updates import settings

Groups = dict[tuple[int, int, str], list[Any]]
"""Each setting of each group of each optimiser, such as "lr", as it was at every step."""


class _Trained(NamedTuple):
    """A member after some steps.

    Args:
        before: its state when it was new or had loaded one.
        after: its state now.
        groups: what its optimisers made their steps with.
    """

    before: State
    after: State
    groups: Groups


class LadderChecks(MemberChecks):
    """Checks of the ladders of the space; members themselves are checked elsewhere."""

    steps_seen = False  # of an optimiser, without which ladders may seem to have no effect

    def ladders(self, seed: int) -> None:
        """Move each ladder of a trained member by a rung, unless something worse was found."""
        space = self.task.space
        moving = [i for i, v in enumerate(space) if v.ordered and len(v.options) > 1]
        if not moving or any(finding.level is Level.ERROR for finding in self.findings()):
            return
        usual = list(space.sample(random.Random(derive(seed, "check-ladders"))))
        for i in moving:  # the middle ones: at the ends a member may diverge
            usual[i] = (len(space.variables[i].options) - 1) // 2
        held = [self._moved(i, tuple(usual), seed) for i in moving]
        self.architecture = None
        if self.steps_seen and all(held):
            self.say(Level.OK, "what a ladder decides is in force after load() of a parent's state")

    def _moved(self, index: int, here: Architecture, seed: int) -> bool:
        """Whether nothing was found of one ladder."""
        space = self.task.space
        name = space.variables[index].name
        there = exchanged(here, index, here[index] + 1)
        old, new = (self._trained(at, seed, None) for at in (here, there))
        kept, moved = (self._trained(at, seed + 1, old.after) for at in (here, there))
        for key, values in new.groups.items():
            undone = key in moved.groups and kept.groups.get(key) == moved.groups[key]
            if undone and old.groups.get(key, values) != values:
                self.say(
                    Level.ERROR,
                    f"load() overwrites what the ladder {name!r} decides: the optimiser's "
                    f"{key[-1]!r} is {values[0]} in a new member, and {moved.groups[key][0]}, as "
                    "in the parent, after load(); load moments alone, as load_moments does, or "
                    "set it again behind them",
                )
                return False
        fresh = _alike(old.before, new.before) and not _alike(old.after, new.after)
        if fresh and _alike(kept.after, moved.after):
            self.say(
                Level.WARNING,
                f"the ladder {name!r} makes a difference in new members, and none after load() "
                "of a parent's state: keep what create() made of the choices, and load nothing "
                "over it",
            )
            return False
        return self._epochs_are_equal(index, here)

    def _trained(self, architecture: Architecture, seed: int, parent: State | None) -> _Trained:
        trainee: Trainee = self.create(architecture, 0)
        if parent is not None:
            self.doing = "load() of the state of a member on another rung"
            trainee.load(copy_of(parent))
        before = copy_of(trainee.state())
        with _watched() as groups:
            after = self.train(trainee, seed, STEPS).state
        self.steps_seen |= bool(groups)
        return _Trained(before, after, groups)

    def _epochs_are_equal(self, index: int, here: Architecture) -> bool:
        """Whether epochs of a supervised task have as many examples at both ends of a ladder."""
        task = self.task
        if not isinstance(task, SupervisedTask):
            return True
        variable = task.space.variables[index]
        ends = (0, len(variable.options) - 1)
        sizes, batches = [], []
        for option in ends:
            self.doing, self.architecture = "train_batches()", exchanged(here, index, option)
            choices = task.space.decode(self.architecture)
            epoch = with_choices(task.train_batches, 0, choices=choices)
            batches.append(count(pair_of(next(iter(epoch)))[0]))
            sizes.append(len(epoch) * batches[-1])
        # Batches that are not whole may be left out, or be the last.
        if abs(sizes[0] - sizes[1]) < max(batches) + min(batches):
            return True
        self.say(
            Level.WARNING,
            f"an epoch has about {sizes[0]} examples with {variable.name} {variable.options[0]}, "
            f"and {sizes[1]} with {variable.options[-1]}: whoever has longer epochs trains more, "
            "and wins; train_batches() should give as many examples to all",
        )
        return False


def _alike(one: State, other: State) -> bool:
    """Whether all tensors are equal; `info` may have the rung itself, and make no difference."""
    return difference(replace(one, info={}), replace(other, info={})) is None


@contextmanager
def _watched() -> Iterator[Groups]:
    """Note with what optimisers make their steps, by torch's hook for all of them."""
    found: Groups = {}
    seen: list[Optimizer] = []

    def note(optimizer: Optimizer, args: object, kwargs: Mapping[str, object]) -> None:
        if not any(optimizer is other for other in seen):
            seen.append(optimizer)
        (which,) = (i for i, other in enumerate(seen) if other is optimizer)
        for number, group in enumerate(settings(optimizer)):
            for key, value in group.items():
                plain = value.tolist() if isinstance(value, Tensor) else value
                found.setdefault((which, number, key), []).append(plain)

    handle = register_optimizer_step_pre_hook(note)
    try:
        yield found
    finally:
        handle.remove()
