"""Feature statistics of images: measured in one pass, kept in files, read from other people's.

The pass gives both numbers of the paper (section 4): mean and covariance for FID, and the
Inception score.

Shapes: N images, B images of a batch, S pixels a side, D features.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pbtnas.errors import ExitCode, PbtnasError
from pbtnas.metrics.extractors import Extractor, Inception
from pbtnas.metrics.inception_score import InceptionScore


class StatisticsError(PbtnasError):
    """A statistics file is damaged, or of other images or extractors: one sentence for the user."""

    exit_code = ExitCode.USAGE


class UnsaidError(StatisticsError):
    """A statistics file does not say how it was made, and nobody told it."""


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


@dataclass(frozen=True)
class Made:
    """How statistics were made, where their file does not say it.

    Args:
        extractor: name of the extractor.
        features: number of its features.
        resize: method by which images were brought to its size.
    """

    extractor: str
    features: int
    resize: str


MADE_BY = {
    "pytorch-fid": Made(Inception.name, 2048, Inception.resize),
    # The graph that pytorch-fid's weights are a port of: distances agree with its features to
    # about 0.1.
    "tensorflow": Made(Inception.name, 2048, TENSORFLOW_RESIZE),
}

_TOLERANCE = 1e-6  # of the total variance, for files that were kept in float32

# What numpy and zipfile say of files that are something else.
_UNREADABLE = (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile)


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


def parse_statistics(data: bytes, name: str, told: Made | None = None) -> Statistics:
    """Statistics of the bytes of an .npz file: ours, or one with mu and sigma only.

    Args:
        data: bytes of the file.
        name: its name, for messages.
        told: how they were made; needed where the file does not say it.

    Raises `UnsaidError` where nobody says it, and `StatisticsError` for any other file, and where
    the file says otherwise than `told`.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            fields = {key: np.asarray(file[key]) for key in file}
        mu = torch.from_numpy(fields["mu"].astype(np.float64))
        sigma = torch.from_numpy(fields["sigma"].astype(np.float64))
    except _UNREADABLE as error:
        raise StatisticsError(f"{name} is not an .npz file with mu and sigma: {error}") from error
    if mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise StatisticsError(
            f"{name}: expected mu [D] and sigma [D, D], found {list(mu.shape)} and "
            f"{list(sigma.shape)}"
        )
    if not (mu.isfinite().all() and sigma.isfinite().all()):
        raise StatisticsError(f"{name}: mu or sigma is not finite")
    own = ("n", "extractor", "extractor_digest", "resize", "data_digest")
    if not all(key in fields for key in own):
        return _as_told(mu, sigma, name, told)
    n, extractor, extractor_digest, resize, data_digest = (fields[key].item() for key in own)
    if told is not None and (told.extractor, told.resize) != (extractor, resize):
        raise StatisticsError(
            f"{name} says that it was made with {extractor} and {resize}, not with "
            f"{told.extractor} and {told.resize}"
        )
    said = fields.get("measured_on")
    measured_on = None if said is None else str(said.item())
    return Statistics(mu, sigma, n, extractor, extractor_digest, resize, data_digest, measured_on)


def _as_told(mu: Tensor, sigma: Tensor, name: str, told: Made | None) -> Statistics:
    """Statistics of a file with mu and sigma only."""
    if told is None:
        raise UnsaidError(f"{name} does not say with which extractor and resize it was made")
    if len(mu) != told.features:
        raise StatisticsError(
            f"{name} has {len(mu)} features, but statistics of {told.extractor} have "
            f"{told.features}"
        )
    data_digest = hashlib.sha256(mu.numpy().tobytes() + sigma.numpy().tobytes()).hexdigest()
    return Statistics(mu, sigma, None, told.extractor, None, told.resize, data_digest)


def check_covariance(sigma: Tensor, name: str) -> None:
    """Raise `StatisticsError` unless sigma [D, D] can be the covariance of features of images.

    It is symmetric and positive semi-definite, both within rounding, and not zero.
    """
    total = float(sigma.diagonal().clamp(min=0).sum())
    if total == 0:
        raise StatisticsError(f"{name}: sigma has no variance; expected that of different images")
    slack = _TOLERANCE * total
    apart = float((sigma - sigma.T).abs().max())
    if apart > slack:
        raise StatisticsError(
            f"{name}: sigma is not symmetric, and so no covariance: entries differ by {apart:.3g}"
        )
    lifted = (sigma + sigma.T) / 2 + slack * torch.eye(len(sigma), dtype=sigma.dtype)
    # Much cheaper than eigenvalues; it fails where one of them is negative.
    if int(torch.linalg.cholesky_ex(lifted).info) != 0:
        raise StatisticsError(f"{name}: sigma has negative eigenvalues, and so is no covariance")
