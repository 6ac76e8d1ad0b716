"""The initial values of a child: made one by one where a task can, and equal to its `create`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from pbtnas.models.initialisation import initialise
from pbtnas.search import Architecture, Birth
from pbtnas.state import LazyTensor, State, lazily
from pbtnas.tasks.base import Task, Trainee
from pbtnas.tasks.checking.check import check
from pbtnas.tasks.checking.report import Level
from pbtnas.tasks.faults import TaskFault
from pbtnas.tasks.fresh import fresh_tensors
from pbtnas.tasks.loading import load_task
from pbtnas.tasks.supervised import SupervisedTrainee
from pbtnas.tasks.weight_sharing import Cell64Task
from pbtnas.weights import carry_out, mix_states
from tests.tasks.broken import TinyTask
from tests.tasks.test_weight_sharing import cell64

PAGE = (Path(__file__).parents[2] / "docs" / "own-task.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def of_the_page(directory: Path) -> Task:
    """The task of docs/own-task.md that offers `create_modules`."""
    file = directory / "my_task.py"
    file.write_text(BLOCKS[0] + next(b for b in BLOCKS if "def create_modules" in b))
    return load_task("StreamedDigits", {}, task_file=f"{file}:StreamedDigits")


class Drawn(TinyTask):
    """Offers `create_modules` beside a network whose layers share a stream: other numbers."""

    def create_modules(self, architecture: Architecture, seed: int) -> Mapping[str, LazyTensor]:
        member = SupervisedTrainee(self, architecture, seed)
        initialise(member.network, seed)
        return lazily(member.state())


class Misshapen(TinyTask):
    """Makes a tensor that is not what it said."""

    def create_modules(self, architecture: Architecture, seed: int) -> Mapping[str, LazyTensor]:
        return {"live/head.bias": LazyTensor((2,), torch.float32, lambda: torch.zeros(3))}


class Pinned(Cell64Task):
    """Overrides `create` and knows nothing of `create_modules`."""

    def create(self, architecture: Architecture, seed: int) -> Any:
        return super().create(architecture, 7)


def made(tensors: Mapping[str, LazyTensor]) -> dict[str, list[Any]]:
    """The values of all tensors."""
    return {key: lazy.make().tolist() for key, lazy in tensors.items()}


def whole(trainee: Trainee) -> dict[str, list[Any]]:
    """The values of what both parents of a child give to, made by `create`."""
    state = trainee.state()
    return made(lazily(State(state.live, state.buffers, state.averaged)))


def test_mixing_makes_the_inherited_tensors_alone(tmp_path: Path) -> None:
    """A child takes as much memory and time as it inherits, and has the bits of the whole one."""
    task = of_the_page(tmp_path)
    base, donor = (task.create((0, i, 0), 10 + i).state() for i in range(2))
    birth = Birth(0, 1, 2, (1,), (0, 1, 0), seed=5, shrink=0.4, perturb=0.1)
    asked: list[str] = []

    def counted(key: str, lazy: LazyTensor) -> LazyTensor:
        def make() -> torch.Tensor:
            asked.append(key)
            return lazy.make()

        return LazyTensor(lazy.shape, lazy.dtype, make)

    fresh = fresh_tensors(task, birth.architecture, birth.seed)
    counting = {key: counted(key, lazy) for key, lazy in fresh.items()}
    child = carry_out(task.space, birth, base=lazily(base), donor=lazily(donor), fresh=counting)
    overlay = made(child.overlay)

    expected = mix_states(
        task.space, birth, base=base, donor=donor, fresh=task.create((0, 1, 0), 5).state()
    )
    assert sorted(asked) == ["live/conv2.bias", "live/conv2.weight"]
    assert overlay == {key: made(lazily(expected))[key] for key in overlay}


@pytest.mark.parametrize("architecture", [(0, 0, 0), (3, 2, 1), (1, 3, 0)])
@pytest.mark.parametrize("pinned", [None, 3])
def test_a_network_of_the_space_of_64_is_the_same_in_parts(
    architecture: Architecture, pinned: int | None
) -> None:
    """Weights, estimates of batch normalisation, and a seed that the options pin."""
    task = cell64(init_seed=pinned)

    assert made(fresh_tensors(task, architecture, 5)) == whole(task.create(architecture, 5))


def test_who_overrides_create_is_mixed_by_it() -> None:
    """A method that was written for another `create` does not decide the bits of children."""
    task = Pinned(cell64().options)

    assert made(fresh_tensors(task, (0, 1, 2), 5)) == whole(task.create((0, 1, 2), 5))


def test_a_tensor_of_another_shape_is_told_with_its_name() -> None:
    """Not first by a network that a child does not fit into."""
    fresh = fresh_tensors(Misshapen(), (0, 0), 5)

    with pytest.raises(TaskFault, match=r"'live/head.bias'; expected torch.float32 \[2\]"):
        fresh["live/head.bias"].make()


def test_the_check_compares_all_tensors_with_those_of_create(tmp_path: Path) -> None:
    """Who offers the method is told whether children are what they would be without it."""
    good = check(of_the_page(tmp_path), mix=mix_states, rounds=1)
    bad = [f for f in check(Drawn(), mix=mix_states, rounds=1) if f.level is Level.ERROR]

    same = "create_modules() makes the same tensors as create()"
    assert same in [f.sentence for f in good if f.level is Level.OK]
    assert len(bad) == 1 and "create(), in any order, but live tensor" in bad[0].sentence
