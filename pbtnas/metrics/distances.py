"""Fréchet distances, each with the protocol by which it was measured."""

from __future__ import annotations

from dataclasses import dataclass

from pbtnas.errors import PbtnasError
from pbtnas.metrics.extractors import Inception
from pbtnas.metrics.frechet import Gaussian, frechet_distance
from pbtnas.metrics.statistics import Statistics


class Incomparable(PbtnasError):
    """Two sets of statistics were made in different ways: one sentence that says how."""


@dataclass(frozen=True)
class Distance:
    """A Fréchet distance with all that decides whether it can be compared with another.

    Args:
        value: the distance; NaN if features were not finite.
        n: number of generated images.  The distance is biased by about 1/n.
        extractor: name of the extractor; it is FID for "inception" only.
        extractor_digest: SHA-256 of its weights.
        resize: resize of the generated images and, where it differs, of the reference.
        reference: `data_digest` of the reference.
    """

    value: float
    n: int
    extractor: str
    extractor_digest: str
    resize: str
    reference: str

    @property
    def name(self) -> str:
        """The name of the metric: "fid", or the name of another extractor."""
        return "fid" if self.extractor == Inception.name else self.extractor

    def __str__(self) -> str:
        return (
            f"{self.name} {self.value:.2f} ({self.n:,} images, {self.extractor} "
            f"{self.extractor_digest[:8]}, {self.resize}, reference {self.reference[:8]})"
        )

    def protocol(self) -> str:
        """The protocol in full, one line for each fact: the text to keep with the number."""
        return (
            f"{self.name} {self.value!r}\n"
            f"images {self.n}\n"
            f"extractor {self.extractor}, SHA-256 {self.extractor_digest}\n"
            f"resize {self.resize}\n"
            f"reference {self.reference}\n"
        )


def distance(generated: Statistics, reference: Statistics) -> Distance:
    """The Fréchet distance of generated images to a reference.

    Raises `Incomparable` when they were made with different extractors or resizes; TensorFlow's
    resize of the well-known files is let through and named in the result.
    """
    if generated.n is None or generated.extractor_digest is None:
        raise ValueError("generated images have statistics of a file that says too little")
    mismatch = reference.mismatch(generated.extractor, generated.extractor_digest, generated.resize)
    if mismatch:
        raise Incomparable(f"the reference was {mismatch} as the generated images were")
    resize = generated.resize
    if reference.resize != resize:
        resize += f", reference {reference.resize}"
    return Distance(
        frechet_distance(_gaussian(generated), _gaussian(reference)),
        generated.n,
        generated.extractor,
        generated.extractor_digest,
        resize,
        reference.data_digest,
    )


def _gaussian(statistics: Statistics) -> Gaussian:
    return Gaussian(statistics.mu, statistics.sigma, statistics.n or 0)
