"""The mean of several curves: what runs of one algorithm have in common, over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pbtnas.analysis.compare.outcomes import Curve

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MeanCurve:
    """Mean and spread over seeds.

    Args:
        epochs: [E] network-epochs.
        mean: [E] mean score.
        std: [E] standard deviation; None where there are too few seeds.
    """

    epochs: Array
    mean: Array
    std: Array | None


def mean_curve(group: Sequence[Curve], *, ddof: int = 0) -> MeanCurve:
    """The mean of the curves of a group; raises `ValueError` where one has no score."""
    epochs, scores = _aligned(group)
    enough = len(group) > max(1, ddof)
    std = np.asarray(scores.std(axis=0, ddof=ddof)) if enough else None
    return MeanCurve(epochs, np.asarray(scores.mean(axis=0)), std)


def _aligned(group: Sequence[Curve]) -> tuple[Array, Array]:
    """Epochs [E] and scores [seeds, E] on a common grid.

    Seeds differ in their epochs when members failed; between generations scores are taken to
    change in proportion to the work, and only work that every seed did is shown.
    """
    known = []
    for curve in group:
        scores = np.array(curve.scores)
        finite = np.isfinite(scores)
        if not finite.any():
            raise ValueError(f"run {curve.run} has no score to plot")
        known.append((np.array(curve.epochs, dtype=np.float64)[finite], scores[finite]))
    grid = np.unique(np.concatenate([epochs for epochs, _ in known]))
    start = max(epochs[0] for epochs, _ in known)
    end = min(epochs[-1] for epochs, _ in known)
    grid = grid[(grid >= start) & (grid <= end)]
    return grid, np.array([np.interp(grid, epochs, scores) for epochs, scores in known])
