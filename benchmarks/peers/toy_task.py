"""The toy search as a task of pbtnas: the same training, log and NaN as the peers have."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from pbtnas.search import SearchSpace, switch
from pbtnas.search.seeding import derive
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.tasks.base import Context, Evaluation, Preparation

sys.path.append(str(Path(__file__).parent))
import toy

JOBS = {
    derive(0, "job", generation, member): (generation, member)
    for generation in range(toy.GENERATIONS)
    for member in range(toy.MEMBERS)
}
"""Which job a seed belongs to, in a run with seed 0."""


class ToyTrainee:
    """A member whose training sleeps and then counts."""

    def __init__(self, seed: int) -> None:
        weight, rate = toy.number("weight", seed), toy.number("rate", seed)
        self._state = State(live={"weight": torch.tensor([weight, rate], dtype=torch.float64)})
        self._score = 0.0

    def train(self, epochs: int, context: Context) -> None:
        weight, rate = self._state.live["weight"].tolist()
        trained, self._score = toy.train(*JOBS[context.seed], {"weight": weight, "rate": rate})
        tensor = torch.tensor([trained["weight"], trained["rate"]], dtype=torch.float64)
        self._state = replace(self._state, live={"weight": tensor})

    def evaluate(self, context: Context) -> Evaluation:
        return Evaluation(self._score)

    def state(self) -> State:
        return self._state

    def load(self, state: State) -> None:
        self._state = state


class ToyTask:
    """The task of that benchmark."""

    space = SearchSpace([switch(f"choice{i}", ("a", "b")) for i in range(4)])

    def prepare(self, run: Preparation) -> None:
        """Nothing is needed."""

    def create(self, architecture: Architecture, seed: int) -> ToyTrainee:
        return ToyTrainee(seed)
