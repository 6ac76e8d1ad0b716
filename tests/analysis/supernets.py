"""Made-up rows of supernets: accuracies of subnets that follow the truth with noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def made_truth(subnets: int = 64) -> Array:
    """Ground truth of which the last subnet is the best."""
    return np.linspace(0.7, 0.85, subnets)


def made_rows(seed: int, *, rows: int = 64, subnets: int = 64, noise: float = 0.05) -> Array:
    """Accuracies [R, n] of one instance: the truth, a bias of its own, and noise a mini-batch."""
    rng = np.random.default_rng(seed)
    bias = rng.normal(0, noise, subnets)
    jitter = rng.normal(0, noise, (rows, subnets))
    return np.clip(made_truth(subnets) - 0.1 + bias + jitter, 0, 1)
