"""`check` finds what a ladder must not do, and a `load` that undoes what it decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from pbtnas.search import Architecture, SearchSpace, ladder
from pbtnas.state import State
from pbtnas.tasks.checking.check import check
from pbtnas.tasks.checking.effects import without_effect
from pbtnas.tasks.checking.report import Level
from pbtnas.tasks.supervised import Batches, SupervisedTrainee
from pbtnas.weights.mixing import mix_states
from tests.tasks.broken import TinyTask, Wrapped

RATE = ladder("learning_rate", 1e-3, 1e-1, steps=5)
KEPT = "what a ladder decides is in force after load() of a parent's state"


class Good(TinyTask):
    """Its ladder is the rate of its optimiser."""

    space = SearchSpace([*TinyTask.space, RATE])

    def optimizer(  # type: ignore[override]
        self, parameters: Iterable[nn.Parameter], choices: Mapping[str, Any]
    ) -> Optimizer:
        return torch.optim.SGD(parameters, lr=choices["learning_rate"], momentum=0.9)


class Overwriting(Good, Wrapped):
    """Loads the optimiser as torch's manual does, learning rate included."""

    class trainee(SupervisedTrainee):
        def state(self) -> State:
            state = super().state()
            state.info["lr"] = self._optimizer.param_groups[0]["lr"]
            return state

        def load(self, state: State) -> None:
            super().load(state)
            saved = self._optimizer.state_dict()
            saved["param_groups"][0]["lr"] = state.info["lr"]
            self._optimizer.load_state_dict(saved)


class Restoring(Wrapped):
    """Goes on with the batch size that its state has."""

    space = SearchSpace([*TinyTask.space, ladder("size", 4, 16, 3, integer=True)])

    def train_batches(  # type: ignore[override]
        self, seed: int, choices: Mapping[str, Any]
    ) -> Batches:
        self.batch_size = choices["size"]
        return super().train_batches(seed)

    class trainee(SupervisedTrainee):
        def state(self) -> State:
            state = super().state()
            state.info["size"] = self._choices["size"]
            return state

        def load(self, state: State) -> None:
            super().load(state)
            self._choices["size"] = state.info["size"]


class Widening(Good):
    """Its ladder decides how wide a layer is."""

    space = SearchSpace([*TinyTask.space, RATE, ladder("wide", 4, 6, 3, integer=True)])

    def build(self, choices: Mapping[str, Any]) -> nn.Module:
        net = super().build(choices)
        net.spare = nn.Linear(2, choices["wide"])
        return net


class Unequal(Good):
    """Its epochs have as many steps for all, whatever the batch size."""

    space = SearchSpace([*TinyTask.space, RATE, ladder("size", 2, 20, 3, integer=True)])

    def train_batches(  # type: ignore[override]
        self, seed: int, choices: Mapping[str, Any]
    ) -> Batches:
        self.batch_size = choices["size"]
        return list(super().train_batches(seed))[:2]


@pytest.mark.parametrize(
    ("task", "level", "sentence"),
    [
        (
            Overwriting,
            Level.ERROR,
            "load() overwrites what the ladder 'learning_rate' decides: the optimiser's 'lr' is "
            "0.0316227766 in a new member, and 0.01, as in the parent, after load(); load moments "
            "alone, as load_moments does, or set it again behind them",
        ),
        (
            Restoring,
            Level.WARNING,
            "the ladder 'size' makes a difference in new members, and none after load() of a "
            "parent's state: keep what create() made of the choices, and load nothing over it",
        ),
        (
            Widening,
            Level.ERROR,
            "the ladder 'wide' decides whether the tensor 'spare.bias' exists or what shape it "
            "has: children move on ladders and keep their weights, so all rungs must have the "
            "same tensors; make it a Variable that owns the module",
        ),
        (
            Unequal,
            Level.WARNING,
            "an epoch has about 4 examples with size 2, and 40 with 20: whoever has longer epochs "
            "trains more, and wins; train_batches() should give as many examples to all",
        ),
    ],
)
def test_what_is_wrong_with_a_ladder_is_said(
    task: type[TinyTask], level: Level, sentence: str
) -> None:
    """One sentence for each mistake, and no other finding."""
    findings = check(task(), mix=mix_states, rounds=1)

    found = [(f.level, f.sentence) for f in findings if f.level is not Level.OK]
    assert found == [(level, sentence)]
    assert KEPT not in [f.sentence for f in findings]


def test_a_ladder_without_effect_is_told_by_its_ends() -> None:
    """Not each rung is trained, and none where a check is too short for an optimiser's step."""
    space = SearchSpace([RATE])
    compared = []

    def alike(one: Architecture, other: Architecture) -> bool:
        compared.append((one, other))
        return True

    (sentence,) = without_effect(space, [(2,)], alike)

    assert sentence == (
        "variable 'learning_rate': 0.001 and 0.1 make the same network: no tensor differs after "
        "training, nor does the score (in 1 random architectures); is the choice used in training?"
    )
    assert compared == [((0,), (4,))]
    assert list(without_effect(space, [(2,)], alike, ladders=False)) == []


def test_long_ladders_do_not_make_a_check_long() -> None:
    """Of a ladder, only the ends are built to look at the names of tensors."""

    class Long(Good):
        space = SearchSpace([*TinyTask.space, ladder("learning_rate", 1e-3, 1e-1, steps=500)])

    findings = check(Long(), mix=mix_states, rounds=1)

    (built,) = [f.sentence for f in findings if "that differ in one option" in f.sentence]
    assert int(built.split()[1]) < 20


def test_a_good_ladder_is_told_so() -> None:
    """What was compared is among the good news."""
    findings = check(Good(), mix=mix_states, rounds=1)

    assert {f.level for f in findings} == {Level.OK}
    assert KEPT in [f.sentence for f in findings]
