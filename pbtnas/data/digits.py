"""Scikit-learn's 1,797 real handwritten digits: 8x8 grey images that need no download."""

from __future__ import annotations

import torch
from torch import Tensor

from pbtnas.errors import from_extra


def load_digits() -> tuple[Tensor, Tensor]:
    """Images [1797, 64] float32 in [-1, 1] and their labels [1797] int64, 0 to 9.

    Raises `MissingExtra` without scikit-learn.
    """
    with from_extra("digits", "the task digits"):
        import sklearn.datasets
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    # Grey values are 0 to 16.
    return torch.from_numpy(images).float() / 8 - 1, torch.from_numpy(labels).long()
