"""The accuracies of all subnets after each of the last mini-batches, kept in a checkpoint.

In the section `extra`: `rows.accuracy` float32 [R, subnets], NaN where outputs were not finite;
`rows.steps` int64 [R], mini-batches trained until then; `rows.trained` int64 [R], the column of the
subnet that the last of them trained, -1 for one that is not scored.  The names of the columns are
the key `subnets` of the checkpoint's `info`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

ACCURACY, STEPS, TRAINED = "rows.accuracy", "rows.steps", "rows.trained"


class Rows:
    """Rows of accuracies, one a mini-batch.

    Args:
        subnets: names of the columns.
    """

    def __init__(self, subnets: Sequence[str]) -> None:
        self._subnets = list(subnets)
        self._accuracy: list[list[float]] = []
        self._steps: list[int] = []
        self._trained: list[int] = []

    @classmethod
    def of(cls, subnets: Sequence[str], tensors: Mapping[str, Tensor]) -> Rows:
        """The rows that `tensors` once gave."""
        rows = cls(subnets)
        if ACCURACY in tensors:
            rows._accuracy = tensors[ACCURACY].tolist()
            rows._steps = tensors[STEPS].tolist()
            rows._trained = tensors[TRAINED].tolist()
        return rows

    def add(self, steps: int, trained: str, accuracy: Mapping[str, float]) -> None:
        """Add a row: mini-batches until now, the subnet just trained, accuracies by name."""
        self._accuracy.append([accuracy[name] for name in self._subnets])
        self._steps.append(steps)
        self._trained.append(self._subnets.index(trained) if trained in self._subnets else -1)

    def tensors(self) -> dict[str, Tensor]:
        """The rows as tensors by name; none if there is no row."""
        if not self._steps:
            return {}
        return {
            ACCURACY: torch.tensor(self._accuracy, dtype=torch.float32),
            STEPS: torch.tensor(self._steps),
            TRAINED: torch.tensor(self._trained),
        }
