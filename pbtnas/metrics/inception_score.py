"""The Inception score (Salimans et al. 2016) from a stream of logits.

exp of the mean KL divergence between the class distribution of an image and that of all, in
float64, over ten equal splits in the order of the images; the score is the mean over the splits.
Images are not shuffled first: generated ones come in no order.

Shapes: B logits of a batch, K classes, S splits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


class InceptionScore:
    """Takes the logits of exactly `n` images, batch by batch, and keeps S x K sums."""

    def __init__(self, n: int, *, splits: int = 10) -> None:
        if not 1 <= splits <= n:
            raise ValueError(f"splits: {splits} is not between 1 and the {n} images")
        # Split s holds the images from _ends[s - 1] up to, not including, _ends[s].
        self._ends = torch.tensor([(s + 1) * n // splits for s in range(splits)])
        self._seen = 0
        self._mean = torch.zeros(0)  # [S, K]: sums of p over each split
        self._negentropy = torch.zeros(0)  # [S]: sums of p log p

    def update(self, logits: Tensor) -> None:
        """Take a batch of logits [B, K], any float type, on any device."""
        log_p = logits.double().log_softmax(dim=1)
        p = log_p.exp()
        index = torch.arange(self._seen, self._seen + len(logits))
        self._seen += len(logits)
        if self._seen > self._ends[-1]:
            raise ValueError(f"more than the {self._ends[-1]} images announced")
        if not len(self._mean):
            self._mean = p.new_zeros(len(self._ends), p.shape[1])
            self._negentropy = p.new_zeros(len(self._ends))
        split = torch.bucketize(index, self._ends, right=True).to(p.device)
        self._mean.index_add_(0, split, p)
        # p log p is 0, not NaN, where p underflows: log p is finite there.
        self._negentropy.index_add_(0, split, (p * log_p).sum(dim=1))

    def result(self) -> tuple[float, float]:
        """Mean and standard deviation of the score over the splits."""
        if self._seen != self._ends[-1]:
            raise ValueError(f"{self._seen} of the {self._ends[-1]} images announced")
        sizes = self._ends.diff(prepend=torch.zeros(1, dtype=torch.int64)).to(self._mean.device)
        mean = self._mean / sizes[:, None]
        divergence = self._negentropy / sizes - mean.xlogy(mean).sum(dim=1)
        scores = divergence.exp().tolist()
        average = math.fsum(scores) / len(scores)
        return average, math.sqrt(math.fsum((s - average) ** 2 for s in scores) / len(scores))
