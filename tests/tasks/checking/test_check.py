"""`check` must find what is wrong with a task, and say it in plain words."""

from __future__ import annotations

import pytest
import torch

from pbtnas.tasks.base import Diverged
from pbtnas.tasks.checking.check import Finding, Level, check
from pbtnas.tasks.supervised import SupervisedTask
from pbtnas.weights.mixing import mix_states
from tests.tasks import broken


def problems(task: SupervisedTask, rounds: int = 5) -> list[Finding]:
    """What is not ok."""
    return [f for f in check(task, mix=mix_states, rounds=rounds) if f.level is not Level.OK]


def test_a_good_task_is_told_so() -> None:
    """Only good news, each once, and which tensors nobody owns."""
    findings = check(broken.TinyTask(), mix=mix_states)

    assert [f.level for f in findings] == [Level.OK] * 5
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


def test_an_exception_is_shown_with_architecture_and_traceback() -> None:
    """The one who wrote the task needs both to find the line."""
    (finding,) = problems(broken.WideningTask(), rounds=1)

    assert "hidden: linear" in finding.detail
    assert "Traceback" in finding.detail and "broken.py" in finding.detail


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


def test_divergence_of_a_random_member_is_no_error() -> None:
    """Some architectures diverge; the search copes with them."""

    class Exploding(broken.TinyTask):
        def loss(self, outputs: object, targets: object) -> object:  # type: ignore[override]
            raise Diverged("the loss is inf at step 1")

    (finding,) = problems(Exploding(), rounds=1)

    assert finding.level is Level.WARNING and "loss is inf" in finding.sentence


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
