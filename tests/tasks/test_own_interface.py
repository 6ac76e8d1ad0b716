"""The example of the whole interface keeps the contract, and is as short as it is said to be."""

from __future__ import annotations

from pathlib import Path

from pbtnas.tasks.base import Task
from pbtnas.tasks.checking.rehearsal import Rehearsal, evaluate, train
from pbtnas.tasks.loading import load_task
from tests.tasks.contract import TaskContract

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_interface.py"


class TestOwnInterface(TaskContract):
    """Six methods of one's own are enough for a task and its members."""

    costs = frozenset()

    def make_task(self) -> Task:
        return load_task("Carts", {}, task_file=f"{EXAMPLE}:Carts")

    def test_it_learns(self, task: Task, tmp_path: Path) -> None:
        """Two epochs make the carts stop nearer, and are counted in the state."""
        trainee = task.create((2, 1), 1)
        before = evaluate(trainee, Rehearsal(tmp_path)).score

        train(trainee, 2, Rehearsal(tmp_path))

        assert evaluate(trainee, Rehearsal(tmp_path)).score > before / 2
        assert trainee.state().info == {"played": 40}


def test_the_example_is_short() -> None:
    """Whoever writes all of it has at most 80 lines to copy."""
    assert len(EXAMPLE.read_text().splitlines()) <= 80
