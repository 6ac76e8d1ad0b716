"""The Fréchet distance between two sets of feature vectors, each summed up as a Gaussian.

In float64 throughout: covariances of nearly dependent features lose too much in float32.
Shapes: N vectors of D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Gaussian:
    """Mean and covariance of a set of vectors.

    Args:
        mean: [D], float64.
        covariance: [D, D], float64, with N - 1 in the denominator.
        count: N, the number of vectors.  The distance is biased by about 1 / N: compare equal
            counts only.
    """

    mean: Tensor
    covariance: Tensor
    count: int

    @classmethod
    def fit(cls, features: Tensor) -> Gaussian:
        """The Gaussian of features [N, D], any float type, N at least 2."""
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"expected features [N >= 2, D], not {list(features.shape)}")
        samples = features.detach().to("cpu", torch.float64)
        return cls(samples.mean(dim=0), torch.cov(samples.T), len(samples))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)); NaN if anything is not finite.

    tr((A B)^(1/2)) = tr((A^(1/2) B A^(1/2))^(1/2)), the trace of the root of a symmetric
    matrix: it needs symmetric eigendecompositions only, which unlike a general matrix root
    neither fail nor turn complex on singular covariances.
    """
    tensors = (a.mean, a.covariance, b.mean, b.covariance)
    if not all(bool(t.isfinite().all()) for t in tensors):
        return float("nan")
    root = _root(a.covariance)
    cross = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace()
    return float(distance - 2 * cross)


def _root(matrix: Tensor) -> Tensor:
    """The symmetric root of a positive semidefinite matrix; tiny negative eigenvalues are 0."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root
