"""Reads statistics from files: ours, and those of other programs, which hold mu and sigma only.

Shapes: D features.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pbtnas.metrics.extractors import Inception
from pbtnas.metrics.statistics import TENSORFLOW_RESIZE, Statistics, StatisticsError


class UnsaidError(StatisticsError):
    """A statistics file does not say how it was made, and nobody told it."""


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
_UNREADABLE = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile),
    # Broken streams, encryption and unknown methods of compression, and sizes beyond all memory.
    *(zlib.error, RuntimeError, MemoryError),
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
        mu, sigma = (_numbers(fields[key]) for key in ("mu", "sigma"))
    except _UNREADABLE as error:
        raise StatisticsError(f"{name} is not an .npz file with mu and sigma: {error}") from error
    if mu.ndim != 1 or not len(mu) or sigma.shape != (len(mu), len(mu)):
        raise StatisticsError(
            f"{name}: expected mu [D] and sigma [D, D], found {list(mu.shape)} and "
            f"{list(sigma.shape)}"
        )
    if not (mu.isfinite().all() and sigma.isfinite().all()):
        raise StatisticsError(f"{name}: mu or sigma is not finite")
    own = ("n", "extractor", "extractor_digest", "resize", "data_digest")
    if not all(key in fields for key in own):
        return _as_told(mu, sigma, name, told)
    for key in (*own, "measured_on"):
        field, kind = fields.get(key), "iu" if key == "n" else "U"
        if field is not None and (field.shape or field.dtype.kind not in kind):
            expected = "an integer" if key == "n" else "text"
            raise StatisticsError(
                f"{name}: {key}: expected {expected}, found {field.dtype} {list(field.shape)}"
            )
    n, extractor, extractor_digest, resize, data_digest = (fields[key].item() for key in own)
    if n < 2:
        raise StatisticsError(f"{name}: n: expected at least 2 images, found {n}")
    if told is not None and (told.extractor, told.resize) != (extractor, resize):
        raise StatisticsError(
            f"{name} says that it was made with {extractor} and {resize}, not with "
            f"{told.extractor} and {told.resize}"
        )
    said = fields.get("measured_on")
    measured_on = None if said is None else str(said.item())
    return Statistics(mu, sigma, n, extractor, extractor_digest, resize, data_digest, measured_on)


def _numbers(array: np.ndarray) -> Tensor:
    """An array of real numbers in double precision."""
    if array.dtype.kind not in "fiu":
        raise TypeError(f"expected numbers, found {array.dtype}")
    return torch.from_numpy(array.astype(np.float64))


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
