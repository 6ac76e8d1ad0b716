"""The networks that people bring first: convolutions, a transformer, and outputs with names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, RehearsalProducts, evaluate, train
from pbtnas.tasks.loading import load_task
from tests.tasks.contract import TaskContract

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = ("own_resnet.py:Resnet", "own_transformer.py:Writer", "own_dict_outputs.py:Lines")


def example(which: str) -> Task:
    return load_task(which.rpartition(":")[2], {}, task_file=f"{EXAMPLES / which}")


@pytest.mark.slow
@pytest.mark.parametrize("which", OWN)
def test_an_example_learns(which: str, tmp_path: Path) -> None:
    """Some steps make it better on data that it does not train with."""
    task = example(which)
    task.prepare(RehearsalProducts(tmp_path))
    trainee = task.create(tuple(len(variable.options) // 2 for variable in task.space), 0)
    before = evaluate(trainee, Rehearsal(tmp_path))

    train(trainee, 1, Rehearsal(tmp_path, stop_at=10))
    after = evaluate(trainee, Rehearsal(tmp_path))

    assert after.score > before.score


@pytest.mark.slow
@pytest.mark.parametrize("which", OWN)
class TestExamples(TaskContract):
    """Every example keeps the contract."""

    @pytest.fixture
    def task(self, tmp_path: Path, which: str) -> Task:
        task = example(which)
        task.prepare(RehearsalProducts(tmp_path))
        return task
