"""A task whose training only takes time: who has a job in hand keeps it (`recovery.py`)."""

from __future__ import annotations

import time

import torch

from pbtnas.search import SearchSpace, switch
from pbtnas.search.space import Architecture
from pbtnas.state import State
from pbtnas.tasks.base import Context, Evaluation, Preparation

STEPS, STEP_S = 36_000, 0.1


class LongTrainee:
    """A member that takes an hour."""

    def train(self, epochs: int, context: Context) -> None:
        for step in range(context.done, STEPS):
            time.sleep(STEP_S)
            context.tick(step + 1)

    def evaluate(self, context: Context) -> Evaluation:
        return Evaluation(0.0)

    def state(self) -> State:
        return State(live={"weight": torch.zeros(1)})

    def load(self, state: State) -> None:
        """There is nothing to load."""


class LongTask:
    """The task of that benchmark."""

    space = SearchSpace([switch("choice", ("a", "b"))])

    def prepare(self, run: Preparation) -> None:
        """Nothing is needed."""

    def create(self, architecture: Architecture, seed: int) -> LongTrainee:
        return LongTrainee()
