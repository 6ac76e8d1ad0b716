"""Members are measured as documented, on a clock that only the task moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from pbtnas.config.schema import Config, SearchConfig, TaskConfig
from pbtnas.search import Architecture, SearchSpace, switch
from pbtnas.tasks.base import Context, Evaluation, TaskError
from pbtnas.tasks.estimating import measuring
from pbtnas.tasks.estimating.measuring import Plan, children, measure, spread, step_s
from pbtnas.tasks.members import Learner
from pbtnas.weights import mix_states

STEPS = 20


class Clock:
    """A clock that moves when told."""

    now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


class SlowTask:
    """Epochs of 20 steps: of a second times the width, but for the first ones of a new member."""

    space = SearchSpace([switch("width", (1, 2, 3))])

    def __init__(self, clock: Clock, *, random_steps: int = 0, first_s: float = 0.0) -> None:
        self.clock = clock
        self.random_steps = random_steps
        self.first_s = first_s
        self.trained: list[int] = []

    def prepare(self, run: Any) -> None:
        self.clock.now_s += 4.0

    def create(self, architecture: Architecture, seed: int) -> SlowTrainee:
        return SlowTrainee(self, self.space.decode(architecture)["width"])


class CountingTask(SlowTask):
    """The same, which says how long an epoch is."""

    def epoch_steps(self) -> int:
        return STEPS


class DivergingTask(SlowTask):
    """Wide networks diverge."""

    widest = 2

    def create(self, architecture: Architecture, seed: int) -> SlowTrainee:
        made = super().create(architecture, seed)
        if made.width > self.widest:
            made.score = float("nan")
        return made


class SlowTrainee(Learner):
    """One layer."""

    def __init__(self, task: SlowTask, width: int) -> None:
        self.task, self.width, self.score = task, width, 0.5
        self.steps = 0
        super().__init__(nn.Linear(width, width), [])

    def train(self, epochs: int, context: Context) -> None:
        for step in range(context.done, epochs * STEPS):
            self.task.clock.now_s += self.width if self.steps >= self.task.random_steps else 0.01
            self.task.clock.now_s += self.task.first_s if self.steps == 0 else 0.0
            self.steps += 1
            context.tick(step + 1)
        self.task.trained.append(self.steps)

    def evaluate(self, context: Context) -> Evaluation:
        self.task.clock.now_s += 0.5
        return Evaluation(self.score)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(measuring, "time", made)
    return made


def plan(directory: Path, *, seconds: float, count: int = 3) -> Plan:
    search = SearchConfig(population=6, generations=2, epochs=1)
    config = Config(TaskConfig("slow"), search)
    return Plan(config, count, seconds, "cpu", directory, mix_states, lambda words: None)


@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (lambda clock: SlowTask(clock), 1000.0),
        (lambda clock: SlowTask(clock), 10.0),
        (lambda clock: SlowTask(clock, first_s=300.0), 10.0),
        (lambda clock: SlowTask(clock, random_steps=15), 10.0),
        (lambda clock: CountingTask(clock), 1000.0),
        (lambda clock: CountingTask(clock), 30.0),
        (lambda clock: CountingTask(clock, first_s=7.0), 60.0),
    ],
    ids=["whole", "cut", "warms up", "random steps", "counts", "counts, cut", "counts, warms up"],
)
def test_an_epoch_is_what_a_later_one_takes(
    clock: Clock, tmp_path: Path, make: Any, seconds: float
) -> None:
    """Whole or in part, whatever the first steps have cost; and each member by its own width."""
    costs = measure(make(clock), plan(tmp_path, seconds=seconds))

    assert [each.weights for each in costs.members] == [2, 6, 12]
    assert [each.epoch_s for each in costs.members] == pytest.approx([20.0, 40.0, 60.0])
    assert {each.steps for each in costs.members} == {STEPS}
    assert {each.evaluate_s for each in costs.members} == {0.5}
    assert costs.prepare_s == 4.0
    assert all(each.checkpoint_bytes > 0 for each in costs.members) and costs.rss_bytes > 0


def test_only_a_task_that_counts_its_steps_is_left_in_the_first_epoch(
    clock: Clock, tmp_path: Path
) -> None:
    """Of another, a whole one must be seen; after that the time is kept."""
    counts, silent = CountingTask(clock), SlowTask(clock)
    measure(counts, plan(tmp_path, seconds=10.0))
    assert counts.trained == []

    measure(silent, plan(tmp_path, seconds=10.0))
    assert silent.trained == [STEPS] * 3


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("pbt-nas", 2), ("random-search", 0), ("random-search-shrink-perturb", 6)],
)
def test_children_are_those_of_the_algorithm(algorithm: str, expected: int) -> None:
    """As many as a selection asks for after a generation in which all have a score."""
    search = SearchConfig(population=6, generations=2, epochs=1, algorithm=algorithm)

    assert children(SlowTask.space, Config(TaskConfig("slow"), search)) == expected


def test_members_that_diverge_are_passed_over(clock: Clock, tmp_path: Path) -> None:
    """Others are measured in their place; with none left there is a sentence."""
    costs = measure(DivergingTask(clock), plan(tmp_path, seconds=10.0))
    assert {each.weights for each in costs.members} == {2, 6}

    task = DivergingTask(clock)
    task.widest = 0
    with pytest.raises(TaskError, match="all 6 members of generation 0 diverged at once"):
        measure(task, plan(tmp_path, seconds=10.0))


def test_what_the_users_code_raises_has_its_place(clock: Clock, tmp_path: Path) -> None:
    """As in a search: file, line, and what was raised."""

    class Wrong(SlowTask):
        def create(self, architecture: Architecture, seed: int) -> SlowTrainee:
            raise KeyError("width")

    with pytest.raises(TaskError, match=r"test_measuring.py:\d+: create\(\) raised KeyError"):
        measure(Wrong(clock), plan(tmp_path, seconds=10.0))


def test_measured_members_lie_between_the_smallest_and_the_largest() -> None:
    """Evenly, by size; and whoever is left comes after them."""
    sizes = {0: 50, 1: 10, 2: 30, 3: 20, 4: 40}

    assert list(spread(sizes, 3)) == [1, 2, 0, 3, 4]
    assert list(spread(sizes, 1)) == [1, 3, 2, 4, 0]
    assert sorted(spread(sizes, 9)) == [0, 1, 2, 3, 4]


def test_a_step_is_timed_over_the_second_half() -> None:
    """Of a few steps, over all of them: half would be one."""
    done_s = [(1, 10.0), (2, 11.0), (3, 12.0), (4, 13.0)]

    assert step_s(done_s, 13.0) == 1.0
    assert step_s(done_s[:2], 11.0) == 5.5
