"""Networks, averaged copies and optimisers as one state, and the example that is made of them."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from pbtnas.state import State
from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, copy_of, difference, evaluate, train
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.members import Learner
from tests.tasks.contract import TaskContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_training.py"


class TestOwnTraining(TaskContract):
    """The example keeps the contract, of which it writes a training loop and a score only."""

    costs = frozenset()

    def make_task(self) -> Task:
        return load_task("Denoising", {}, task_file=f"{EXAMPLE}:Denoising")

    def test_it_learns(self, task: Task, tmp_path: Path) -> None:
        """Ten epochs make the error a half of what it was."""
        trainee = task.create((2, 0), 0)
        before = evaluate(trainee, Rehearsal(tmp_path)).score

        train(trainee, 10, Rehearsal(tmp_path))

        assert evaluate(trainee, Rehearsal(tmp_path)).score > before / 2


class Pair(Learner):
    """Two networks with batch norms, of which one has an averaged copy."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.head, self.body = nn.Linear(3, 1), nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.smooth = copy.deepcopy(self.body).requires_grad_(False)
        self.optimizers = [torch.optim.Adam(n.parameters(), 0.1) for n in (self.body, self.head)]
        networks = nn.ModuleDict({"body": self.body, "head": self.head})
        super().__init__(networks, self.optimizers, averaged={"body": self.smooth})

    def step(self) -> None:
        self.head(self.body(torch.eye(2))).square().sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        self.average(0.25)


def test_a_state_has_every_tensor_under_the_path_of_its_parameter() -> None:
    """Averaged copies and moments too, and the copies' own buffers."""
    pair = Pair(0)
    pair.step()

    state = pair.state()

    body, head = {"body.0.weight", "body.0.bias"}, {"head.weight", "head.bias"}
    norm = {"body.1.weight", "body.1.bias"}
    statistics = {f"body.1.{n}" for n in ("running_mean", "running_var", "num_batches_tracked")}
    assert set(state.live) == body | norm | head
    assert set(state.buffers) == statistics
    assert set(state.averaged) == body | norm | statistics
    moments = ("step", "exp_avg", "exp_avg_sq")
    assert set(state.optimizer) == {f"{name}/{m}" for name in state.live for m in moments}


def test_a_loaded_learner_goes_on_to_the_same_bits() -> None:
    """Nothing of networks, averages and optimisers is left out."""
    one, other = Pair(0), Pair(1)
    one.step()
    other.load(copy_of(one.state()))
    for pair in (one, other):
        for optimizer in pair.optimizers:
            optimizer.zero_grad()

    one.step()
    other.step()

    assert difference(one.state(), other.state()) is None


def test_the_average_moves_a_part_of_the_way() -> None:
    """A quarter of what lies between it and the parameter."""
    pair = Pair(0)
    before = copy_of(pair.state())

    pair.step()

    after = pair.state()
    for name in ("body.0.weight", "body.1.bias"):
        expected = 0.75 * before.averaged[name] + 0.25 * after.live[name]
        assert torch.allclose(after.averaged[name], expected, atol=1e-6)


def test_a_copy_of_something_else_is_refused() -> None:
    """An average of a network with other parameters would mean nothing."""
    network = nn.Sequential(nn.Linear(2, 2))

    with pytest.raises(ValueError, match="longer"):
        Learner(network, [], averaged={"": nn.Linear(2, 2, bias=False)})


@pytest.mark.parametrize("section", ["live", "buffers", "averaged"])
def test_a_tensor_that_does_not_fit_is_named(section: str) -> None:
    """With its section, whichever it is."""
    pair = Pair(0)
    state: State = copy_of(pair.state())
    name = next(reversed(getattr(state, section)))
    getattr(state, section)[name] = torch.zeros(7, 7)

    with pytest.raises(ValueError, match=rf"the {section} tensor '{name}' has shape \[7, 7\]"):
        pair.load(state)
