"""The contract must fail where a task breaks it; else it guards nothing."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import RehearsalProducts
from tests.tasks import broken
from tests.tasks.contract import TaskContract


class TestTiny(TaskContract):
    """The tiny task keeps the contract, with dropout and batch norm."""

    epochs = 2

    def make_task(self) -> Task:
        return broken.TinyTask()


@pytest.mark.parametrize(
    ("task", "test", "failure"),
    [
        (broken.UnseededTask, "test_create_is_a_function_of_architecture_and_seed", AssertionError),
        (broken.AliasingTask, "test_a_state_survives_a_round_trip", AssertionError),
        (broken.LenientTask, "test_a_state_survives_a_round_trip", AssertionError),
        (broken.LenientTask, "test_a_state_that_does_not_fit_is_refused", pytest.fail.Exception),
        (broken.ForgetfulTask, "test_an_interruption_changes_nothing", AssertionError),
        (broken.RestartingTask, "test_an_interruption_changes_nothing", AssertionError),
        (broken.SilentTask, "test_an_interruption_changes_nothing", AssertionError),
        (
            broken.LearnsWhenJudgedTask,
            "test_evaluate_is_a_function_of_state_and_seed",
            AssertionError,
        ),
        (broken.ProudTask, "test_broken_weights_cannot_win", AssertionError),
        (broken.RenamingTask, "test_names_serve_inheritance", AssertionError),
        (broken.TypoTask, "test_names_serve_inheritance", AssertionError),
        (broken.WideningTask, "test_every_option_builds_and_trains", RuntimeError),
        (broken.WideningTask, "test_a_mix_of_any_two_members_loads_and_trains", RuntimeError),
    ],
)
def test_the_contract_sees_what_is_broken(
    task: type[broken.TinyTask], test: str, failure: type[BaseException], tmp_path: Path
) -> None:
    """Each way to break the contract fails the test that names it."""
    made = task()
    made.prepare(RehearsalProducts(tmp_path))
    method = getattr(TestTiny(), test)
    places = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(method).parameters else {}

    with pytest.raises(failure):
        method(made, **places)
