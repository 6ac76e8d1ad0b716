"""The learning rate as a function of the step: a cosine from the first step to the last."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Cosine:
    """Falls from `highest` to `lowest` as half a cosine.

    Args:
        steps: length of the schedule; beyond it, the rate stays as it was at the end.
        highest: rate of the first step.
        lowest: what the rate approaches at the end.
        held: steps for which the rate stays the same: those of an epoch, or one.
    """

    steps: int
    highest: float
    lowest: float
    held: int = 1

    def rate(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        at = min(step, self.steps) // self.held * self.held
        half = (1 + math.cos(math.pi * at / self.steps)) / 2
        return self.lowest + (self.highest - self.lowest) * half
