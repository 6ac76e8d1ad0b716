"""What people do when they train: each recipe keeps the contract, so that it can be searched."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim import lr_scheduler as schedules
from torch.utils.data import DataLoader, Dataset

from pbtnas.state import State
from pbtnas.tasks.base import Diverged, Task, TaskError
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, difference, train
from pbtnas.tasks.faults import TaskFault
from pbtnas.tasks.supervised import Batches, Split, SupervisedTask, SupervisedTrainee
from pbtnas.tasks.updates import Update
from tests.tasks.broken import Net, TinyTask
from tests.tasks.contract import TaskContract

EPOCH = 5  # steps of one, of the tiny task


class Scheduled(TinyTask):
    """Warms up for a few steps, then a cycle that changes learning rate and momentum."""

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)

    def schedule(self, optimizer: Optimizer, steps: int) -> schedules.LRScheduler:
        warm = schedules.LinearLR(optimizer, 0.1, total_iters=3)
        cycle = schedules.OneCycleLR(optimizer, 0.2, total_steps=20 * steps)
        return schedules.SequentialLR(optimizer, [warm, cycle], milestones=[3])


class Bfloat16(TinyTask):
    precision = "bfloat16"


class Float16(TinyTask):
    precision = "float16"
    clip_norm = 1.0


class Closures(TinyTask):
    """L-BFGS evaluates its loss several times a step."""

    batch_size = 20

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        return torch.optim.LBFGS(parameters, lr=0.1, max_iter=3)


class Noisy(TinyTask):
    """Augmentation draws from the step's generator and, as torchvision's does, from torch's."""

    def augment(self, inputs: Any, targets: Any, generator: torch.Generator) -> tuple[Any, Any]:
        noise = torch.randn(inputs.shape, generator=generator)
        return inputs + 0.1 * noise + 0.1 * torch.randn(inputs.shape), targets


class DictNet(Net):
    """Takes two named inputs, and gives a dict."""

    def forward(self, x: Tensor, scale: Tensor) -> Any:
        return {"logits": super().forward(x * scale[:, None]), "nothing": None}


class Dicts(TinyTask):
    """Batches and outputs are mappings, as those of language models."""

    def build(self, choices: Any) -> nn.Module:
        return DictNet(choices)

    def data(self) -> Split:
        split = super().data()
        parts = [
            {"x": x, "scale": torch.ones(len(x)), "labels": y}
            for x, y in ((split.train_x, split.train_y), (split.test_x, split.test_y))
        ]
        return Split(parts[0], parts[1], parts[1])

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        return super().loss(outputs["logits"], targets)

    def score(self, outputs: Any, targets: Tensor) -> float:
        return super().score(outputs["logits"], targets)


class TupleNet(Net):
    def forward(self, x: Tensor, more: Tensor) -> Any:
        return super().forward(x), super().forward(more)


class Tuples(TinyTask):
    """Two inputs, two targets, two outputs."""

    def build(self, choices: Any) -> nn.Module:
        return TupleNet(choices)

    def data(self) -> Split:
        s = super().data()
        train, rest = (
            ((x, -x), (y, 1 - y)) for x, y in ((s.train_x, s.train_y), (s.test_x, s.test_y))
        )
        return Split(train, rest, rest)

    def loss(self, outputs: Any, targets: Any) -> Tensor:
        first, second = map(super().loss, outputs, targets)
        return first + second

    def score(self, outputs: Any, targets: Any) -> float:
        return math.fsum(map(super().score, outputs, targets))


class NoisySet(Dataset[tuple[Tensor, Tensor]]):
    """Changes each example when it is fetched, by torch's global generator."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        return self.x[i] + 0.1 * torch.randn(4), self.y[i]


class LoaderNoise(TinyTask):
    """A data loader whose data set augments."""

    def train_batches(self, seed: int) -> Batches:
        order = torch.Generator().manual_seed(seed)
        data = NoisySet(self._split.train_x, self._split.train_y)
        loader: Batches = DataLoader(data, batch_size=8, shuffle=True, generator=order)
        return loader


class Everything(Scheduled, Noisy, Dicts):
    """Several at once."""

    clip_norm = 1.0
    precision = "bfloat16"

    def augment(self, inputs: Any, targets: Any, generator: torch.Generator) -> tuple[Any, Any]:
        x, targets = super().augment(inputs["x"], targets, generator)
        return {**inputs, "x": x}, targets


RECIPES = [Float16, Closures, LoaderNoise, Everything]


@pytest.mark.parametrize("recipe", RECIPES)
class TestRecipes(TaskContract):
    """Every recipe survives interruption, mixing and saving bit for bit.

    The last one is several of the others at once.
    """

    epochs = 2

    @pytest.fixture
    def task(self, tmp_path: Path, recipe: type[SupervisedTask]) -> Task:
        task = recipe()
        task.prepare(RehearsalProducts(tmp_path))
        return task


def trained(task: SupervisedTask, scratch: Path, steps: int = EPOCH, **given: Any) -> State:
    """The state of a new member after so many steps of a job."""
    task.prepare(RehearsalProducts(scratch))
    context = Rehearsal(scratch, stop_at=steps, **given)
    return train(task.create((0, 0), 0), 9, context).state


def test_a_schedule_is_that_of_the_member_not_of_the_job(tmp_path: Path) -> None:
    """Two jobs have the learning rates of one that is as long, with the state between them."""
    seen: list[float] = []

    class Spy(Scheduled):
        def loss(self, outputs: Any, targets: Any) -> Tensor:
            seen.append(optimizers[-1].param_groups[0]["lr"])
            return super().loss(outputs, targets)

        def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
            optimizers.append(super().optimizer(parameters))
            return optimizers[-1]

    optimizers: list[Optimizer] = []
    task = Spy()
    task.prepare(RehearsalProducts(tmp_path))
    train(task.create((0, 0), 0), 4, Rehearsal(tmp_path))
    whole, seen[:] = list(seen), []

    first = task.create((0, 0), 0)
    train(first, 1, Rehearsal(tmp_path))
    train(first, 1, Rehearsal(tmp_path))
    second = task.create((1, 1), 1)
    second.load(replace(second.state(), info=first.state().info))
    train(second, 2, Rehearsal(tmp_path))

    assert first.state().info == {"schedule": 2 * EPOCH}
    assert seen == whole and len(set(whole)) > EPOCH


def test_a_member_without_a_schedule_has_the_state_of_old() -> None:
    """Checkpoints of tasks that use none of this keep their digests."""
    assert TinyTask().create((0, 0), 0).state().info == {}


def test_clipping_limits_the_norm_of_all_gradients_together() -> None:
    """What plain gradient descent does in a step is no longer than that."""
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    update = Update(torch.optim.SGD(weights, lr=1.0), device="cpu", clip_norm=0.5)

    loss = update(lambda: sum((100 * weight.sum() for weight in weights), torch.zeros(())))

    assert loss == 0
    assert torch.cat([w.detach() for w in weights]).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_training_in_half_precision_computes_in_it(tmp_path: Path) -> None:
    """Outputs are half in training and float32 when they are scored; weights stay float32."""
    kinds: list[torch.dtype] = []

    class Spy(Bfloat16):
        def forward(self, network: nn.Module, inputs: Any) -> Any:
            outputs = super().forward(network, inputs)
            kinds.append(outputs.dtype)
            return outputs

    task = Spy()
    task.prepare(RehearsalProducts(tmp_path))
    trainee = task.create((0, 0), 0)
    train(trainee, 1, Rehearsal(tmp_path, stop_at=1))
    trainee.evaluate(Rehearsal(tmp_path))

    assert kinds == [torch.bfloat16, torch.float32]
    assert {p.dtype for p in trainee.network.parameters()} == {torch.float32}
    assert difference(trained(Bfloat16(), tmp_path), trained(TinyTask(), tmp_path)) is not None


def test_the_scale_of_the_loss_is_part_of_the_state(tmp_path: Path) -> None:
    """Half precision goes on with the scale that it had found."""
    info = trained(Float16(), tmp_path).info

    assert info["scaling"] == {"scale": 65536.0, "_growth_tracker": EPOCH}


class Plateau(Scheduled):
    def schedule(self, optimizer: Optimizer, steps: int) -> schedules.LRScheduler:
        return schedules.ReduceLROnPlateau(optimizer)


class HalfClosures(Closures):
    precision = "float16"


class Lazy(TinyTask):
    """Promises an optimiser a closure that it does not call."""

    closure = True

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> Optimizer:
        class Idle(torch.optim.SGD):
            def step(self, closure: Any = None) -> Any:
                return None

        return Idle(parameters, lr=0.1)


class NoBatch(TinyTask):
    def train_batches(self, seed: int) -> Batches:
        return []


class OddBatch(TinyTask):
    def train_batches(self, seed: int) -> Batches:
        return [self._split.train_x]


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Plateau, "ReduceLROnPlateau follows a loss"),
        (HalfClosures, "use 'bfloat16'"),
        (Lazy, "Idle never called its closure"),
        (NoBatch, "train_batches() has no batch"),
        (OddBatch, "a batch is a Tensor; expected a pair (inputs, targets)"),
    ],
)
def test_what_cannot_be_trained_says_why(
    tmp_path: Path, task: type[SupervisedTask], words: str
) -> None:
    """One sentence instead of an error deep in torch."""
    with pytest.raises(TaskError) as caught:
        trained(task(), tmp_path)

    assert words in str(caught.value)


def test_a_precision_that_there_is_not_is_refused_before_a_job(tmp_path: Path) -> None:
    """By the names of those that there are."""

    class Typo(TinyTask):
        precision = "bf16"

    with pytest.raises(TaskError, match="'bf16'; expected one of 'float32', 'bfloat16'"):
        Typo().prepare(RehearsalProducts(tmp_path))


def test_a_loss_that_is_not_finite_ends_a_job_with_closures_too(tmp_path: Path) -> None:
    """The member diverged, whatever kind of optimiser it has."""

    class Broken(Closures):
        def loss(self, outputs: Any, targets: Any) -> Tensor:
            return super().loss(outputs, targets) * math.nan

    with pytest.raises(Diverged, match="nan at step 1"):
        trained(Broken(), tmp_path)


def test_several_inputs_targets_and_outputs_are_tuples(tmp_path: Path) -> None:
    """The network gets them as arguments; loss and score get them as they are."""
    task = Tuples()
    task.prepare(RehearsalProducts(tmp_path))
    trainee = task.create((0, 0), 0)

    train(trainee, 4, context := Rehearsal(tmp_path))
    losses = [line["loss"] for line in context.logged]

    assert losses[-1] < losses[0]
    assert 0 <= trainee.evaluate(Rehearsal(tmp_path)).score <= 2


def test_broken_outputs_of_any_form_cannot_win(tmp_path: Path) -> None:
    """A NaN anywhere in a dict of outputs is no score."""
    task = Dicts()
    task.prepare(RehearsalProducts(tmp_path))
    trainee: SupervisedTrainee = task.create((0, 0), 0)
    nn.init.constant_(trainee.network.get_submodule("head").get_parameter("bias"), math.nan)

    assert math.isnan(trainee.evaluate(Rehearsal(tmp_path)).score)


def _returning(method: str, value: Any) -> type[TinyTask]:
    """A task of which one method gives the value, or what a function makes of what it gave."""

    def gives(self: Any, *arguments: Any) -> Any:
        return value(getattr(TinyTask, method)(self, *arguments)) if callable(value) else value

    return type("Own", (TinyTask,), {method: gives})


@pytest.mark.parametrize(
    ("method", "value", "sentence"),
    [
        ("build", None, "build() gave None, expected an nn.Module"),
        ("build", lambda net: net.requires_grad_(False), "without a parameter that can be trained"),
        ("build", lambda net: nn.LazyLinear(2), "parameter 'weight' has no shape yet; call a lazy"),
        ("optimizer", None, "optimizer() gave None, expected a torch.optim.Optimizer"),
        ("augment", None, "augment() gave None, expected a pair (inputs, targets)"),
        ("augment", lambda batch: batch[0], "augment() gave a Tensor, expected a pair"),
        ("loss", 0.5, "loss() gave 0.5, expected a tensor of one number"),
        ("loss", lambda loss: loss[None, None].repeat(1, 2), "gave the shape [1, 2], expected one"),
        ("loss", lambda loss: loss.detach(), "loss() gave a number without a gradient"),
        ("score", None, "score() is None, expected a number"),
        ("score", lambda score: torch.ones(20), "score() has the shape [20], expected one number"),
    ],
)
def test_what_a_method_should_not_return_is_told_with_its_line(
    method: str, value: Any, sentence: str, tmp_path: Path
) -> None:
    """Instead of what torch says later, far away from the `return` that was forgotten."""
    task = _returning(method, value)()
    task.prepare(RehearsalProducts(tmp_path))

    with pytest.raises(TaskFault, match=rf"test_recipes\.py:\d+: .*{re.escape(sentence)}"):
        trainee = task.create((0, 0), 0)
        train(trainee, 1, Rehearsal(tmp_path))
        trainee.evaluate(Rehearsal(tmp_path))


@pytest.mark.parametrize(
    ("setting", "value"), [("batch_size", "32"), ("batch_size", 0), ("clip_norm", -1)]
)
def test_a_setting_that_cannot_be_is_refused_before_a_job(
    setting: str, value: Any, tmp_path: Path
) -> None:
    """By its name and value."""
    task = TinyTask()
    setattr(task, setting, value)

    with pytest.raises(TaskError, match=f"{setting} is {value!r}; expected"):
        task.prepare(RehearsalProducts(tmp_path))
