"""Feature statistics of images, measured in one pass.

The pass gives both numbers of the paper (section 4): mean and covariance for FID, and the
Inception score.

Shapes: N images, B images of a batch, S pixels a side, D features.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.metrics.extractors import Extractor
from pbtnas.metrics.inception_score import InceptionScore


class StatisticsError(PbtnasError):
    """A statistics file is damaged, or of other images or extractors: one sentence for the user."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean and covariance of the features of a set of images, and how they were made.

    Args:
        mu: mean, [D], float64.
        sigma: covariance, [D, D], float64, with N - 1 in the denominator.
        n: number of images; None for a foreign file that does not say.
        extractor: name of the extractor.
        extractor_digest: SHA-256 of its weights; None for a file that does not say.
        resize: method by which images were brought to the extractor's size.
        data_digest: identity of the images: the SHA-256 of their pixels, or of mu and sigma
            for a file that does not say.
        measured_on: device that computed them, on which their last digits depend; None for a file
            that does not say.
    """

    mu: Tensor
    sigma: Tensor
    n: int | None
    extractor: str
    extractor_digest: str | None
    resize: str
    data_digest: str
    measured_on: str | None = None

    def mismatch(self, extractor: str, digest: str, resize: str) -> str | None:
        """How they were made otherwise than with this extractor and resize, in words, or None.

        A file that does not say its extractor's digest is let through, and so is TensorFlow's
        resize of the well-known files.
        """
        if self.extractor != extractor or self.extractor_digest not in (None, digest):
            made = f"{self.extractor} {self.extractor_digest or ''}"
            return f"made with {made}, not with {extractor} {digest}"
        if self.resize not in (resize, TENSORFLOW_RESIZE):
            return f"made with the resize {self.resize}, not with {resize}"
        return None

    def to_bytes(self) -> bytes:
        """As an `.npz` file, which pytorch-fid reads too.

        Only of statistics that know their n and extractor.
        """
        if self.n is None or self.extractor_digest is None:
            raise ValueError("statistics of a file that says too little are not written again")
        file = io.BytesIO()
        says: dict[str, Any] = (
            {} if self.measured_on is None else {"measured_on": np.array(self.measured_on)}
        )
        np.savez(
            file,
            mu=self.mu.numpy(),
            sigma=self.sigma.numpy(),
            n=np.array(self.n),
            extractor=np.array(self.extractor),
            extractor_digest=np.array(self.extractor_digest),
            resize=np.array(self.resize),
            data_digest=np.array(self.data_digest),
            **says,
        )
        return file.getvalue()


TENSORFLOW_RESIZE = "tensorflow-bilinear-299"


class Moments:
    """Mean and covariance of a stream of feature vectors, in float64 on their device.

    Batches are merged by their means and scatter matrices (Chan et al. 1979): nothing is
    subtracted from sums of squares, so nothing cancels.
    """

    def __init__(self) -> None:
        self.n = 0
        self._mean = torch.zeros(0)  # [D]
        self._scatter = torch.zeros(0)  # [D, D]

    def update(self, features: Tensor) -> None:
        """Take a batch [B, D] of any float type."""
        samples = features.double()
        if not self.n:
            width = samples.shape[1]
            self._mean = samples.new_zeros(width)
            self._scatter = samples.new_zeros(width, width)
        count = len(samples)
        total = self.n + count
        mean = samples.mean(dim=0)
        centred = samples - mean
        shift = mean - self._mean
        self._scatter.addmm_(centred.T, centred)
        self._scatter.addr_(shift, shift, alpha=self.n * count / total)
        self._mean += shift * (count / total)
        self.n = total

    def result(self) -> tuple[Tensor, Tensor]:
        """Mean [D] and covariance [D, D] on the CPU, of at least two vectors."""
        if self.n < 2:
            raise ValueError(f"{self.n} feature vectors have no covariance")
        return self._mean.cpu(), (self._scatter / (self.n - 1)).cpu()


@dataclass(frozen=True)
class Measurement:
    """The result of one pass over images.

    Args:
        statistics: their statistics, for `distances.distance`.
        inception_score: mean and standard deviation over the splits; None if not asked for, or
            if the extractor defines none.
    """

    statistics: Statistics
    inception_score: tuple[float, float] | None


def measure(
    extractor: Extractor,
    batches: Iterable[Tensor],
    n: int,
    *,
    data_digest: str,
    splits: int | None = None,
) -> Measurement:
    """Take exactly the first `n` images of `batches` in one pass; no features are kept.

    Args:
        batches: images [B, 3, S, S] in [0, 255], uint8 or float, on the extractor's device.
        data_digest: identity of the images, see `Statistics`.
        splits: number of splits of the Inception score (the paper's has 10); None leaves it out.

    Raises `ValueError` when there are fewer images.
    """
    moments = Moments()
    score: InceptionScore | None = None
    for images in batches:
        features = extractor.features(images[: n - moments.n])
        moments.update(features)
        logits = extractor.logits(features) if splits else None
        if splits and logits is not None:
            score = score or InceptionScore(n, splits=splits)
            score.update(logits)
        if moments.n == n:
            break
    if moments.n != n:
        raise ValueError(f"only {moments.n} of {n} images")
    mu, sigma = moments.result()
    return Measurement(
        Statistics(mu, sigma, n, extractor.name, extractor.digest, extractor.resize, data_digest),
        score.result() if score else None,
    )
