"""A task that trains nothing: what is left of a run is the engine (`coordination.py`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from pbtnas.config.fields import number
from pbtnas.search import SearchSpace, layer
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.tasks.base import Context, Evaluation, Preparation

BLOCKS, TENSORS = 8, 4  # variables, and tensors of each


def fresh(megabytes: float) -> State:
    """Zeros that take so many megabytes (10^6 bytes); they cost nothing until they are used."""
    size = round(megabytes * 1e6 / 4 / (BLOCKS * TENSORS))
    names = [f"blocks.{block}.{i}" for block in range(BLOCKS) for i in range(TENSORS)]
    return State(live={name: torch.zeros(size) for name in names}, info={"jobs": 0, "seed": 0})


def step(state: State, seed: int) -> State:
    """The training: a counter and a seed change, so that no two checkpoints are the same."""
    jobs = state.info["jobs"]
    assert isinstance(jobs, int)
    return replace(state, info={"jobs": jobs + 1, "seed": seed})


class NoopTrainee:
    """A member that hands its state through."""

    def __init__(self, state: State) -> None:
        self._state = state

    def train(self, epochs: int, context: Context) -> None:
        self._state = step(self._state, context.seed)

    def evaluate(self, context: Context) -> Evaluation:
        """A score that is another for every job."""
        return Evaluation(derive(context.seed, "score") / 2**64)

    def state(self) -> State:
        return self._state

    def load(self, state: State) -> None:
        self._state = state


class NoopTask:
    """The task of that benchmark."""

    @dataclass(frozen=True)
    class Options:
        """Options of the task `NoopTask`."""

        megabytes: float = number(0.1, min=0.001, help="Size of a checkpoint.")

    def __init__(self, options: Options) -> None:
        self.space = SearchSpace([layer(f"blocks.{i}", ("a", "b")) for i in range(BLOCKS)])
        self._megabytes = options.megabytes

    def prepare(self, run: Preparation) -> None:
        """Nothing is needed."""

    def create(self, architecture: Architecture, seed: int) -> NoopTrainee:
        return NoopTrainee(fresh(self._megabytes))
