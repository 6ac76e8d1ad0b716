"""`check` must find what is wrong with a task, and say it in plain words."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pbtnas.tasks.base import Context, Diverged, Evaluation, Preparation, TaskError
from pbtnas.tasks.checking.check import check
from pbtnas.tasks.checking.report import Finding, Level
from pbtnas.tasks.supervised import Split, SupervisedTask, SupervisedTrainee
from pbtnas.weights.mixing import mix_states
from tests.tasks import broken


def problems(task: SupervisedTask, rounds: int = 2) -> list[Finding]:
    """What is not ok."""
    return [f for f in check(task, mix=mix_states, rounds=rounds) if f.level is not Level.OK]


def test_a_good_task_is_told_so() -> None:
    """Only good news, each once, and which tensors nobody owns."""
    findings = check(broken.TinyTask(), mix=mix_states)

    assert [f.level for f in findings] == [Level.OK] * 8
    assert findings[1].sentence.startswith("1 of 2 variables own tensors; no variable owns head.b")


@pytest.mark.parametrize(
    ("task", "level", "sentence"),
    [
        (broken.UnseededTask, Level.ERROR, "create() must make the same weights"),
        (broken.ForgetfulTask, Level.ERROR, "interrupted after a step and continued"),
        (broken.RestartingTask, Level.ERROR, "interrupted after a step and continued"),
        (broken.SilentTask, Level.ERROR, "never called context.tick(done)"),
        (broken.LearnsWhenJudgedTask, Level.ERROR, "evaluate() must not change the state"),
        (broken.LenientTask, Level.ERROR, "load() must restore all of state()"),
        (broken.RenamingTask, Level.WARNING, "the switch 'activation' decides whether"),
        (broken.TypoTask, Level.WARNING, "owns the module 'hiden'"),
        (
            broken.LookingTask,
            Level.WARNING,
            "costs(), which objectives may ask for, raised RuntimeError",
        ),
        (broken.LeavingTask, Level.ERROR, "train() raised SystemExit: 0; a task must not end"),
        (broken.WideningTask, Level.ERROR, "train() raised RuntimeError"),
    ],
)
def test_what_is_wrong_is_said(task: type[broken.TinyTask], level: Level, sentence: str) -> None:
    """Each fault has a finding of its level and words."""
    found = problems(task())

    assert any(f.level is level and sentence in f.sentence for f in found), found


def test_a_typo_is_answered_with_the_module_that_was_meant() -> None:
    """The nearest module path is suggested."""
    assert "did you mean 'hidden'" in problems(broken.TypoTask(), rounds=0)[0].sentence


def test_an_exception_is_shown_with_architecture_and_own_frames() -> None:
    """The one who wrote the task needs both, and the own line first, to find the fault."""
    (finding,) = problems(broken.WideningTask(), rounds=1)

    assert "broken.py:" in finding.sentence
    assert "hidden: linear" in finding.detail
    assert "broken.py" in finding.detail and "site-packages" not in finding.detail
    assert "Traceback" in finding.traceback and "site-packages" in finding.traceback


def test_an_operation_that_a_search_refuses_is_named() -> None:
    """Before a search fails every attempt at every job; and the check leaves torch as it was."""
    before = torch.get_deterministic_debug_mode()
    (finding,) = problems(broken.ScatteringTask(), rounds=1)

    assert finding.level is Level.ERROR
    assert finding.sentence == (
        "train() uses put_, which PyTorch cannot do deterministically on cpu: a search refuses it, "
        "so no job would end; use another operation"
    )
    assert torch.get_deterministic_debug_mode() == before


def test_divergence_of_some_random_members_is_no_error() -> None:
    """Some architectures diverge; the search copes with them."""

    class Fragile(broken.TinyTask):
        def build(self, choices: Mapping[str, Any]) -> nn.Module:
            self.relu = choices["activation"] == "relu"
            return super().build(choices)

        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            if self.relu:
                raise Diverged("the loss is inf at step 1")
            return super().loss(outputs, targets)

    (finding,) = problems(Fragile())

    assert finding.level is Level.WARNING and "loss is inf" in finding.sentence


@pytest.mark.parametrize("how", ["raised", "scored"])
def test_divergence_of_every_member_is_an_error(how: str) -> None:
    """It ends a search without a usable member; what was not checked is named."""

    class Exploding(broken.TinyTask):
        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            if how == "raised":
                raise Diverged("the loss is inf at step 1")
            return super().loss(outputs, targets)

        def score(self, outputs: Tensor, targets: Tensor) -> float:
            return math.nan

    (finding,) = [f for f in problems(Exploding(), rounds=1) if f.level is Level.ERROR]

    assert finding.sentence.startswith("every random member diverged (2 were tried): a search")
    assert finding.sentence.endswith("final evaluation, export" + ", child" * (how == "raised"))


def _transposed(net: nn.Module) -> None:
    net.head.weight = nn.Parameter(torch.randn(4, 2).t())  # type: ignore[union-attr]


def _orthogonal(net: nn.Module) -> None:
    nn.utils.parametrizations.orthogonal(net.head)  # type: ignore[arg-type]


def _channels_last(net: nn.Module) -> None:
    net.convolution = nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@pytest.mark.parametrize("change", [_transposed, _orthogonal, _channels_last])
def test_what_a_checkpoint_holds_is_no_finding(change: Callable[[nn.Module], None]) -> None:
    """Checkpoints are written as the engine writes them, whatever the layout in memory."""

    class Unusual(broken.TinyTask):
        def build(self, choices: Mapping[str, Any]) -> nn.Module:
            net = super().build(choices)
            change(net)
            return net

    assert problems(Unusual(), rounds=1) == []


def test_what_a_checkpoint_cannot_hold_is_an_error() -> None:
    """Every job would fail when its training is over."""

    class Complex(broken.TinyTask):
        def build(self, choices: Mapping[str, Any]) -> nn.Module:
            net = super().build(choices)
            net.register_buffer("phase", torch.zeros(2, dtype=torch.complex128))
            return net

    (finding,) = problems(Complex(), rounds=1)

    assert finding.level is Level.ERROR
    assert "'buffers/phase' has dtype torch.complex128, which safetensors lacks" in finding.sentence


def _evaluating(change: Callable[[Evaluation, Context], Any]) -> broken.TinyTask:
    """A task whose evaluations are changed before they are returned."""

    class Changed(broken.Wrapped):
        class trainee(SupervisedTrainee):
            def evaluate(self, context: Context) -> Evaluation:
                changed: Evaluation = change(super().evaluate(context), context)
                return changed

    return Changed()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda e, c: e.score, "evaluate() returned a value of type 'float'"),
        (
            lambda e, c: replace(e, metrics={"note": "hi"}),
            "the metric 'note' of evaluate() is 'hi'",
        ),
        (lambda e, c: replace(e, metrics=None), "the metrics of evaluate() are None"),
        (lambda e, c: replace(e, artifacts={"a": "t"}), "the artifact 'a' of evaluate() is 't'"),
        (
            lambda e, c: replace(e, artifacts={"a/b": b""} if c.final else {}),
            "the artifact 'a/b' of evaluate() has an unsafe name",
        ),
        (lambda e, c: replace(e, score=0.5), "a network whose weights are all NaN the score 0.5"),
    ],
)
def test_what_evaluate_gets_wrong_is_found(change: Any, sentence: str) -> None:
    """Numbers and files are taken out as the engine does it, also of a final evaluation."""
    found = problems(_evaluating(change), rounds=1)

    assert [f.level for f in found] == [Level.ERROR] and sentence in found[0].sentence, found
    assert "test_check.py:" in found[0].sentence or "all NaN" in sentence


def _seeds_in_create(task: broken.TinyTask, architecture: Any, seed: int) -> Any:
    torch.manual_seed(seed // seed if seed else 1)
    return SupervisedTrainee(task, architecture, seed)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (_seeds_in_create, "create() seeds the global generator of torch: all members"),
        (lambda t, a, s: SupervisedTrainee(t, a, 0), "makes the same weights for different seeds"),
    ],
)
def test_a_constructor_that_seeds_is_told(make: Any, sentence: str) -> None:
    """Members would begin alike, or draw the same numbers in training."""

    class Seeding(broken.TinyTask):
        def create(self, architecture: Any, seed: int) -> SupervisedTrainee:
            made: SupervisedTrainee = make(self, architecture, seed)
            return made

    (finding,) = problems(Seeding(), rounds=1)

    assert finding.level is Level.WARNING and sentence in finding.sentence


def test_an_option_that_makes_no_difference_is_told() -> None:
    """The choice is not used where the network is built."""

    class Deaf(broken.TinyTask):
        def build(self, choices: Mapping[str, Any]) -> nn.Module:
            return super().build({**choices, "activation": "relu"})

    (finding,) = problems(Deaf(), rounds=1)

    assert finding.level is Level.WARNING
    assert "variable 'activation': 'relu' and 'tanh' make the same network" in finding.sentence


def test_an_export_that_needs_the_data_is_told() -> None:
    """A search goes well without it; `pbtnas export` would not."""

    class NeedsData(broken.TinyTask):
        def build(self, choices: Mapping[str, Any]) -> nn.Module:
            assert len(self._split.train_x)
            return super().build(choices)

    (finding,) = problems(NeedsData(), rounds=1)

    assert finding.level is Level.WARNING
    assert "loading an exported network without data raised AttributeError" in finding.sentence


def test_a_task_that_can_be_interrupted_now_and_then_only_is_good() -> None:
    """As one that cannot save a simulator in the middle of an episode."""

    class Episodic(broken.Wrapped):
        class trainee(SupervisedTrainee):
            def train(self, epochs: int, context: Context) -> None:
                tick = context.tick
                context.tick = lambda done=None: tick(done if (done or 0) % 5 == 0 else None)  # type: ignore[method-assign]
                super().train(epochs, context)

    assert problems(Episodic(), rounds=1) == []


def test_what_the_task_says_itself_is_told_as_it_is_and_at_once() -> None:
    """Data that are not here are a sentence already, without a place in the code."""

    class Absent(broken.TinyTask):
        def prepare(self, run: Preparation) -> None:
            raise TaskError("there are no data here: get them with `make data`")

    heard: list[Finding] = []
    found = check(Absent(), mix=mix_states, tell=heard.append)

    assert [f.sentence for f in found] == ["there are no data here: get them with `make data`"]
    assert heard == found and found[0].level is Level.ERROR


def test_data_that_differ_from_process_to_process_are_an_error() -> None:
    """Each worker would score by examples of its own, as with a split drawn without a seed."""

    drawn = itertools.cycle((0, 1))

    class Drawn(broken.TinyTask):
        def data(self) -> Split:
            split = super().data()
            targets = (split.test_y + next(drawn)) % 2
            return Split(split.train_x, split.train_y, split.test_x, targets)

    (finding,) = [f for f in problems(Drawn(), rounds=1) if f.level is Level.ERROR]

    assert (
        "with the task prepared anew: all processes of a run must have the same" in finding.sentence
    )


def test_what_a_member_costs_is_told() -> None:
    """Seconds, bytes on disk and memory."""
    (*_, cost) = check(broken.TinyTask(), mix=mix_states, rounds=1)

    assert re.fullmatch(
        r"a member takes \S+ s a step of training, \S+ s to score, \S+ MB as a checkpoint; this "
        r"process had at most \d+ MB of memory",
        cost.sentence,
    )


def test_a_product_that_differs_from_process_to_process_is_an_error() -> None:
    """Whoever publishes first would decide the outcome of the run."""
    (finding,) = [f for f in problems(broken.RandomProductTask(), 0) if f.level is Level.ERROR]

    assert "prepare() makes another product 'token' the second time" in finding.sentence


def test_a_product_that_depends_on_threads_is_told() -> None:
    """It is a warning: all processes of a run prepare with as many threads."""
    (finding,) = problems(broken.ThreadedProductTask(), 0)

    assert finding.level is Level.WARNING
    assert "prepare() makes another product 'sum' with 4 threads than with one" in finding.sentence


def test_products_under_the_global_generators_are_equal() -> None:
    """The engine seeds them before prepare(), with the same seed for all runs."""
    assert problems(broken.GlobalNoiseTask(), 0) == []
